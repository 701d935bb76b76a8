"""The fixtures that every test may use: the private servers, a clean Redis, and the Procfile stack."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
import redis as redis_package
from django.db import connections

from loadtests.started.servers import Database, RedisServer, SQLite
from loadtests.started.stack import ProcfileStack
from tests.plugin import DATABASE_NAME, servers_key

MakeStack = Callable[..., ProcfileStack]


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> tuple[Database, RedisServer]:
    return request.config.stash[servers_key]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, servers: tuple[Database, RedisServer]) -> None:
    """SQLite's test database is a file, as in the embedded stack: one in memory knows no WAL."""
    database, _ = servers
    if isinstance(database, SQLite):
        name = database.directory / f"test_{DATABASE_NAME}.sqlite3"
        connections["default"].settings_dict["TEST"]["NAME"] = str(name)


@pytest.fixture
def redis(servers: tuple[Database, RedisServer]) -> Generator["redis_package.Redis", None, None]:
    """The Redis that the settings name; empty at the start of every test."""
    with servers[1].client() as client:
        yield client


@pytest.fixture(autouse=True)
def _empty_redis(servers: tuple[Database, RedisServer]) -> None:
    with servers[1].client() as client:
        client.flushdb()


@pytest.fixture(scope="session")
def _session_stack(servers: tuple[Database, RedisServer]) -> Generator[ProcfileStack, None, None]:
    database, redis_server = servers
    stack = ProcfileStack(database=database, redis_server=redis_server)
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


@pytest.fixture
def stack(_session_stack: ProcfileStack) -> ProcfileStack:
    """web, two workers and mirror, all running; shared by the tests, so look at your own tasks only."""
    _session_stack.ensure_running()
    return _session_stack


@pytest.fixture
def make_stack(servers: tuple[Database, RedisServer]) -> Generator[MakeStack, None, None]:
    """Starts a stack of the test's own: `make_stack(workers=1, environment={"LEASE_SECONDS": "1"})`."""
    database, redis_server = servers
    made: list[ProcfileStack] = []

    def make(**options: Any) -> ProcfileStack:
        made.append(ProcfileStack(database=database, redis_server=redis_server, **options))
        made[-1].start()
        return made[-1]

    yield make
    for stack in made:
        stack.close()
