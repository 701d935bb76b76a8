"""Bodies that the application reads as they arrive: bounded memory, a rate instead of a deadline, and a clean end."""

import asyncio
from typing import Any

import pytest

from longtasks.server import connection
from tests.longtasks.server.client import POST, Client, Respond, echo, run

LIMIT = 50_000_000


@pytest.fixture(params=["auto", "python"])
def parser(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Reader:
    """An application that reads when the test lets it."""

    def __init__(self) -> None:
        self.may_read = asyncio.Semaphore(0)
        self.read_bytes = 0
        self.has_left = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            await self.may_read.acquire()
            message = await receive()
            if message["type"] != "http.request":
                self.has_left = True
                return
            self.read_bytes += len(message["body"])
            more = message.get("more_body")
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def read_on(self) -> None:
        for _ in range(100_000):
            self.may_read.release()


def refusing(status: int) -> Respond:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize("pieces", [[b"a" * 70_000], [b"a"] * 50, [b"ab", b"c" * 40_000, b"d"]])
def test_a_body_arrives_in_pieces_and_the_next_request_behind_it(parser: str, pieces: list[bytes]) -> None:
    async def test(client: Client) -> None:
        size = sum(map(len, pieces))
        for is_chunked in (False, True, False):
            client.send(
                POST + (b"Transfer-Encoding: chunked\r\n\r\n" if is_chunked else b"Content-Length: %d\r\n\r\n" % size)
            )
            for piece in pieces:
                client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
                await asyncio.sleep(0)
            if is_chunked:
                client.send(b"0\r\n\r\n")
            assert await client.read_status() == 200
        client.send((POST + b"Content-Length: 3\r\n\r\nabc") * 3)
        assert [await client.read_status() for _ in range(3)] == [200] * 3

    run(test, parser=parser, streamed_bytes=LIMIT)


def test_an_empty_body_is_complete(parser: str) -> None:
    async def test(client: Client) -> None:
        client.send((POST + b"Content-Length: 0\r\n\r\n") + (POST + b"\r\n"))
        assert [await client.read_status() for _ in range(2)] == [200] * 2

    run(test, parser=parser, streamed_bytes=LIMIT)


def test_the_client_waits_for_the_application(parser: str) -> None:
    reader = Reader()
    total = 20_000_000

    async def test(client: Client) -> None:
        client.send(POST + b"Content-Length: %d\r\n\r\n" % total)
        client.send(b"a" * total)
        await client.wait_until(lambda: client.protocol.is_reading_paused)
        held = client.protocol.unread_bytes
        assert connection.UNREAD_BYTES < held < 2 * connection.UNREAD_BYTES + 300_000
        client.protocol.check_time(client.worker.loop.time() + 10 * connection.GATHER_SECONDS)  # its time does not run
        reader.read_on()
        assert await client.read_status() == 201
        assert reader.read_bytes == total

    run(test, app=reader, parser=parser, streamed_bytes=LIMIT)


def test_a_slow_client_gets_408_and_a_steady_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    reader.read_on()

    async def test(client: Client) -> None:
        loop = client.worker.loop
        client.send(POST + b"Content-Length: 40000000\r\n\r\n")
        await client.wait_until(lambda: client.worker.busy)
        now, offset = loop.time, 0.0
        monkeypatch.setattr(loop, "time", lambda: now() + offset)  # sees each new offset
        rate = connection.STREAMED_BYTES_PER_SECOND
        for sent in range(1, 6):  # at the rate
            client.send(b"a" * rate * 10)
            await client.wait_until(lambda sent=sent: reader.read_bytes == sent * rate * 10)
            offset += 9.9
            client.protocol.check_time(loop.time())
            assert not client.protocol.is_closed
        for _ in range(3):  # a tenth of it
            client.send(b"a" * rate)
            await asyncio.sleep(0.01)
            offset += 9.9
            if client.worker.connections:
                client.protocol.check_time(loop.time())
        assert b" 408 " in await client.read_to_end()
        await client.wait_until(lambda: reader.has_left)

    run(test, app=reader, streamed_bytes=LIMIT)


def test_a_client_that_leaves_is_noticed(parser: str) -> None:
    reader = Reader()
    reader.read_on()

    async def test(client: Client) -> None:
        client.send(POST + b"Content-Length: 1000\r\n\r\nabc")
        await client.wait_until(lambda: reader.read_bytes == 3)
        client.writer.close()
        await client.wait_until(lambda: reader.has_left)

    run(test, app=reader, parser=parser, streamed_bytes=LIMIT)


def test_a_body_that_is_refused_before_its_end_is_not_the_next_request(parser: str) -> None:
    async def test(client: Client) -> None:
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client.send(POST + b"Content-Length: 1000\r\n\r\n" + smuggled)
        await asyncio.sleep(0.01)
        client.send(smuggled)
        answer = await client.read_to_end()
        assert (answer.count(b"HTTP/1.1 "), b" 401 " in answer) == (1, True)

    run(test, app=refusing(401), parser=parser, streamed_bytes=LIMIT)


def test_100_continue_is_sent_when_the_application_wants_the_body(parser: str) -> None:
    head = POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"

    async def wanted(client: Client) -> None:
        client.send(head)
        assert await client.read_status() == 100
        client.send(b"abc")
        assert await client.read_status() == 200

    async def refused(client: Client) -> None:
        client.send(head)
        answer = await client.read_to_end()
        assert answer.startswith(b"HTTP/1.1 401 ")

    run(wanted, app=echo, parser=parser, streamed_bytes=LIMIT)
    run(refused, app=refusing(401), parser=parser, streamed_bytes=LIMIT)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_over_the_limit_is_refused(parser: str, is_chunked: bool) -> None:
    async def test(client: Client) -> None:
        if is_chunked:
            client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n%b\r\n" % (b"a" * 1000) * 11)
        else:
            client.send(POST + b"Content-Length: 10001\r\n\r\n")
        answer = await client.read_to_end()
        assert b" 413 " in answer
        assert b"10000 bytes" in answer

    run(test, parser=parser, streamed_bytes=10_000)


def test_chunks_of_one_byte_have_a_limit_too(parser: str) -> None:
    async def test(client: Client) -> None:
        client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 4_000)
        assert b" 413 " in await client.read_to_end()

    run(test, parser=parser, streamed_bytes=10_000)


def test_a_worker_that_is_to_end_lets_an_upload_finish() -> None:
    reader = Reader()
    reader.read_on()

    async def test(client: Client) -> None:
        client.send(POST + b"Content-Length: 6\r\n\r\nabc")
        await client.wait_until(lambda: reader.read_bytes == 3)
        client.protocol.end_soon(client.worker.loop.time())
        client.protocol.check_time(client.worker.loop.time())
        client.send(b"def")
        assert await client.read_status() == 201

    run(test, app=reader, streamed_bytes=LIMIT)
