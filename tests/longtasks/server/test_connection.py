"""The limits of one connection, on a worker without a process of its own."""

import asyncio
from typing import Any

import pytest

from longtasks.server import connection, request_gatherer
from tests.longtasks.server.client import POST, Client, echo, run


@pytest.fixture(params=["auto", "python"])
def parser(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailer + b"\r\n"


def test_chunked_bodies_are_taken_also_in_pieces_and_with_a_request_behind(parser: str) -> None:
    async def test(client: Client) -> None:
        request = chunked(b"a" * 1000, b"b" * 500)
        client.send(request + request + POST + b"Content-Length: 2\r\n\r\nab")
        assert [await client.read_status() for _ in range(3)] == [200] * 3
        for start in range(0, len(request), 100):
            client.send(request[start : start + 100])
            await asyncio.sleep(0.001)
        assert await client.read_status() == 200

    run(test, parser=parser)


def test_chunked_bodies_have_the_limit_of_others(parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_gatherer, "BODY_BYTES", 100_000)

    async def test(client: Client) -> None:
        client.send(chunked(*[b"a" * 10_000] * 11))
        assert b" 413 " in await client.read_to_end()

    run(test, parser=parser)


def test_chunks_of_one_byte_have_a_limit_too(parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_gatherer, "CHUNKED_BYTES", 10_000)

    async def test(client: Client) -> None:
        client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 2_000)
        assert b" 413 " in await client.read_to_end()

    run(test, parser=parser)


@pytest.mark.parametrize(
    "headers",
    [
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_another_framing_is_refused(parser: str, headers: bytes) -> None:
    async def test(client: Client) -> None:
        client.send(POST + headers + b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await client.read_to_end()
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), answer
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"application/problem+json" in answer

    run(test, parser=parser)


def test_a_request_that_does_not_come_whole_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    for start in (
        b"",
        b"GET",
        POST,
        POST + b"Content-Length: 5\r\n\r\nab",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5",
    ):

        async def test(client: Client, start: bytes = start) -> None:
            client.send(start)
            await asyncio.sleep(0.02)
            now = asyncio.get_running_loop().time()
            client.protocol.check_time(now + connection.GATHER_SECONDS - 5)
            assert not client.protocol.is_closed
            client.protocol.check_time(now + connection.GATHER_SECONDS + 5)
            assert client.protocol.is_closed
            assert b" 200 " not in await client.read_to_end()

        run(test)


def test_an_idle_connection_is_kept_and_its_next_request_has_the_time_of_the_first() -> None:
    async def test(client: Client) -> None:
        client.send(POST + b"\r\n")
        assert await client.read_status() == 200
        now = asyncio.get_running_loop().time()
        client.protocol.check_time(now + 60)
        assert not client.protocol.is_closed
        client.send(b"GET")
        await client.wait_until(lambda: client.protocol._requests.waiting_bytes)
        client.protocol.check_time(now + 30)
        assert client.protocol.is_closed

    run(test)


def test_bytes_sent_ahead_wait_in_the_socket() -> None:
    go = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await echo(scope, receive, send)

    async def test(client: Client) -> None:
        client.send(POST + b"\r\n")
        await client.wait_until(lambda: client.protocol._is_busy)
        client.send((POST + b"\r\n") * 50_000)
        await client.wait_until(lambda: client.protocol.is_reading_paused)
        await asyncio.sleep(0.05)
        assert client.worker.gathered_bytes < 2 * 1024 * 1024
        go.set()
        for _ in range(1000):
            assert await client.read_status() == 200

    run(test, app=slow)


def test_all_connections_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(client: Client) -> None:
        client.worker.gathered_bytes = connection.GATHERED_BYTES
        client.send(POST + b"Content-Length: 5\r\n\r\n")
        answer = await client.read_to_end()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After" in answer
        client.worker.gathered_bytes -= connection.GATHERED_BYTES

    run(test)


def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    async def much(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})

    async def test(client: Client) -> None:
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.send(POST + b"\r\n")
        await client.wait_until(lambda: client.protocol._send_deadline < float("inf"))
        client.protocol.check_time(asyncio.get_running_loop().time() + connection.SEND_SECONDS + 1)
        await client.wait_until(lambda: not client.worker.connections)
        client.reader._transport.resume_reading()  # type: ignore[attr-defined]

    run(test, app=much)


def test_whoever_closes_its_half_gets_its_answer_and_the_application_learns_of_it() -> None:
    left = asyncio.Event()

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        left.set()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def test(client: Client) -> None:
        client.send(POST + b"Content-Length: 2\r\n\r\nab")
        client.writer.write_eof()
        assert b" 200 " in await client.read_to_end()
        assert left.is_set()

    run(test, app=wait)


def test_a_refused_client_can_read_why_though_it_still_sends() -> None:
    async def test(client: Client) -> None:
        client.send(POST + b"Content-Length: 99999999\r\n\r\n" + b"x" * 500_000)
        assert b" 413 " in await client.read_to_end()
        client.send(b"x" * 500_000)
        await asyncio.sleep(0.05)
        assert client.protocol._is_lingering
        client.protocol.check_time(asyncio.get_running_loop().time() + connection.CLOSING_SECONDS + 1)
        await client.wait_until(lambda: not client.worker.connections)

    run(test)


def test_a_worker_that_is_to_end_answers_once_more_and_closes() -> None:
    async def test(client: Client) -> None:
        client.send(POST + b"\r\n")
        assert await client.read_status() == 200
        client.worker.alive = False
        now = asyncio.get_running_loop().time()
        client.protocol.end_soon(now + connection.IDLE_SECONDS_AT_END)
        client.protocol.check_time(now + 1)
        client.send(POST + b"\r\n")
        answer = await client.read_to_end()
        assert b" 200 " in answer
        assert b"connection: close" in answer.lower()

    run(test)


def test_no_connection_is_upgraded() -> None:
    async def test(client: Client) -> None:
        headers = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        headers += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n")
        assert await client.read_status() == 200

    run(test)
