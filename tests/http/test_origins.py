"""A web page of another origin can do nothing through the browser of a user who reaches this service."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls.resolvers import URLPattern

from longtasks.http.bounded_request import bound_headers
from longtasks.http.browser_origins import SAFE_METHODS
from tasks_app.api.urls import urlpatterns
from tasks_app.read_model import queue_overview
from tests.api.conftest import assert_problem

pytestmark = pytest.mark.django_db

ELSEWHERE: dict[str, dict[str, str]] = {
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    "another host of this site": {"Sec-Fetch-Site": "same-site", "Origin": "http://other.testserver"},
    "a site that no browser names": {"Sec-Fetch-Site": "somewhere"},
    "an older browser": {"Origin": "https://evil.example"},
    "another port": {"Origin": "http://testserver:8080"},
    "a host that only begins so": {"Origin": "http://testserver.evil.example"},
    "a sandboxed frame or a file": {"Origin": "null"},
    "an empty origin": {"Origin": ""},
    "another scheme": {"Origin": "chrome-extension://testserver"},
}
HERE: dict[str, dict[str, str]] = {
    "no browser": {},
    "our own page": {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"},
    "our own page in an older browser": {"Origin": "http://testserver"},
    "the default port": {"Origin": "http://testserver:80"},
    "a proxy that ends TLS": {"Origin": "https://testserver"},
    "the user": {"Sec-Fetch-Site": "none"},
}
TASK_ID = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"
FORM_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "")


def unsafe_endpoints() -> Iterator[tuple[str, str]]:
    """Yield the method and path of each operation of the API that changes something, from its routes."""
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern)
        path = "/" + str(pattern.pattern).replace("<str:id>", TASK_ID).replace("<str:name>", "low")
        for method in getattr(pattern.callback, "actions", {}):
            if method.upper() not in SAFE_METHODS:
                yield method.upper(), path


unsafe = pytest.mark.parametrize(("method", "path"), list(unsafe_endpoints()))


def test_the_unsafe_endpoints_are_found() -> None:
    assert {"/tasks", "/tasks/bulk", "/queues/low/pause", "/queues/low/resume"} < {
        path for _, path in unsafe_endpoints()
    }


@unsafe
@pytest.mark.parametrize("headers", ELSEWHERE.values(), ids=ELSEWHERE)
def test_another_origins_page_changes_nothing(method: str, path: str, headers: dict[str, str]) -> None:
    answer = Client().generic(method, path, "{}", content_type="application/json", headers=headers)
    assert "another origin" in assert_problem(answer, 403)["detail"]


@unsafe
@pytest.mark.parametrize("content_type", FORM_TYPES)
def test_a_forms_body_is_refused(method: str, path: str, content_type: str) -> None:
    answer = Client().generic(method, path, "reason=evil", content_type=content_type)
    assert_problem(answer, 415)


@pytest.mark.parametrize("headers", ELSEWHERE.values(), ids=ELSEWHERE)
def test_the_queue_is_not_paused(headers: dict[str, str]) -> None:
    for body in ("", "{}"):
        Client().post("/queues/low/pause", body, content_type="application/json", headers=headers)
    assert [queue.paused_at for queue in queue_overview.list_queues()] == [None, None]


@pytest.mark.parametrize("headers", HERE.values(), ids=HERE)
def test_own_pages_and_other_clients_are_accepted(headers: dict[str, str]) -> None:
    for path in ("/queues/low/pause", "/queues/low/resume"):
        assert (
            Client().post(path, content_type="application/json", headers={"Host": "testserver", **headers}).status_code
            == 200
        )


def test_http_is_another_origin_than_https() -> None:
    for origin, status in (("http://testserver", 403), ("https://testserver", 200)):
        headers = {"Host": "testserver", "Origin": origin}
        answer = Client().generic("POST", "/queues/low/resume", headers=headers, secure=True)
        assert answer.status_code == status


@pytest.mark.parametrize("more", [{}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_trusted_origin_is_accepted(settings: Any, more: dict[str, str]) -> None:
    headers = {"Host": "testserver", "Origin": "https://tasks.example.com:8443", **more}
    refused = Client().generic("POST", "/queues/low/resume", headers=headers)
    assert "add it to CSRF_TRUSTED_ORIGINS" in assert_problem(refused, 403)["detail"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://tasks.example.com:8443"]
    assert Client().generic("POST", "/queues/low/resume", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/", "/admin/tasks_app/taskrecord/start/", "/nothing"])
def test_the_admin_and_its_login_are_closed_to_other_origins_too(path: str) -> None:
    answer = Client().post(path, {"username": "a", "password": "b"}, headers=ELSEWHERE["another site"])
    assert_problem(answer, 403)


def test_the_login_requires_its_csrf_token() -> None:
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "a", "password": "b"})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/tasks", "/queues", "/schema", "/static/tasks_app/icon.svg"])
def test_other_origins_cannot_read_answers(path: str) -> None:
    answer = Client().get(path, headers=ELSEWHERE["another site"])
    answer.close()
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    if not path.startswith("/static/"):
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"


# A name that an attacker points to this machine


def test_development_refuses_foreign_names(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]  # what settings/development.py has
    for method, path in [("GET", "/tasks"), *unsafe_endpoints()]:
        assert_problem(Client().generic(method, path, headers={"Host": "evil.example:3000"}), 400)


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({"SERVER_PROTOCOL": "HTTP/1.1"}, ""),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, None),
        ({"SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "localhost"}, "localhost"),
    ],
)
def test_a_request_without_host_is_refused_as_an_unknown_host(environ: dict[str, Any], host: str | None) -> None:
    bound_headers(environ)
    assert environ.get("HTTP_HOST") == host


# Pages


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/docs", "/admin/tasks_app/taskrecord/"])
def test_pages_have_a_content_security_policy(path: str, settings: Any) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    answer = client.get(path, follow=True)
    policy = answer["Content-Security-Policy"]
    for part in ("default-src 'self'", "object-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action"):
        assert part in policy
    assert "script-src 'self' 'unsafe-eval';" in policy
    assert "<script>" not in answer.content.decode()  # the policy would block it
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]


def test_cookies_are_same_site_lax() -> None:
    User.objects.create_superuser("root", password="a password")
    client = Client()
    client.get("/admin/login/")
    answer = client.post("/admin/login/", {"username": "root", "password": "a password"})
    session = answer.cookies["sessionid"]
    assert session["httponly"]
    assert session["samesite"] == answer.cookies["csrftoken"]["samesite"] == "Lax"
