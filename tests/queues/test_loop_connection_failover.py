"""The event loop's connection during a failover: a Sentinel promotes the replica while commands are in flight."""

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loadtests.started.servers import IS_EMBEDDED
from longtasks.local_stack.child_process import wait_until
from tasks_app.queues import redis_connection, request_connection
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS
from tests.queues.redis_ways import DATABASE, Way, by_sentinel, reached
from tests.queues.running_calls import Loop

pytestmark = pytest.mark.skipif(IS_EMBEDDED, reason="the embedded stack has no Sentinels")
ask = request_connection.shared_connection.execute_command
IDLE = 5
CALLS = 20


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    with by_sentinel(tmp_path, down_seconds=0.5) as found, reached(found):
        yield found


def is_promoted(way: Way) -> bool:
    assert way.sentinel is not None
    assert way.replica is not None
    return way.sentinel.has_primary(way.replica.port)


def is_demoted(way: Way) -> bool:
    """Return whether the old primary has become a replica; until then it accepts writes that are lost."""
    with way.server.client() as client:
        return str(client.info("replication")["role"]) == "slave"


def test_commands_reach_the_new_primary_and_none_is_sent_twice(way: Way) -> None:
    """The old primary closes its connections when it becomes a replica, in the middle of many commands."""
    promoted, last = threading.Event(), dict.fromkeys(range(CALLS), "")

    def write_until_promoted(number: int) -> int:
        """Append entries of its own until the new primary has confirmed one; return how many failed."""
        failures = entries = 0
        while True:
            is_last, entries = promoted.is_set(), entries + 1
            try:
                ask("RPUSH", "entries", f"{number}:{entries}")
            except UNAVAILABLE_ERRORS:
                failures += 1
                continue
            last[number] = f"{number}:{entries}"
            if is_last:
                return failures

    def fail_over() -> None:
        assert way.sentinel is not None
        way.sentinel.fail_over()
        assert wait_until(lambda: is_promoted(way) and is_demoted(way), deadline_seconds=60)
        promoted.set()

    async def main() -> list[Any]:
        loop = Loop(redis_connection.get_connection, timeout_seconds=5)
        results = asyncio.ensure_future(loop.run(*(partial(write_until_promoted, number) for number in range(CALLS))))
        while not all(last.values()):
            await asyncio.sleep(0)
        await asyncio.to_thread(fail_over)
        async with asyncio.timeout(60):
            found = await results
        loop.close()
        return found

    failures = asyncio.run(main())
    assert all(isinstance(each, int) for each in failures), failures
    assert sum(failures) > 0, "no command was in flight when the old primary closed its connections"
    assert way.replica is not None
    with way.replica.client(DATABASE) as client:
        entries = [entry.decode() for entry in client.lrange("entries", 0, -1)]
    assert len(entries) == len(set(entries)), "a command was sent twice"
    for number in range(CALLS):
        own = [entry for entry in entries if entry.startswith(f"{number}:")]
        assert own == sorted(own, key=lambda entry: int(entry.partition(":")[2]))
    assert set(last.values()) <= set(entries)


def test_after_a_hung_primary_the_first_new_connection_reaches_its_successor(way: Way) -> None:
    """Although the pool, which the process's threads use, has idle connections to the old one."""
    pool = redis_connection.get_connection().connection_pool
    for idle in [pool.get_connection() for _ in range(IDLE)]:
        pool.release(idle)

    async def main() -> None:
        loop = Loop(redis_connection.get_connection, timeout_seconds=0.4)
        assert await loop.run(partial(ask, "SET", "key", "before")) == [b"OK"]
        way.server.pause()
        results = await loop.run(*[partial(ask, "SET", "key", "lost")] * CALLS)
        assert all(isinstance(result, UNAVAILABLE_ERRORS) for result in results)
        assert await asyncio.to_thread(wait_until, lambda: is_promoted(way), deadline_seconds=60)
        assert await loop.run(*[partial(ask, "SET", "key", "after")] * CALLS) == [b"OK"] * CALLS
        loop.close()

    asyncio.run(main())
    assert way.replica is not None
    with way.replica.client(DATABASE) as client:
        assert client.get("key") == b"after"
