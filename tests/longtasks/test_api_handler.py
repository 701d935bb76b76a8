"""The API's short chain and Django's full one: the same headers, the same refusals."""

import io
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from django.urls import get_resolver

from longtasks.http import page_middleware, paths
from longtasks.http.api_handler import ApiHandler, Routes
from longtasks.http.bounded_request import BoundedRequest
from longtasks.http.exchange import encode
from tasks_app.api import urls

SAME = {
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "X-Frame-Options",
    "X-Request-ID",
    "Content-Length",
    "Content-Type",
}
STRICT = {
    "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 3600,
    "SECURE_HSTS_PRELOAD": True,
    "SECURE_REDIRECT_EXEMPT": [r"^health/"],
}


def make_environ(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(b""),
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "localhost",
        "HTTP_X_REQUEST_ID": "the-same",
    } | headers


def answer_both(environ: dict[str, Any]) -> tuple[Any, Any]:
    full = WSGIHandler()
    full.load_middleware()
    api = ApiHandler()
    short = api.respond(BoundedRequest(dict(environ)))
    constant = [(name.lower(), (name.encode(), value.encode())) for name, value in api.constant_headers]
    for name, value in encode(short, constant)[1]:  # as web's server sends them
        short[name.decode()] = value.decode()
    return short, full.get_response(BoundedRequest(dict(environ)))


REQUESTS = {
    "live": make_environ("/health/live"),
    "live by an address": make_environ("/health/live", HTTP_HOST="10.0.0.7:3000"),
    "unknown host": make_environ("/tasks", HTTP_HOST="evil.example"),
    "broken host": make_environ("/tasks", HTTP_HOST="[::::"),
    "no host": make_environ("/tasks", HTTP_HOST=""),
    "unknown task": make_environ("/tasks/x"),
    "unknown route": make_environ("/tasks/x/y/z"),
    "wrong method": make_environ("/health/live", "DELETE"),
    "options": make_environ("/health/live", "OPTIONS"),
    "head": make_environ("/health/live", "HEAD"),
    "schema": make_environ("/schema"),
    "another origin": make_environ("/tasks", "POST", HTTP_SEC_FETCH_SITE="cross-site"),
    "an older browser's other origin": make_environ("/tasks", "POST", HTTP_ORIGIN="http://evil.example"),
    "another origin that reads": make_environ("/health/live", HTTP_SEC_FETCH_SITE="cross-site"),
    "https": make_environ("/health/live", HTTP_X_FORWARDED_PROTO="https"),
    "a wrong id of the request": make_environ("/health/live", HTTP_X_REQUEST_ID="a b"),
    "a browser": make_environ("/tasks", HTTP_ACCEPT="text/html", HTTP_HOST="evil.example"),
    "a session": make_environ("/health/live", HTTP_COOKIE="sessionid=abc", HTTP_ACCEPT_LANGUAGE="es"),
}


@pytest.mark.parametrize("strict", [False, True], ids=["plain", "https only"])
@pytest.mark.parametrize("environ", REQUESTS.values(), ids=REQUESTS.keys())
def test_the_short_chain_loses_nothing(environ: dict[str, Any], *, strict: bool) -> None:
    with override_settings(**(STRICT if strict else {})):
        short, full = answer_both(environ)
    found, wanted = dict(short.items()), dict(full.items())
    if environ["HTTP_X_REQUEST_ID"] != "the-same":
        assert found.pop("X-Request-ID") != wanted.pop("X-Request-ID")
    assert short.status_code == full.status_code
    # Refusals of the full chain's outer middleware lack what the inner ones add; the short one adds it to all.
    assert found.items() >= wanted.items()
    assert found.keys() - wanted.keys() <= SAME | {"Content-Security-Policy", "Permissions-Policy"}
    assert short.getvalue() == full.getvalue()
    assert not short.cookies


def test_each_header_is_there() -> None:
    for answer in answer_both(make_environ("/health/live")):
        assert dict(answer.items()).keys() >= SAME
    with override_settings(**STRICT):
        for answer in answer_both(make_environ("/health/live", HTTP_X_FORWARDED_PROTO="https")):
            assert answer["Strict-Transport-Security"].startswith("max-age=3600")


def test_each_refusal_is_there() -> None:
    for path, headers, status in (
        ("/tasks", {"HTTP_HOST": "evil.example"}, 400),
        ("/tasks", {"HTTP_SEC_FETCH_SITE": "cross-site"}, 403),
    ):
        for answer in answer_both(make_environ(path, "POST", **headers)):
            assert answer.status_code == status
    with override_settings(**STRICT):
        for method, status in (("GET", 301), ("POST", 403)):
            for answer in answer_both(make_environ("/schema", method)):
                assert answer.status_code == status


def test_the_short_chain_is_for_every_route_of_the_api_and_for_no_page() -> None:
    for pattern in urls.urlpatterns:
        path = "/" + str(pattern.pattern).replace("<str:id>", "x").replace("<str:name>", "x")
        assert paths.is_api(path) == (path != "/docs"), path
        assert paths.is_api(path + "/") == (path != "/docs"), path
    for path in ("/", "/admin/", "/admin/tasks", "/static/x", "/tasksx", "/favicon.ico", "/robots.txt"):
        assert not paths.is_api(path)
    assert page_middleware.ADMIN_PREFIX == "/admin/"


TASK_ID = "01936b6e-7c1a-7def-8123-0123456789ab"


@pytest.mark.parametrize(
    "path",
    [
        *("/tasks", "/tasks/", "/tasks/bulk", "/queues/low/pause", "/health/live", "/schema/"),
        *(
            f"/tasks/{TASK_ID}{rest}"
            for rest in ("", "/", "/cancel", "/retry", "/events/", "/unknown", "//", "x", "/x/y")
        ),
        *(
            f"/tasks/{task_id}"
            for task_id in (TASK_ID.upper(), "x", "-" * 36, "-" * 37, f"{TASK_ID}%0A", f"{TASK_ID}\n")
        ),
        *("/tasksx", "/", "//tasks", f"/tasks//{TASK_ID}", f"/queues/{TASK_ID}/pause", f"/x/tasks/{TASK_ID}"),
    ],
)
def test_routes_are_those_of_djangos_resolver(path: str) -> None:
    wanted = get_resolver().resolve(path)
    routes = Routes()
    for _ in range(2):  # the second time from memory
        found = routes.resolve(path)
        assert (found.func, found.args, found.kwargs) == (wanted.func, wanted.args, wanted.kwargs)
        assert (found.url_name, found.route) == (wanted.url_name, wanted.route)


def test_each_task_has_its_own_id() -> None:
    routes = Routes()
    ids = [TASK_ID[:-1] + last for last in "0123"]
    matches = [routes.resolve(f"/tasks/{task_id}/events") for task_id in ids]
    assert [match.kwargs for match in matches] == [{"id": task_id} for task_id in ids]


def test_clients_cannot_fill_the_memory_with_paths() -> None:
    routes = Routes()
    for number in range(50):
        for path in (f"/tasks/{number}", f"/unknown/{number}", f"/queues/{number}/pause", f"/tasks/{TASK_ID}/{number}"):
            routes.resolve(path)
    assert not routes.known
