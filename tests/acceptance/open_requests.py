"""An open load of requests at a fixed rate in one event loop; each is sent when it is due and has its own connection.

Owns when each request was sent and how it was answered. A failure of the connection is recorded, never repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass

REQUEST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request: the times of its start and its answer (time.monotonic), and its status; 0 with a fault: no answer."""

    sent_at: float
    answered_at: float
    status: int
    fault: str = ""

    @property
    def seconds(self) -> float:
        return self.answered_at - self.sent_at


class OpenRequests:
    """Sends one request `rate` times a second until `stop` is called; `exchanges` is complete when `run` returns."""

    def __init__(self, *, port: int, rate: float, request: bytes) -> None:
        self._port, self._rate, self._request = port, rate, request
        self._is_stopped = False
        self.exchanges: list[Exchange] = []

    def stop(self) -> None:
        self._is_stopped = True

    async def run(self) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            number = 0
            while not self._is_stopped:
                group.create_task(self._exchange())
                number += 1
                await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))

    async def _exchange(self) -> None:
        sent_at = time.monotonic()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                with contextlib.closing(writer):
                    writer.write(self._request)
                    status = await read_status(reader)
        except (OSError, EOFError, TimeoutError) as error:
            self.exchanges.append(Exchange(sent_at, time.monotonic(), 0, repr(error)))
        else:
            self.exchanges.append(Exchange(sent_at, time.monotonic(), status))


async def read_status(reader: asyncio.StreamReader) -> int:
    """Read one whole answer and return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(maxsplit=2)[1])


def compose_start(*, description: str = "") -> bytes:
    """Return a POST that starts an upload of one record."""
    body = json.dumps({"name": "upload", "params": {"numRecords": 1}, "description": description}).encode()
    return (
        b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body


def compose_probe() -> bytes:
    """Return a GET of /health/live."""
    return b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
