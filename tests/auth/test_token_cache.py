"""The tokens in a process's memory: without SQL, revoked and expired in time, and known while the database is unavailable."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks_app.auth import api_tokens, token_cache, token_use
from tasks_app.errors import UnsureToken
from tasks_app.models import ApiToken
from tests.api.conftest import assert_problem, start_upload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]
WRONG = token_cache.PREFIX + "A" * 43


def test_a_known_token_costs_no_sql(client_of: Any) -> None:
    client = client_of("ann")
    start_upload(client)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(5):
            start_upload(client)
    assert queries.captured_queries == []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stop the clock; `clock(31)` moves it by 31 seconds."""
    moved = [0.0]
    began = time.monotonic()

    def move(seconds: float) -> None:
        moved[0] += seconds

    monkeypatch.setattr(token_cache.time, "monotonic", lambda: began + moved[0])
    return move


def test_a_revocation_takes_effect_within_a_minute(client_of: Any, clock: Any) -> None:
    client = client_of("ann")
    start_upload(client)
    api_tokens.revoke_token(token_id=ApiToken.objects.get().pk)
    answers = []
    for _ in range(12):
        answers.append(client.get("/queues").status_code)
        clock(5)
    assert answers[0] == 200, "it is known from memory"
    assert answers[-1] == 401
    assert token_cache.OLD_SECONDS < 60


def test_an_expiry_takes_effect_at_once(client_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of("ann", lifetime=timedelta(seconds=100))
    assert client.get("/queues").status_code == 200
    later = time.time() + 101
    monkeypatch.setattr(token_cache.time, "time", lambda: later)
    assert client.get("/queues").status_code == 401


def test_a_new_token_is_valid_at_once_and_wrong_tokens_cost_one_query_per_second(client_of: Any, clock: Any) -> None:
    start_upload(client_of("ann"))
    junk = [{"Authorization": f"Bearer {token_cache.PREFIX}{number}"} for number in range(200)]
    stranger = Client()
    clock(2)
    with CaptureQueriesContext(connection) as queries:
        assert {stranger.get("/health/live", headers=sent).status_code for sent in junk} == {200}
        assert {stranger.get("/queues", headers=sent).status_code for sent in junk} == {401}
    assert len(queries.captured_queries) == 1
    assert len(token_cache.known._bearers) == 1, "wrong tokens do not fill the memory"
    clock(2)
    _, secret = api_tokens.create_token(owner="bob", scope="read")
    assert Client(headers={"Authorization": f"Bearer {secret}"}).get("/queues").status_code == 200


def test_known_tokens_stay_valid_while_the_database_is_unavailable(
    client_of: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("ann")
    start_upload(client)
    clock(120)
    monkeypatch.setattr(ApiToken.objects, "filter", _away)
    start_upload(client)
    token_cache.known.forget()
    response = client.post("/tasks", {"name": "upload"}, content_type="application/json")
    assert assert_problem(response, 503)["type"] == "urn:longtasks:problem:store-unavailable"


def bear(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_an_unknown_token_is_503_while_the_database_is_unavailable(
    client_of: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start_upload(client_of("ann"))
    expired = client_of("ann", lifetime=timedelta(seconds=3600))
    assert expired.get("/queues").status_code == 200
    clock(2)
    with monkeypatch.context() as patch:
        patch.setattr(ApiToken.objects, "filter", _away)
        later = time.time() + 3700
        patch.setattr(token_cache.time, "time", lambda: later)
        for _ in range(30):
            response = Client().get("/queues", headers=bear(WRONG))
            assert assert_problem(response, 503)["type"] == "urn:longtasks:problem:store-unavailable"
            assert int(response["Retry-After"]) >= 1
            assert "WWW-Authenticate" not in response
            for malformed in (WRONG[:-1], WRONG + "A", "x" + WRONG[1:], ""):
                assert_problem(Client().get("/queues", headers=bear(malformed)), 401)
            clock(7)
        assert_problem(expired.get("/queues"), 401)
    assert caplog.text.count("the tokens could not be read") == 1, "once per outage"
    clock(7)
    assert_problem(Client().get("/queues", headers=bear(WRONG)), 401)


def _away(*args: Any, **kwargs: Any) -> Any:
    raise OperationalError(2003, "away")


def test_processes_share_the_news_of_an_outage(client_of: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = token_cache.KnownTokens(), token_cache.KnownTokens()
    for known in (first, second):
        assert known.find(WRONG) is None
    clock(2)
    with monkeypatch.context() as patch:
        patch.setattr(ApiToken.objects, "filter", _away)
        for known in (first, second):  # the first one makes this second's query
            with pytest.raises(UnsureToken):
                known.find(WRONG)
    assert first.refresh()
    clock(2)
    assert second.find(WRONG) is None


def test_a_token_created_just_after_a_read_is_valid_at_once(clock: Any) -> None:
    known = token_cache.KnownTokens()
    for _ in range(3):
        assert known.refresh()
        _, secret = api_tokens.create_token(owner="ann", scope="read")
        assert known.find(secret) is not None
        clock(2)


def test_tokens_beyond_the_limit_of_memory_are_queried(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "MOST_KNOWN", 2)
    made = [api_tokens.create_token(owner=f"owner {number}", scope="read") for number in range(4)]
    token_use.note_used({token.pk for token, _ in made[:2]})
    known = token_cache.KnownTokens()
    assert known.refresh()
    assert len(known._bearers) == 2
    assert all(known.holds(secret) for _, secret in made[:2]), "the most recently used ones are in memory"
    third, fourth = (secret for _, secret in made[2:])
    assert known.find(third) is not None
    with pytest.raises(UnsureToken):
        known.find(fourth)  # this second's query was made: the token is unknown, but not wrong
    clock(2)
    assert known.find(fourth) is not None
    clock(2)
    assert known.find(WRONG) is None
