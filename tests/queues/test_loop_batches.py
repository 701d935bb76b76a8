"""The loop's connection to Redis has one batch in flight: what is asked meanwhile leaves together after it, or not at all."""

import asyncio
import socket
from functools import partial
from typing import Any

import redis as redis_package

from tasks_app.queues import request_connection
from tests.queues.running_calls import Loop

ask = request_connection.shared_connection.execute_command
SECONDS = 5.0


class Answerer:
    """A server for one connection: the test reads what has arrived, and decides when to answer."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        port = self._listener.getsockname()[1]
        self._pool = redis_package.ConnectionPool(
            host="127.0.0.1", port=port, protocol=2, driver_info=None, socket_timeout=SECONDS
        )
        self._client: socket.socket | None = None

    def get_client(self) -> Any:
        return redis_package.Redis(connection_pool=self._pool)

    async def read(self) -> bytes:
        """Return the next bytes that arrive."""
        loop = asyncio.get_running_loop()
        if self._client is None:
            self._client, _ = await asyncio.wait_for(loop.sock_accept(self._listener), SECONDS)
            self._client.setblocking(False)
        return await asyncio.wait_for(loop.sock_recv(self._client, 65536), SECONDS)

    async def answer(self, *answers: bytes) -> None:
        assert self._client is not None
        await asyncio.get_running_loop().sock_sendall(self._client, b"".join(b"+%b\r\n" % each for each in answers))

    def is_silent(self) -> bool:
        """Return whether nothing more has arrived."""
        assert self._client is not None
        try:
            self._client.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        for each in (self._client, self._listener):
            if each is not None:
                each.close()
        self._pool.disconnect()


async def take_turns(count: int = 5) -> None:
    """Let the loop go round, so that what is to be sent in this turn has been sent."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_is_asked_while_a_batch_is_in_flight_leaves_together_after_it() -> None:
    async def main() -> list[Any]:
        server = Answerer()
        loop = Loop(server.get_client, timeout_seconds=SECONDS)
        first = asyncio.ensure_future(loop.run(partial(ask, "ECHO", "one")))
        assert b"one" in await server.read()
        others = []
        for word in ("two", "three"):  # in two turns of the loop
            others.append(asyncio.ensure_future(loop.run(partial(ask, "ECHO", word))))
            await take_turns()
        assert server.is_silent()
        await server.answer(b"1")
        batch = await server.read()
        assert batch.count(b"ECHO") == 2
        await server.answer(b"2", b"3")
        results = [*await first, *await others[0], *await others[1]]
        loop.close()
        server.close()
        return results

    assert asyncio.run(main()) == [b"1", b"2", b"3"]


def test_a_command_that_never_left_times_out_and_is_not_sent_later() -> None:
    async def main() -> None:
        server = Answerer()
        loop = Loop(server.get_client, timeout_seconds=0.4)
        first = asyncio.ensure_future(loop.run(partial(ask, "ECHO", "one")))
        await server.read()
        second = asyncio.ensure_future(loop.run(partial(ask, "ECHO", "two")))
        await take_turns()
        for each in (first, second):
            (result,) = await asyncio.wait_for(each, SECONDS)
            assert isinstance(result, redis_package.exceptions.TimeoutError)
        await server.answer(b"1")
        await take_turns()
        assert b"two" not in await server.read()  # the connection was closed
        loop.close()
        server.close()

    asyncio.run(main())
