"""Who may call: tokens, scopes, owners, rates. Every route and method refuses strangers and tells them nothing."""

import json
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks_app.api.urls import urlpatterns
from tasks_app.auth import api_tokens, token_cache, token_use
from tasks_app.errors import UnsureToken
from tasks_app.models import ApiToken
from tasks_app.resilience import machine_numbers, rate_limit
from tests.api.conftest import assert_problem

pytestmark = pytest.mark.django_db
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
OPEN_ROUTES = {"health/live", "health/ready", "schema", "docs", ""}
UNKNOWN = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"
WRONG = token_cache.PREFIX + "A" * 43


@pytest.fixture(autouse=True)
def _closed(settings: Any, db: None) -> Generator[None, None, None]:
    settings.API_OPEN = False
    token_cache.known.forget()
    machine_numbers.clear()
    yield
    # What still notes a token's use must not meet the next test, which may have no database.
    for thread in threading.enumerate():
        if thread.name == token_use.NOTING_THREAD:
            thread.join()


@pytest.fixture
def make() -> Callable[..., Client]:
    """A client with a new token: `make("ann", "write")`."""

    def make(owner: str, scope: str = "write", **options: Any) -> Client:
        _, secret = api_tokens.create_token(owner=owner, scope=scope, **options)
        token_cache.known.forget()
        return Client(headers={"Authorization": f"Bearer {secret}"})

    return make


def start(client: Client) -> str:
    response = client.post("/tasks", {"name": "upload"}, content_type="application/json")
    assert response.status_code == 201, response.content
    return str(response.json()["id"])


def call(client: Client, method: str, path: str, headers: dict[str, str] | None = None) -> Any:
    return client.generic(method, path, b"{}", content_type="application/json", headers=headers)


def routes(task_id: str) -> list[tuple[str, str]]:
    addresses = [str(pattern.pattern) for pattern in urlpatterns if str(pattern.pattern) not in OPEN_ROUTES]
    assert len(addresses) >= 10
    return [
        (method, "/" + address.replace("<str:id>", task_id).replace("<str:name>", "low"))
        for address in addresses
        for method in METHODS
    ]


def shown(response: Any) -> tuple[int, bytes, dict[str, str]]:
    """All that a client sees but the request's own id."""
    headers = {name: value for name, value in response.items() if name not in ("X-Request-ID", "Date")}
    return response.status_code, response.content, headers


def test_anonymous_and_wrong_tokens_get_401_everywhere(make: Any) -> None:
    task_id = start(make("ann"))
    _, revoked = api_tokens.create_token(owner="ann", scope="admin")
    api_tokens.revoke_token(token_id=ApiToken.objects.latest("pk").pk)
    _, expired = api_tokens.create_token(owner="ann", scope="admin", lifetime=timedelta(seconds=-1))
    token_cache.known.forget()
    headers = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {WRONG}"},
        {"Authorization": f"Bearer {revoked}"},
        {"Authorization": f"Bearer {expired}"},
        {"Authorization": f"Basic {WRONG}"},
        {"Authorization": "Bearer \udcff\x00"},
        {"Authorization": f"Bearer {ApiToken.objects.first().digest}"},
    ]
    stranger = Client()
    for method, path in routes(task_id):
        seen = set()
        for sent in headers:
            response = call(stranger, method, path, sent)
            status, content, answered = shown(response)
            assert status == 401, (method, path, sent)
            assert answered["WWW-Authenticate"].startswith("Bearer")
            seen.add(content)
        assert len(seen) == 1, (method, path)
    ann = make("ann").get(f"/tasks/{task_id}").json()
    assert ann["status"] == "queued"


def test_another_owner_learns_nothing(make: Any, mirror: Any) -> None:
    task_id = start(make("ann"))
    bob = make("bob")
    for _ in ("before the mirror", "after it"):
        for method, path in routes(task_id):
            if task_id not in path or method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
                continue
            foreign = shown(call(bob, method, path))
            unknown = shown(call(bob, method, path.replace(task_id, UNKNOWN)))
            assert foreign[0] in (404, 405), (method, path)
            assert foreign[1].replace(task_id.encode(), UNKNOWN.encode()) == unknown[1], (method, path)
            assert {**foreign[2], "Content-Length": ""} == {**unknown[2], "Content-Length": ""}
        assert bob.get("/tasks").json() == {"tasks": [], "next": None, "searchedTo": None}
        mirror()
    assert [task["id"] for task in make("ann").get("/tasks").json()["tasks"]] == [task_id]
    assert [task["id"] for task in make("root", "admin").get("/tasks").json()["tasks"]] == [task_id]


def test_tokens_of_one_owner_see_the_same_tasks(make: Any) -> None:
    task_id = start(make("ann"))
    assert make("ann", "read").get(f"/tasks/{task_id}").status_code == 200
    assert make("root", "admin").generic("POST", f"/tasks/{task_id}/cancel").status_code == 200


def test_the_actor_stands_in_the_history(make: Any, mirror: Any) -> None:
    task_id = start(make("ann"))
    make("root", "admin").generic("POST", f"/tasks/{task_id}/cancel")
    mirror()
    events = make("ann").get(f"/tasks/{task_id}/events").json()["events"]
    assert [event["actor"] for event in events] == ["ann", "root"]


def test_the_same_key_of_two_owners_is_two_keys(make: Any) -> None:
    key = {"Idempotency-Key": "k"}
    body = {"name": "upload"}
    first = make("ann").post("/tasks", body, content_type="application/json", headers=key)
    second = make("bob").post("/tasks", body, content_type="application/json", headers=key)
    assert first.json()["id"] != second.json()["id"]
    assert "Idempotency-Replayed" not in second


def test_scopes(make: Any) -> None:
    reader, writer, administrator = make("ann", "read"), make("ann", "write"), make("ann", "admin")
    assert_problem(call(reader, "POST", "/tasks"), 403)
    assert_problem(call(reader, "POST", "/tasks/bulk"), 403)
    assert_problem(call(reader, "POST", f"/tasks/{UNKNOWN}/cancel"), 403)
    for client in (reader, writer):
        for action in ("pause", "resume"):
            assert "scope admin" in assert_problem(call(client, "POST", f"/queues/low/{action}"), 403)["detail"]
        assert client.get("/queues").status_code == 200
    assert call(administrator, "POST", "/queues/low/pause").json()["pausedBy"] == "ann"
    assert call(administrator, "POST", "/queues/low/resume").status_code == 200


def test_what_is_open_is_open(settings: Any) -> None:
    for path in ("/health/live", "/health/ready", "/schema", "/docs"):
        assert Client().get(path).status_code == 200, path
    settings.LONGTASKS = replace(settings.LONGTASKS, metrics_open=True)
    assert Client().get("/metrics").status_code == 200


def test_metrics_take_an_administrators_token(make: Any) -> None:
    assert make("prometheus", "admin").get("/metrics").status_code == 200
    for scope in ("read", "write"):
        assert "scope admin" in assert_problem(make("ann", scope).get("/metrics"), 403)["detail"]


def test_who_has_paused_a_queue_is_for_administrators(make: Any) -> None:
    administrator = make("root", "admin")
    call(administrator, "POST", "/queues/low/pause")
    shown = {scope: make("ann", scope).get("/queues").json()["queues"][1] for scope in ("read", "admin")}
    assert shown["admin"]["pausedBy"] == "root"
    assert shown["read"]["pausedBy"] == ""
    assert shown["read"] == {**shown["admin"], "pausedBy": ""}


def test_an_open_api_still_refuses_wrong_tokens(settings: Any, make: Any) -> None:
    settings.API_OPEN = True
    assert Client().get("/queues").status_code == 200
    assert_problem(Client(headers={"Authorization": f"Bearer {WRONG}"}).get("/queues"), 401)
    assert make("bob").get("/tasks").status_code == 200


# Without SQL, and revoked in time


def test_a_known_token_costs_no_sql(make: Any) -> None:
    client = make("ann")
    start(client)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(5):
            start(client)
    assert queries.captured_queries == []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`clock(31)`: half a minute later for the memory of tokens, whose time stands still otherwise."""
    moved = [0.0]
    began = time.monotonic()

    def move(seconds: float) -> None:
        moved[0] += seconds

    monkeypatch.setattr(token_cache.time, "monotonic", lambda: began + moved[0])
    return move


def test_a_revocation_holds_within_a_minute(make: Any, clock: Any) -> None:
    client = make("ann")
    start(client)
    api_tokens.revoke_token(token_id=ApiToken.objects.get().pk)
    answers = []
    for _ in range(12):
        answers.append(client.get("/queues").status_code)
        clock(5)
    assert answers[0] == 200, "it is known from memory"
    assert answers[-1] == 401
    assert token_cache.OLD_SECONDS < 60


def test_an_expiry_holds_at_once(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = make("ann", lifetime=timedelta(seconds=100))
    assert client.get("/queues").status_code == 200
    later = time.time() + 101
    monkeypatch.setattr(token_cache.time, "time", lambda: later)
    assert client.get("/queues").status_code == 401


def test_a_new_token_is_good_at_once_and_junk_costs_one_query_a_second(make: Any, clock: Any) -> None:
    start(make("ann"))
    junk = [{"Authorization": f"Bearer {token_cache.PREFIX}{number}"} for number in range(200)]
    stranger = Client()
    clock(2)
    with CaptureQueriesContext(connection) as queries:
        assert {stranger.get("/health/live", headers=sent).status_code for sent in junk} == {200}
        assert {stranger.get("/queues", headers=sent).status_code for sent in junk} == {401}
    assert len(queries.captured_queries) == 1
    assert len(token_cache.known._bearers) == 1, "junk fills no memory"
    clock(2)
    _, secret = api_tokens.create_token(owner="bob", scope="read")
    assert Client(headers={"Authorization": f"Bearer {secret}"}).get("/queues").status_code == 200


def test_known_tokens_hold_while_the_database_is_away(make: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = make("ann")
    start(client)
    clock(120)
    monkeypatch.setattr(ApiToken.objects, "filter", _away)
    start(client)
    token_cache.known.forget()
    response = client.post("/tasks", {"name": "upload"}, content_type="application/json")
    assert assert_problem(response, 503)["type"] == "urn:longtasks:problem:store-unavailable"


def bear(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_an_unknown_token_is_503_while_the_database_is_away(
    make: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start(make("ann"))
    expired = make("ann", lifetime=timedelta(seconds=3600))
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
    assert caplog.text.count("the tokens could not be read") == 1, "once an outage"
    clock(7)
    assert_problem(Client().get("/queues", headers=bear(WRONG)), 401)


def _away(*args: Any, **kwargs: Any) -> Any:
    raise OperationalError(2003, "away")


def test_a_process_hears_of_the_outage_from_the_others(make: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = token_cache.KnownTokens(), token_cache.KnownTokens()
    for known in (first, second):
        assert known.find(WRONG) is None
    clock(2)
    with monkeypatch.context() as patch:
        patch.setattr(ApiToken.objects, "filter", _away)
        for known in (first, second):  # the first one takes this second's look
            with pytest.raises(UnsureToken):
                known.find(WRONG)
    assert first.read_anew()
    clock(2)
    assert second.find(WRONG) is None


def test_a_token_made_just_after_a_reading_is_good_at_once(clock: Any) -> None:
    known = token_cache.KnownTokens()
    for _ in range(3):
        assert known.read_anew()
        _, secret = api_tokens.create_token(owner="ann", scope="read")
        assert known.find(secret) is not None
        clock(2)


def test_of_very_many_tokens_those_beyond_the_bound_are_looked_up(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "MOST_KNOWN", 2)
    made = [api_tokens.create_token(owner=f"owner {number}", scope="read") for number in range(4)]
    token_use.note_used({token.pk for token, _ in made[:2]})
    known = token_cache.KnownTokens()
    assert known.read_anew()
    assert len(known._bearers) == 2
    assert all(known.holds(secret) for _, secret in made[:2]), "those used last are in memory"
    third, fourth = (secret for _, secret in made[2:])
    assert known.find(third) is not None
    with pytest.raises(UnsureToken):
        known.find(fourth)  # the look of this second is taken: that is no reason to call it wrong
    clock(2)
    assert known.find(fourth) is not None
    clock(2)
    assert known.find(WRONG) is None


def test_last_use_is_noted_coarsely(make: Any) -> None:
    client = make("ann")
    start(client)
    token = ApiToken.objects.get()
    assert token.last_used_at is None
    began = datetime.now(UTC)
    token_use.note_used({token.pk})
    token.refresh_from_db()
    first = token.last_used_at
    assert began <= first <= datetime.now(UTC)
    token_use.note_used({token.pk})
    token.refresh_from_db()
    assert token.last_used_at == first


def test_nothing_of_the_secret_is_stored(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    _, secret = api_tokens.create_token(owner="ann", scope="read")
    token_cache.known.forget()
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    for method, path in routes(UNKNOWN):
        call(client, method, path)
    call(Client(headers={"Authorization": f"Bearer {WRONG}"}), "GET", "/tasks")
    row = str(ApiToken.objects.values().get())
    for text in (row, caplog.text):
        assert secret[api_tokens.SHOWN_CHARACTERS :] not in text
        assert WRONG not in text


# Rates


def test_a_token_over_its_rate_gets_429(make: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_minute=30)
    now = time.time()
    monkeypatch.setattr(rate_limit.time, "time", lambda: now)
    client, other = make("ann"), make("bob")
    assert [client.get("/queues").status_code for _ in range(31)] == [200] * 30 + [429]
    response = client.post("/tasks", {"name": "upload"}, content_type="application/json")
    assert_problem(response, 429)
    assert response["Retry-After"] == "2"
    assert other.get("/queues").status_code == 200
    assert Client().get("/health/live").status_code == 200
    monkeypatch.setattr(rate_limit.time, "time", lambda: now + 2.01)
    assert [client.get("/queues").status_code for _ in range(2)] == [200, 429]


def test_all_processes_share_the_buckets(settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    # At one and the same time, or the bucket fills while a process starts. 2 ** -8 seconds a request: no rounding.
    code = (
        "import django, sys, time; django.setup()\n"
        "from tasks_app.resilience import rate_limit\n"
        f"time.time = lambda: {time.time()!r}\n"
        "print(flush=True); sys.stdin.readline()\n"
        "print(sum(not rate_limit.take(7, per_minute=15_360) for _ in range(8_000)))"
    )
    from os import environ

    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**environ, "DATA_DIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
    for child in children:  # all are up: they take from one bucket at once, in each other's midst
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
    assert sum(int(child.communicate(timeout=60)[0]) for child in children) == 15_360


# The command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    call_command("token", *arguments)
    return json.loads(capsys.readouterr().out)


def test_the_command_makes_lists_and_revokes(capsys: pytest.CaptureFixture[str]) -> None:
    made = run(capsys, "create", "ann", "--scope", "read", "--expires-in", "30d", "--note", "CI", "--json")
    assert made["token"].startswith(token_cache.PREFIX)
    assert len(made["token"]) == 46
    assert (made["owner"], made["scope"], made["state"], made["note"]) == ("ann", "read", "valid", "CI")
    (listed,) = run(capsys, "list", "--json")
    assert listed == {name: value for name, value in made.items() if name != "token"}
    client = Client(headers={"Authorization": f"Bearer {made['token']}"})
    assert client.get("/queues").status_code == 200
    assert run(capsys, "revoke", str(made["id"]), "--json")["state"] == "revoked"
    token_cache.known.forget()
    assert client.get("/queues").status_code == 401
    with pytest.raises(CommandError, match="no token with id 999"):
        call_command("token", "revoke", "999")
    with pytest.raises(CommandError, match="30d"):
        call_command("token", "create", "ann", "--expires-in", "soon")


# What every answer carries


@pytest.mark.parametrize("path", ["/tasks", "/health/live", "/nothing", "/schema"])
def test_secure_headers_and_no_cors(path: str) -> None:
    response = Client().get(path, headers={"Origin": "https://evil.example"})
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]
    assert not response.cookies
    preflight = Client().options(
        path, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert not [name for name in preflight.headers if name.lower().startswith("access-control-")]
