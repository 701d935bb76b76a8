"""A client of a worker that has no process of its own. Must not: know pytest."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from longtasks.server.connection import Connection
from longtasks.server.worker import AsgiWorker

Respond = Callable[[Any, Any, Any], Awaitable[None]]
POST = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\n"


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
    def protocol(self) -> Connection:
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


def run(
    test: Callable[[Client], Awaitable[None]], *, app: Respond = echo, parser: str = "auto", streamed_bytes: int = 0
) -> None:
    """Run a test; with `streamed_bytes`, the application reads all bodies as they arrive, up to so many bytes."""

    async def main() -> None:
        config = Config()
        config.set("http_parser", parser)
        config.set("keepalive", 75)
        config.set("limit_request_field_size", 64 * 1024)
        config.set("limit_request_fields", 256)
        worker = AsgiWorker(0, 0, [], None, 60, config, Logger(config))
        worker.loop, worker.asgi = asyncio.get_running_loop(), app
        if streamed_bytes:
            worker.find_streamed_bytes = lambda head: streamed_bytes
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
