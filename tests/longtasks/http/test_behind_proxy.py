"""The path behind a proxy that serves longtasks under a prefix."""

from typing import Any

from longtasks.http.behind_proxy import apply_proxy_headers


def test_the_url_prefix_is_removed_once(settings: Any) -> None:
    settings.URL_PREFIX = "/lt"
    for path, cut in (
        ("/lt/tasks", "/tasks"), ("/tasks", "/tasks"), ("/lt", "/"), ("/lt/", "/"), ("", "/"), ("/ltx", "/ltx"),
        ("/lt/lt/x", "/lt/x"), ("//lt/x", "//lt/x"),
    ):  # fmt: skip
        environ = {"PATH_INFO": path, "wsgi.url_scheme": "http"}
        apply_proxy_headers(environ)
        assert (environ["PATH_INFO"], environ["SCRIPT_NAME"]) == (cut, "/lt")
