"""A server that answers every request at once and does nothing."""

from __future__ import annotations

import asyncio
import contextlib


async def serve_nothing(port_told: asyncio.Future[int]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port_told.set_result(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def serve_and_print_port() -> None:
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    told.add_done_callback(lambda done: print(done.result(), flush=True))
    await serve_nothing(told)
