"""A crowd of clients that hold connections open and send almost nothing. Must not: know pytest."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Final

STREAMS_OF_ADDRESS: Final = 100  # that web allows
OPEN_SECONDS: Final = 120.0
_SLOW_HEAD: Final = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
_SLOW_BODY: Final = (
    b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
)


class Crowd:
    """Open streams of one task, and clients that send a byte a second: of a head, or of a body."""

    def __init__(self, port: int, *, task_id: str) -> None:
        self._port, self._task_id = port, task_id
        self._ready = threading.Event()
        self.open_streams = self.slow_bytes = 0
        self.refusals: list[bytes] = []

    @contextlib.contextmanager
    def present(self, *, streams: int, slow: int) -> Iterator[None]:
        """Have all of them connected during the block."""
        thread = threading.Thread(target=lambda: asyncio.run(self._be_there(streams, slow)))
        thread.start()
        try:
            if not self._ready.wait(OPEN_SECONDS):
                raise TimeoutError(f"{self.open_streams} of {streams} streams are open; refused: {self.refusals[:1]}")
            yield
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join()

    async def _be_there(self, streams: int, slow: int) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        clients = [
            asyncio.create_task(self._watch(f"127.0.1.{number // STREAMS_OF_ADDRESS}")) for number in range(streams)
        ]
        clients += [
            asyncio.create_task(self._be_slow(_SLOW_HEAD if number % 2 else _SLOW_BODY)) for number in range(slow)
        ]
        checking = asyncio.create_task(self._check(streams, slow))
        await self._stop.wait()
        for client in (checking, *clients):
            client.cancel()
        await asyncio.gather(checking, *clients, return_exceptions=True)

    async def _check(self, streams: int, slow: int) -> None:
        while self.open_streams < streams or self.slow_bytes < slow:
            await asyncio.sleep(0.05)
        self._ready.set()

    async def _watch(self, address: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0))
        try:
            writer.write(f"GET /tasks/{self._task_id}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            status = await reader.readline()
            if b" 200 " not in status:
                self.refusals.append(status)
                return
            self.open_streams += 1
            while await reader.read(65536):
                pass
            self.open_streams -= 1
        finally:
            writer.close()

    async def _be_slow(self, start: bytes) -> None:
        while True:  # web closes each after 20 seconds
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(start)
                    while not writer.is_closing():
                        writer.write(b" ")
                        await writer.drain()
                        self.slow_bytes += 1
                        await asyncio.sleep(1)
                finally:
                    writer.close()
