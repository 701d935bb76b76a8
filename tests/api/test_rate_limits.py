"""Requests without a valid token: limited for each address, before a token is looked up; valid tokens are not affected."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks_app.auth import api_tokens
from tasks_app.http import peers
from tasks_app.models import ApiToken
from tasks_app.resilience import machine_numbers
from tests.api.anonymous_requests import LIMIT, WRONG, get, make_token, statuses
from tests.api.conftest import assert_problem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("limited_addresses")]


def revoked() -> dict[str, str]:
    header = make_token()
    api_tokens.revoke_token(token_id=ApiToken.objects.latest("pk").pk)
    return header


SHOWING_NOTHING: dict[str, Callable[[], dict[str, str]]] = {
    "none": dict,
    "empty": lambda: {"Authorization": ""},
    "another scheme": lambda: {"Authorization": "Basic YTpi"},
    "unknown": lambda: WRONG,
}


@pytest.mark.parametrize("kind", SHOWING_NOTHING)
def test_an_address_without_a_valid_token_is_limited(still: Any, kind: str) -> None:
    headers = SHOWING_NOTHING[kind]()
    assert statuses(LIMIT, headers) == [401] * LIMIT
    response = get(headers)
    assert "without a valid token" in assert_problem(response, 429)["detail"]
    assert response["Retry-After"] == "12"
    assert get(headers, path="/metrics").status_code == 429
    assert (
        Client().post("/tasks", b"{", content_type="x/y", headers=headers, REMOTE_ADDR="198.51.100.7").status_code
        == 429
    )
    assert get(headers, address="198.51.100.8").status_code == 401, "another address has a bucket of its own"
    still(12.01)
    assert statuses(2, headers) == [401, 429]


def test_requests_that_need_no_token_are_not_counted(still: Any) -> None:
    for path in ("/health/live", "/health/ready", "/schema"):
        assert 429 not in statuses(LIMIT + 3, WRONG, path=path)
    statuses(LIMIT + 1, {})
    assert get({}, path="/health/live").status_code == 200
    machine_numbers.clear()
    statuses(LIMIT + 3, {}, path="/health/ready")
    assert get({}).status_code == 401, "a load balancer's probe is not counted"


def test_a_valid_token_is_not_counted_and_not_refused(still: Any) -> None:
    good = make_token()
    assert statuses(3 * LIMIT, good) == [200] * 3 * LIMIT
    assert statuses(LIMIT + 1, WRONG) == [401] * LIMIT + [429]
    assert statuses(3, good) == [200] * 3


def test_a_new_token_is_known_within_a_second_during_a_flood(still: Any) -> None:
    statuses(LIMIT + 5, WRONG)
    good = make_token()
    still(1.01)
    assert get(good).status_code == 200
    # The flood causes the query of each second: the tokens that it finds are known to all.
    good = make_token("bob")
    still(1.01)
    assert get(WRONG).status_code == 429
    assert get(good).status_code == 200


def test_a_flood_costs_the_machine_one_query_per_second(still: Any) -> None:
    get(WRONG)
    still(1.01)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(4):
            for number in range(50):
                get({"Authorization": f"Bearer lt_{number}"}, address=f"198.51.100.{number}")
            still(1.01)
    assert len(queries.captured_queries) == 4


def test_an_unavailable_database_is_not_queried_for_each_wrong_token(
    still: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = make_token()
    assert get(good).status_code == 200
    still(1.01)
    asked = []

    def away(*args: Any, **kwargs: Any) -> Any:
        asked.append(args)
        raise OperationalError(2003, "away")

    monkeypatch.setattr(ApiToken.objects, "filter", away)
    for number in range(8):
        get(WRONG, address=f"198.51.100.{number}")
        still(0.6)
    assert len(asked) == 1, "each query of a hung database would block the event loop"
    assert get(good).status_code == 200


def test_a_limit_of_0_disables_the_limit(still: Any, settings: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_address=0)
    assert statuses(3 * LIMIT, WRONG) == [401] * 3 * LIMIT


def test_an_open_api_limits_wrong_tokens_only(still: Any, settings: Any) -> None:
    settings.API_OPEN = True
    assert statuses(3 * LIMIT, {}) == [200] * 3 * LIMIT
    assert statuses(LIMIT + 1, WRONG) == [401] * LIMIT + [429]


def test_an_ipv6_address_counts_as_its_network(still: Any) -> None:
    assert peers.find_peer({"REMOTE_ADDR": "2001:db8:1:2:aaaa::1"}) == peers.find_peer(
        {"REMOTE_ADDR": "2001:db8:1:2::9"}
    )
    assert peers.find_peer({"REMOTE_ADDR": "2001:db8:1:3::1"}) != peers.find_peer({"REMOTE_ADDR": "2001:db8:1:2::1"})
    answers = [get(WRONG, address=f"2001:db8:1:2::{number}").status_code for number in range(LIMIT + 1)]
    assert answers == [401] * LIMIT + [429]


def test_a_clients_header_does_not_change_its_address(still: Any) -> None:
    answers = [get(WRONG, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}").status_code for number in range(LIMIT + 1)]
    assert answers == [401] * LIMIT + [429]
    forged = [
        get(WRONG, address="127.0.0.1", HTTP_X_FORWARDED_FOR=f"203.0.113.{number}, 198.51.100.9").status_code
        for number in range(LIMIT + 1)
    ]
    assert forged == [401] * LIMIT + [429]
