"""One worker, web and mirror for the tests of RQ's tools."""

from collections.abc import Generator, Iterator

import pytest

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import ProcfileStack


@pytest.fixture(scope="package")
def _stack(servers: tuple[Database, RedisServer]) -> Generator[ProcfileStack, None, None]:
    database, redis_server = servers
    stack = ProcfileStack(
        database=database,
        redis_server=redis_server,
        workers=1,
        environment={
            "DJANGO_SETTINGS_MODULE": "tests.support.engine_settings",
            "RETRY_ATTEMPTS": "1",
            "RESCUE_SECONDS": "0.2",
        },
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


@pytest.fixture
def stack(_stack: ProcfileStack) -> Iterator[ProcfileStack]:
    """One worker, web and mirror; shared, so each test checks its own tasks and leaves nothing paused."""
    _stack.ensure_running()
    yield _stack
    with _stack.redis() as client:
        client.delete("rq:suspended")
    for name in ("high", "low"):
        _stack.post(f"/queues/{name}/resume")
    for status in ("queued", "started"):
        for task in _stack.get(f"/tasks?status={status}").json["tasks"]:  # a failed test must not block the next one
            _stack.post(f"/tasks/{task['id']}/cancel")
