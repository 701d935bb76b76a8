"""A stack as in production: with tokens, webhooks and the live stream."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import ALL_ROLES, Answer, ProcfileStack
from tests.acceptance.web_process import run_web


@dataclass
class Guarded:
    """A stack whose API requires tokens, and tokens of two owners and an administrator."""

    stack: ProcfileStack
    ann: dict[str, str]
    bob: dict[str, str]
    admin: dict[str, str]

    def make_token(self, owner: str, *, scope: str = "write") -> tuple[int, dict[str, str]]:
        made = json.loads(self.stack.manage("token", "create", owner, "--scope", scope, "--json").splitlines()[-1])
        return made["id"], {"Authorization": f"Bearer {made['token']}"}

    def start(self, *, records: int = 1, headers: dict[str, str] | None = None) -> str:
        answer: Answer = self.stack.post(
            "/tasks", {"name": "upload", "params": {"numRecords": records}}, headers=headers or self.ann
        )
        assert answer.status == 201, answer
        return str(answer.json["id"])


@contextmanager
def make_guarded(
    servers: tuple[Database, RedisServer], *, environment: Mapping[str, str] | None = None
) -> Iterator[Guarded]:
    """A guarded stack that lives as long as the block."""
    stack = ProcfileStack(
        database=servers[0],
        redis_server=servers[1],
        roles=ALL_ROLES,
        environment={
            "API_OPEN": "0",
            "WEBHOOK_SECRET": "s" * 32,
            "WEBHOOK_FIRST_SECONDS": "0.2",
            "REDIS_TIMEOUT_SECONDS": "10",  # these tests do not test a disk that stalls for two seconds
            "RATE_LIMIT_PER_ADDRESS": "0",
            **(environment or {}),
        },
    )
    guarded = Guarded(stack, {}, {}, {})
    try:
        stack.start()
        guarded.ann = guarded.make_token("ann")[1]
        guarded.bob = guarded.make_token("bob")[1]
        guarded.admin = guarded.make_token("root", scope="admin")[1]
        # The process that finds the newest token notifies the others, which then query too, even in a flood.
        stack.wait_for(
            lambda: stack.get("/queues", headers=guarded.admin).status == 200,
            deadline_seconds=30,
            what="the tokens are known",
        )
        yield guarded
    finally:
        stack.close()


@pytest.fixture(scope="session")
def _guarded(servers: tuple[Database, RedisServer]) -> Iterator[Guarded]:
    with make_guarded(servers) as guarded:
        yield guarded


@pytest.fixture
def guarded(_guarded: Guarded) -> Guarded:
    """The shared guarded stack with all its processes running."""
    _guarded.stack.ensure_running()
    return _guarded


@pytest.fixture(scope="module", params=["auto", "python"])
def web(servers: tuple[Database, RedisServer], request: pytest.FixtureRequest) -> Iterator[ProcfileStack]:
    """One process of web, with each of gunicorn's parsers, and no worker."""
    with run_web(servers, environment={"GUNICORN_CMD_ARGS": f"--http-parser={request.param}"}) as stack:
        yield stack
