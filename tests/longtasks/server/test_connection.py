"""What web's worker uses of gunicorn's: fails when gunicorn changes. Then the limits, on a worker without a process."""

import asyncio
import hashlib
import inspect
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from gunicorn.asgi import protocol
from gunicorn.asgi.protocol import ASGIProtocol, BodyReceiver
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gasgi import ASGIWorker

from longtasks.server import gunicorn_internals
from longtasks.server.gunicorn_internals import AsgiWorker, BoundedProtocol

# What BoundedProtocol and AsgiWorker rely on, by digest of its source. If one has changed, read it, then adapt both.
READ = {
    ASGIProtocol._handle_connection: "0a700ee84ffa1c0a",
    ASGIProtocol._feed_callback_parser: "44b3473e45b2068f",
    ASGIProtocol._on_headers_complete: "1222ff09893e8d5d",
    ASGIProtocol.connection_made: "036fff68093115e2",
    ASGIProtocol.connection_lost: "e3970b7c898c5cdb",
    ASGIProtocol._serve_http_request: "7137d7997b89467a",
    ASGIProtocol._close_transport: "02b41fa85b3454aa",
    BodyReceiver.receive: "11c3b55570a76b02",
    ASGIWorker._serve: "df822fcee5372e2b",
    ASGIWorker._shutdown: "dd29356808cc729a",
    ASGIWorker.run: "f7952bdda7bdeab6",
}
Respond = Callable[[Any, Any, Any], Awaitable[None]]
POST = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("function", READ, ids=lambda function: function.__qualname__)
def test_gunicorn_is_as_we_know_it(function: Any) -> None:
    digest = hashlib.blake2b(inspect.getsource(function).encode(), digest_size=8).hexdigest()
    assert digest == READ[function], f"{function.__qualname__} has changed: adapt {gunicorn_internals.__name__}"


def test_what_we_override_is_there() -> None:
    for ours, theirs in ((BoundedProtocol, ASGIProtocol), (AsgiWorker, ASGIWorker)):
        own = {"data_received", "eof_received", "check_time", "end_soon", "refuse", "has_room", "adopt", "forget"}
        overridden = {
            name
            for name, value in vars(ours).items()
            if inspect.isfunction(value) and name not in own and hasattr(theirs, name)
        }
        assert overridden
        for name in overridden - {"__init__"}:
            mine, other = inspect.signature(getattr(ours, name)), inspect.signature(getattr(theirs, name))
            required = [each for each in mine.parameters.values() if each.default is each.empty]
            assert len(required) <= len(other.parameters) <= len(mine.parameters) + 1, name


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the number of the body's bytes."""
    length, message = 0, {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        if message["type"] != "http.request":
            return
        length += len(message["body"])
    body = str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Client:
    """A connection to a worker that serves one application in this loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, worker: AsgiWorker) -> None:
        self.reader, self.writer, self.worker = reader, writer, worker

    @property
    def protocol(self) -> BoundedProtocol:
        (connection,) = self.worker.connections
        return connection

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read_to_end(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 10)

    async def read_status(self) -> int:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await self.reader.readexactly(int(line.split(b":")[1]))
        return int(head.split()[1])

    async def wait_until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)


def run(test: Callable[[Client], Awaitable[None]], *, app: Respond = echo, parser: str = "auto") -> None:
    async def main() -> None:
        config = Config()
        config.set("http_parser", parser)
        config.set("keepalive", 75)
        config.set("limit_request_field_size", 64 * 1024)
        config.set("limit_request_fields", 256)
        worker = AsgiWorker(0, 0, [], None, 60, config, Logger(config))
        worker.loop, worker.asgi = asyncio.get_running_loop(), app
        ours, theirs = socket.socketpair()
        worker.adopt(ours)
        client = Client(*await asyncio.open_unix_connection(sock=theirs), worker)
        await client.wait_until(lambda: worker.connections)
        try:
            await test(client)
        finally:
            client.writer.close()
            await client.wait_until(lambda: not worker.connections)
            worker.tmp.close()
        assert (worker.gathered_bytes, worker.busy, worker.nr_conns) == (0, 0, 0)

    asyncio.run(main())


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
    monkeypatch.setattr(gunicorn_internals, "BODY_BYTES", 100_000)

    async def test(client: Client) -> None:
        client.send(chunked(*[b"a" * 10_000] * 11))
        assert b" 413 " in await client.read_to_end()

    run(test, parser=parser)


def test_chunks_of_one_byte_have_a_limit_too(parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunicorn_internals, "CHUNKED_BYTES", 10_000)

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
            client.protocol.check_time(now + gunicorn_internals.GATHER_SECONDS - 5)
            assert not client.protocol._closed
            client.protocol.check_time(now + gunicorn_internals.GATHER_SECONDS + 5)
            assert client.protocol._closed
            assert b" 200 " not in await client.read_to_end()

        run(test)


def test_an_idle_connection_is_kept_and_its_next_request_has_the_time_of_the_first() -> None:
    async def test(client: Client) -> None:
        client.send(POST + b"\r\n")
        assert await client.read_status() == 200
        now = asyncio.get_running_loop().time()
        client.protocol.check_time(now + 60)
        assert not client.protocol._closed
        client.send(b"GET")
        await client.wait_until(lambda: client.protocol._gathered)
        client.protocol.check_time(now + 30)
        assert client.protocol._closed

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
        await client.wait_until(lambda: client.protocol._reading_paused)
        await asyncio.sleep(0.05)
        assert client.worker.gathered_bytes < 2 * 1024 * 1024
        go.set()
        for _ in range(1000):
            assert await client.read_status() == 200

    run(test, app=slow)


def test_all_connections_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(client: Client) -> None:
        client.worker.gathered_bytes = gunicorn_internals.GATHERED_BYTES
        client.send(POST + b"Content-Length: 5\r\n\r\n")
        answer = await client.read_to_end()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After" in answer
        client.worker.gathered_bytes -= gunicorn_internals.GATHERED_BYTES

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
        client.protocol.check_time(asyncio.get_running_loop().time() + gunicorn_internals.SEND_SECONDS + 1)
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
        client.protocol.check_time(asyncio.get_running_loop().time() + gunicorn_internals.CLOSING_SECONDS + 1)
        await client.wait_until(lambda: not client.worker.connections)

    run(test)


def test_a_worker_that_is_to_end_answers_once_more_and_closes() -> None:
    async def test(client: Client) -> None:
        client.send(POST + b"\r\n")
        assert await client.read_status() == 200
        client.worker.alive = False
        now = asyncio.get_running_loop().time()
        client.protocol.end_soon(now + gunicorn_internals.IDLE_SECONDS_AT_END)
        client.protocol.check_time(now + 1)
        client.send(POST + b"\r\n")
        answer = await client.read_to_end()
        assert b" 200 " in answer
        assert b"connection: close" in answer.lower()

    run(test)


def test_a_full_worker_accepts_again_when_a_connection_has_ended() -> None:
    async def main() -> None:
        config = Config()
        worker = AsgiWorker(0, 0, [], None, 60, config, Logger(config))
        worker.loop, worker.asgi, worker.worker_connections = asyncio.get_running_loop(), echo, 2
        server = socket.create_server(("127.0.0.1", 0))
        listener = gunicorn_internals.Listener(worker, server)
        worker._listeners.append(listener)
        clients = [await asyncio.open_connection(*server.getsockname()) for _ in range(4)]
        for turn in range(2):
            for _, writer in clients[2 * turn : 2 * turn + 2]:
                writer.write(POST + b"Connection: close\r\n\r\n")
            for reader, writer in clients[2 * turn : 2 * turn + 2]:
                assert b" 200 " in await asyncio.wait_for(reader.read(), 10)
                assert worker.nr_conns <= 2
                writer.close()
        async with asyncio.timeout(10):
            while worker.connections:
                await asyncio.sleep(0.01)
        listener.close()
        server.close()
        worker.tmp.close()

    asyncio.run(main())


def test_no_connection_is_upgraded() -> None:
    async def test(client: Client) -> None:
        headers = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        headers += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n")
        assert await client.read_status() == 200

    run(test)


def test_the_body_s_receiver_still_has_what_we_look_at() -> None:
    assert "_body_finished" in BodyReceiver.__slots__
    assert protocol.HIGH_WATER_LIMIT == 64 * 1024
