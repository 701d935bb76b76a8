"""Web's event loop refuses the requests of an address over its limit that Django would refuse, and no others."""

from dataclasses import replace
from typing import Any

import pytest

from tasks_app.api import early_refusal
from tasks_app.resilience import machine_numbers
from tests.api.anonymous_requests import LIMIT, WRONG, get, make_token, statuses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("limited_addresses")]


def head(headers: dict[str, str], line: str = "GET /queues HTTP/1.1") -> bytes:
    return "\r\n".join([line, "Host: a", *(f"{name}: {value}" for name, value in headers.items()), ""]).encode()


def wait_of(headers: dict[str, str], line: str = "GET /queues HTTP/1.1", peer: str = "198.51.100.7") -> float:
    return early_refusal.find_wait_seconds(head(headers, line), peer)


def test_the_event_loop_refuses_what_django_would(still: Any, settings: Any) -> None:
    good = make_token()
    assert get(good).status_code == 200
    for headers in (WRONG, {}, {"authorization": "Basic YTpi"}, good):
        assert wait_of(headers) == 0, "the bucket is full"
    statuses(LIMIT, WRONG)
    assert wait_of(WRONG) == 0, "one a second is passed to Django, which may query for it"
    for headers in (WRONG, {}, {"AUTHORIZATION": "Basic YTpi"}, {"Authorization": good["Authorization"].lower()}):
        assert wait_of(headers) == pytest.approx(12)
        assert wait_of(headers, "POST /tasks HTTP/1.1") == pytest.approx(12)
        assert wait_of(headers, f"GET /tasks/{'0' * 36}?a=1 HTTP/1.1") == pytest.approx(12)
        assert wait_of(headers, peer="198.51.100.8") == 0
    assert get(WRONG)["Retry-After"] == "12"
    for headers in (good, {"authorization": good["Authorization"].replace("Bearer ", "bearer   ")}):
        assert wait_of(headers) == 0
    for line in ("GET /health/live HTTP/1.1", "GET /schema HTTP/1.1", "GET /metricsx HTTP/1.1", "POST /admin/login/ HTTP/1.1",
                 "GET /tasksx HTTP/1.1", "nonsense"):  # fmt: skip
        assert wait_of(WRONG, line) == 0, line
    assert wait_of(WRONG, "GET /metrics HTTP/1.1") == pytest.approx(12)
    settings.LONGTASKS = replace(settings.LONGTASKS, metrics_open=True)
    assert wait_of(WRONG, "GET /metrics HTTP/1.1") == 0
    still(12.01)
    assert wait_of(WRONG) == 0


def test_the_event_loop_passes_a_new_token_to_django(still: Any) -> None:
    statuses(LIMIT + 1, WRONG)
    wait_of(WRONG)
    good = make_token()
    assert wait_of(good) > 0
    still(1.01)
    assert wait_of(good) == 0
    assert get(good).status_code == 200
    with machine_numbers.locked(machine_numbers.NEWEST_TOKEN) as newest:
        newest.value += 1
    assert wait_of(WRONG) == 0, "another process has found a token"


def test_the_event_loop_trusts_the_same_proxies(still: Any) -> None:
    statuses(LIMIT, WRONG)
    wait_of(WRONG)
    assert wait_of(WRONG) > 0
    assert wait_of(WRONG, peer="127.0.0.1") == 0
    assert wait_of({**WRONG, "X-Forwarded-For": "1.1.1.1, 198.51.100.7"}, peer="127.0.0.1") > 0
    assert wait_of({**WRONG, "x-forwarded-for": "8.8.8.8", "X-Forwarded-For": "198.51.100.7"}, peer="127.0.0.1") > 0
    assert wait_of({**WRONG, "X-Forwarded-For": "8.8.8.8"}, peer="198.51.100.7") > 0
    assert wait_of({**WRONG, "X-Forwarded-For": "198.51.100.7"}, peer="") > 0, "a unix socket"
    assert wait_of(WRONG, peer="") == 0


def test_the_event_loop_refuses_no_caller_of_an_open_api(still: Any, settings: Any) -> None:
    statuses(LIMIT + 1, WRONG)
    wait_of(WRONG)
    settings.API_OPEN = True
    assert wait_of({}) == 0
    settings.API_OPEN = False
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_address=0)
    assert wait_of({}) == 0
