"""Sends requests at a fixed rate from one event loop, each on a connection of its own choice, and keeps every outcome.

Owns the difference between a refusal, a reset and a silence, which wrk and h2load only count as errors. For rates of
some hundred requests a second.
"""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final, NamedTuple

REFUSED, RESET, SILENT = "refused", "reset", "silent"
ANSWER_SECONDS: Final = 30.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Outcome(NamedTuple):
    """How a request ended: its status, or 0 and the reason. `due_at` is a time of the monotonic clock."""

    due_at: float
    seconds: float  # from due_at to the answer
    status: int
    failure: str = ""

    @property
    def ended_at(self) -> float:
        return self.due_at + self.seconds


class Client:
    """The connections to one port."""

    def __init__(self, port: int, *, is_keeping: bool) -> None:
        self._port = port
        self._is_keeping = is_keeping
        self._idle: list[Streams] = []

    async def send_at_rate(self, request: bytes, *, rate: int, is_over: Callable[[], bool]) -> list[Outcome]:
        """Send `request` at `rate` until `is_over()`, late answers or not; returns when all have ended."""
        began_at = monotonic()
        running: list[asyncio.Task[Outcome]] = []
        while not is_over():
            due_at = began_at + len(running) / rate
            await asyncio.sleep(max(0.0, due_at - monotonic()))
            running.append(asyncio.create_task(self._send(request, due_at)))
        outcomes = await asyncio.gather(*running)
        self.close()
        return list(outcomes)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _send(self, request: bytes, due_at: float) -> Outcome:
        status, failure = 0, ""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status = await self._exchange(request)
        except ConnectionRefusedError:
            failure = REFUSED
        except TimeoutError:
            failure = SILENT
        except (OSError, EOFError):
            failure = RESET
        return Outcome(due_at, monotonic() - due_at, status, failure)

    async def _exchange(self, request: bytes) -> int:
        streams = self._find_idle() or await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = streams
        is_kept = False
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            is_kept = self._is_keeping and b"connection: close" not in head
        finally:
            if is_kept:
                self._idle.append(streams)
            else:
                writer.close()
        return int(head[9:12])

    def _find_idle(self) -> Streams | None:
        """Return a connection that the server has not closed, as far as a client can know."""
        while self._idle:
            streams = self._idle.pop()
            if not streams[0].at_eof() and not streams[1].is_closing():
                return streams
            streams[1].close()
        return None


def compose_request(method: str, path: str, *, body: str = "", headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class OpenStream:
    """A live stream: counts what it receives until the server ends it."""

    def __init__(self, streams: Streams, reading: asyncio.Task[None]) -> None:
        self._writer = streams[1]
        self._reading = reading
        self.received_at: float = 0.0

    @classmethod
    async def open(cls, port: int, path: str) -> "OpenStream":
        """Open a stream and wait for its first bytes."""
        streams = await asyncio.open_connection("127.0.0.1", port)
        streams[1].write(compose_request("GET", path, headers={"Accept": "text/event-stream"}))
        head = await streams[0].readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(head.decode(errors="replace"))
        stream: OpenStream

        async def read() -> None:
            while await streams[0].read(65536):
                stream.received_at = monotonic()

        stream = cls(streams, asyncio.create_task(read()))
        return stream

    @property
    def is_open(self) -> bool:
        return not self._reading.done()

    def close(self) -> None:
        self._reading.cancel()
        self._writer.close()


async def wait_for(condition: Callable[[], bool], *, deadline_seconds: float, every_seconds: float = 0.02) -> bool:
    """Return whether `condition()` became true in time. It runs in a thread: it may read files."""
    deadline = monotonic() + deadline_seconds
    while not await asyncio.to_thread(condition):
        if monotonic() > deadline:
            return False
        await asyncio.sleep(every_seconds)
    return True
