"""The event loop's connection by TLS, a socket file, with a password, and by Sentinel: all answers, breaks, silence."""

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from loadtests.started.servers import IS_EMBEDDED
from tasks_app.queues import redis_connection, request_connection
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS
from tests.queues.redis_ways import DATABASE, WAYS, Way, reached
from tests.queues.running_calls import Loop, run

pytestmark = pytest.mark.skipif(IS_EMBEDDED, reason="the embedded stack's Valkey has neither TLS nor Sentinels")
ask = request_connection.shared_connection.execute_command
CALLS = 50


@pytest.fixture(scope="module", params=list(WAYS))
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    with WAYS[request.param](tmp_path_factory.mktemp("way")) as found:
        yield found


@pytest.fixture(autouse=True)
def _reached(way: Way) -> Iterator[None]:
    way.server.start()  # a test that failed may have left it dead
    with way.server.client() as client:
        client.flushall()
    with reached(way):
        yield


def count_open_files() -> int:
    gc.collect()  # connections of earlier tests, which would end in between
    return len(os.listdir("/proc/self/fd"))


async def send_to_paused(loop: Loop, way: Way, *words: Any) -> asyncio.Future[list[Any]]:
    """Pause the server, send it a command CALLS times, and return the future of their results."""
    way.server.pause()
    results = asyncio.ensure_future(loop.run(*[partial(ask, *words)] * CALLS))
    for _ in range(5):  # turns of the loop: the calls begin, and what they ask is sent
        await asyncio.sleep(0)
    return results


def test_many_commands_at_once_get_their_own_answers_of_any_size(way: Way) -> None:
    texts = [str(number) * (number * number) for number in range(200)]  # up to 120 KB, 3 MB together
    assert run(*(partial(ask, "ECHO", text) for text in texts)) == [text.encode() for text in texts]
    assert f" db={DATABASE} " in run(partial(ask, "CLIENT", "INFO"))[0].decode()


def test_values_larger_than_every_buffer(way: Way) -> None:
    values = [bytes([65 + number]) * 4_000_000 for number in range(5)]

    def store_and_load(number: int) -> bool:
        ask("SET", f"large-{number}", values[number])
        return bool(ask("GET", f"large-{number}") == values[number])

    assert run(*(partial(store_and_load, number) for number in range(5)), seconds=30) == [True] * 5


def test_a_killed_server_fails_what_is_in_flight_and_its_successor_gets_only_what_is_asked_next(way: Way) -> None:
    async def main() -> None:
        loop = Loop(redis_connection.get_connection, timeout_seconds=30)
        assert await loop.run(partial(ask, "PING")) == [b"PONG"]
        open_files = count_open_files()
        for restarts in range(1, 4):
            results = await send_to_paused(loop, way, "INCR", "count")
            way.server.kill()
            assert all(isinstance(result, UNAVAILABLE_ERRORS) for result in await results)
            way.server.start()
            assert await loop.run(partial(ask, "INCR", "count")) == [restarts]
        assert count_open_files() == open_files
        loop.close()
        assert count_open_files() < open_files

    asyncio.run(main())


def test_what_follows_the_end_of_a_connection_fails_and_is_not_sent_again(way: Way) -> None:
    async def main() -> None:
        loop = Loop(redis_connection.get_connection, timeout_seconds=30)
        ((number,), increment) = await loop.run(partial(ask, "CLIENT", "ID")), partial(ask, "INCR", "count")
        kill = partial(ask, "CLIENT", "KILL", "ID", number, "SKIPME", "no")
        results = await loop.run(*[increment] * CALLS, kill, *[increment] * CALLS)
        assert results[: CALLS + 1] == [*range(1, CALLS + 1), 1]
        assert all(isinstance(result, UNAVAILABLE_ERRORS) for result in results[CALLS + 1 :])
        assert await loop.run(increment) == [CALLS + 1]
        loop.close()

    asyncio.run(main())


def test_a_silent_server_is_a_timeout_for_each_and_a_new_connection_is_made_when_it_speaks(way: Way) -> None:
    async def main() -> None:
        loop = Loop(redis_connection.get_connection, timeout_seconds=0.4)
        assert await loop.run(partial(ask, "PING")) == [b"PONG"]
        open_files = count_open_files()
        try:
            for _ in range(2):  # on the connection, and while another one is being made
                began = time.monotonic()
                results = await (await send_to_paused(loop, way, "INCR", "count"))
                assert all(isinstance(result, UNAVAILABLE_ERRORS) for result in results)
                assert 0.3 < time.monotonic() - began < 2
        finally:
            way.server.resume()
        async with asyncio.timeout(20):
            while not isinstance((await loop.run(partial(ask, "INCR", "count")))[0], int):
                pass  # the connection that was begun while the server was silent may still fail
        # The server has read what was sent on the first connection. It got nothing of the second round.
        assert (await loop.run(partial(ask, "GET", "count")))[0] == str(CALLS + 1).encode()
        assert count_open_files() == open_files
        loop.close()

    asyncio.run(main())
