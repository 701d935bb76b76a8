"""Scheme, host and origin are accepted from trusted proxies only; a wrong one is refused and named."""

import pytest

from tests.operations.proxies.place import (
    HEADERS,
    OTHER_ORIGIN,
    PREFIX,
    PROXIES,
    TASK,
    Place,
    log_in,
)
from tests.operations.proxies.proxy_processes import HOST


@pytest.mark.parametrize("name", [name for name in PROXIES if "below" not in name])
def test_plain_http_is_redirected_or_refused(place: Place, name: str) -> None:
    door = place.doors[name]
    page = door.ask("GET", "/admin/login/?next=/x", tls=False, host=HOST)
    assert (page.status, page.headers["Location"]) == (301, f"https://{HOST}/admin/login/?next=/x")
    # The client's own header does not count.
    for more in ({}, {"X-Forwarded-Proto": "https"}):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = door.ask(method, "/tasks", tls=False, body=TASK, headers=more)
            assert (refused.status, refused.headers["Content-Type"]) == (403, "application/problem+json")
            assert "Use https" in refused.text
    asked = door.ask("GET", "/tasks", tls=False, headers=place.token)
    assert asked.status == 403
    assert "revoke" in asked.text


@pytest.mark.parametrize("name", PROXIES)
def test_a_wrong_host_is_named(place: Place, name: str) -> None:
    door, prefix = place.doors[name], PREFIX if "below" in name else ""
    for path in (f"{prefix}/tasks", f"{prefix}/stream"):
        answer = door.ask("GET", path, host="elsewhere.example:8443", headers=place.token)
        assert answer.status == 400
        assert "ALLOWED_HOSTS" in answer.text
        assert "elsewhere.example:8443" in answer.text


def test_a_wrong_host_is_logged_once_a_minute(place: Place) -> None:
    for _ in range(5):
        place.direct("addresses").ask("GET", "/tasks", tls=False, host=f"x{'y' * 200}.example")
    logged = place.stack.log_path("web").read_text()
    assert logged.count("ALLOWED_HOSTS does not list it") == 1


@pytest.mark.parametrize("accept", ["text/html,*/*", "*/*"])
def test_a_proxy_that_is_not_trusted_is_named_instead_of_a_redirect_loop(place: Place, accept: str) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.5", "Accept": accept}
    door = place.direct("addresses")
    for path in ("/admin/", "/stream"):
        answer = door.ask("GET", path, tls=False, address="::1", headers=headers)
        assert answer.status == 403, answer
        assert "FORWARDED_ALLOW_IPS" in answer.text
        assert "The peer ::1" in answer.text
    assert "FORWARDED_ALLOW_IPS does not list it: its requests are refused" in place.stack.log_path("web").read_text()


def test_a_proxy_without_x_forwarded_proto_is_refused_with_the_header_to_send(place: Place) -> None:
    for path in ("/admin/", "/tasks"):
        answer = place.direct("addresses").ask("GET", path, tls=False, headers={"X-Forwarded-For": "203.0.113.5"})
        assert answer.status == 403, "a redirect would loop for ever"
        assert "The proxy 127.0.0.1 does not say" in answer.text
        assert "X-Forwarded-Proto" in answer.text


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_the_headers_of_other_proxies_are_understood(place: Place, headers: dict[str, str]) -> None:
    door = place.direct("addresses")
    entered = log_in(door, origin=f"https://{HOST}", tls=False, **headers)
    assert entered.status == 302, entered
    started = door.ask(
        "POST", "/tasks", tls=False, body=TASK, headers={**headers, **place.token, "Content-Type": "application/json"}
    )
    assert started.status == 201, started
    assert door.ask("GET", "/stream", tls=False, headers={**headers, **place.token}, stream=True).status == 200


def test_a_form_from_another_port_names_the_origin_to_add(place: Place) -> None:
    headers = HEADERS["Caddy"]
    refused = log_in(place.direct("addresses"), origin=OTHER_ORIGIN, tls=False, **headers)
    assert refused.status == 403
    assert OTHER_ORIGIN in refused.text
    assert "CSRF_TRUSTED_ORIGINS" in refused.text
    assert "CSRF_TRUSTED_ORIGINS" in place.stack.log_path("web").read_text()
    assert log_in(place.direct("below"), origin=OTHER_ORIGIN, tls=False, **headers).status == 302


def test_only_a_trusted_origin_may_start_a_task(place: Place) -> None:
    headers = {**HEADERS["Caddy"], **place.token, "Content-Type": "application/json", "Origin": OTHER_ORIGIN}
    for way, status in (("addresses", 403), ("below", 201)):
        assert place.direct(way).ask("POST", "/tasks", tls=False, body=TASK, headers=headers).status == status
