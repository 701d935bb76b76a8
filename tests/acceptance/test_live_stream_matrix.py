"""The stream's part of the matrix of doors and callers (tests/security), on a live stack."""

import http.client
import uuid
from contextlib import closing

import pytest

from tasks_app.auth.token_cache import PREFIX, digest_of
from tests.acceptance.conftest import Guarded
from tests.security.callers import NOT_VALID, OTHERS, SCOPES, Caller
from tests.security.doors import STREAM, Door, list_doors
from tests.security.rules import rule_of

CELLS = 140
DEADLINE_SECONDS = 30.0


@pytest.fixture
def headers(guarded: Guarded) -> dict[str, dict[str, str]]:
    """The headers of each caller. The token rows are inserted directly: a command for each would take seconds."""
    made = {}
    for name in (*NOT_VALID, *SCOPES):
        secret = PREFIX + uuid.uuid4().hex
        made[name] = {"Authorization": f"Bearer {secret}"}
        if name in ("nobody", "malformed header", "unknown token"):
            continue
        owner = "bob" if name in OTHERS else "ann"
        scope = name.rpartition(" ")[2] if name in SCOPES else "admin"
        now, past = "2026-01-01 00:00:00", "2026-01-02 00:00:00"
        guarded.stack.sql(
            "INSERT INTO tasks_app_apitoken (owner, scope, note, digest, prefix, created_at, created_by, expires_at, revoked_at)"
            " VALUES (%s, %s, '', %s, %s, %s, '', %s, %s)",
            owner, scope, digest_of(secret), secret[:10], now, past if name == "expired" else None,
            past if name == "revoked" else None,
        )  # fmt: skip
    made["nobody"] = {}
    made["malformed header"] = {"Authorization": "Bearer: x,, Basic"}
    return made


def ask(guarded: Guarded, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """The status, and the body where it is an error's."""
    connection = http.client.HTTPConnection("127.0.0.1", guarded.stack.port, timeout=DEADLINE_SECONDS)
    with closing(connection):
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, b"" if response.status == 200 else response.read()


def test_every_caller_gets_the_expected_answer_at_the_stream(
    guarded: Guarded, headers: dict[str, dict[str, str]]
) -> None:
    task_id = guarded.start(records=3)
    guarded.stack.wait_for(  # a new token is queried once a second
        lambda: ask(guarded, "GET", "/stream", headers["other's write"])[0] == 200,
        deadline_seconds=DEADLINE_SECONDS,
        what="the stream knows the new tokens",
    )
    doors = [door for door in list_doors() if door.route.startswith(STREAM)]
    wrong, cells = [], 0
    for door in doors:
        path = "/" + door.route.removeprefix(STREAM).replace("<str:task_id>", task_id)
        for name, sent in headers.items():
            cells += 1
            statuses = expect(door, name)
            status, body = ask(guarded, door.method, path, sent)
            if status not in statuses:
                wrong.append(f"{door} as {name}: answers {status} instead of {statuses}")
            if b"ann" in body or b"upload" in body:
                wrong.append(f"{door} as {name}: tells {body!r}")
    assert not wrong, "\n".join(wrong)
    assert cells >= CELLS


def expect(door: Door, name: str) -> set[int]:
    """Return the statuses that a door's rule expects for a caller by header."""
    rule = rule_of(door)
    assert rule is not None, f"Say in RULES of tests/security/rules.py who may use {door}"
    return set(rule.expect(Caller(name, client=None), door)[1])  # type: ignore[arg-type]
