"""One connection of web: its requests reach the application one at a time, and it is closed when its time is over.

Owns: the order of a connection's requests, its time limits, its share of the process's memory, and its end.
Must not: read a head (request_gatherer), or use gunicorn's private parts (gunicorn_internals).
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from longtasks.http.early_problems import RETRY_SECONDS, format_problem
from longtasks.http.request_head import Refused
from longtasks.server.gunicorn_internals import GunicornProtocol
from longtasks.server.request_gatherer import RequestGatherer

if TYPE_CHECKING:
    from longtasks.server.worker import AsgiWorker

GATHER_SECONDS: Final = 20.0  # from the first byte of a request, or the connection's start, to its last byte
SEND_SECONDS: Final = 20.0  # for a client that does not read its answer
CLOSING_SECONDS: Final = 2.0  # for a client to close its end after the last answer
IDLE_SECONDS_AT_END: Final = 2.0  # in which a worker that is to end still answers a request on an idle connection
HELD_BACK_SECONDS: Final = 1.0  # a client that is refused for sending too many is answered later, and sends fewer
GATHERED_BYTES: Final = 64 * 1024 * 1024  # of all connections of this process together
AHEAD_BYTES: Final = 64 * 1024  # of the requests that a client sends before it has its answer; then its socket waits
STREAMED_BYTES_PER_SECOND: Final = 16 * 1024  # of a body that the application reads as it arrives: at least, on average
UNREAD_BYTES: Final = 256 * 1024  # of such a body, before its client's socket waits
_DISCONNECT_SECONDS: Final = 0.01
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NEVER: Final = math.inf


class Connection(GunicornProtocol):
    """One connection. Its time limits are checked in the worker's sweeps, because timers for each request cost more."""

    def __init__(self, worker: AsgiWorker) -> None:
        super().__init__(worker)
        self._requests = RequestGatherer(worker.find_streamed_bytes)
        self._counted_bytes = 0  # in the worker's sum
        self._is_busy = False  # a request is with the application
        self._has_client_ended = False  # the client has closed its half
        self._is_lingering = False  # our half is closed, and the client may still read the last answer
        self._deadline = worker.loop.time() + GATHER_SECONDS
        self._send_deadline = _NEVER
        self._left_seconds = 0.0  # of a streamed body while its client has to wait: the deadline after that

    # From the client

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.worker.connections.add(self)
        if not self.worker.alive:  # it was accepted just before
            self.end_soon(self.worker.loop.time() + IDLE_SECONDS_AT_END)

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            return
        requests = self._requests
        # Blank lines begin no request: with them, a client could keep an idle connection forever.
        if not self._is_busy and not requests.waiting_bytes and data.lstrip(b"\r\n"):
            self._deadline = self.worker.loop.time() + GATHER_SECONDS
        requests.add(data)
        if not self._is_busy:
            self._advance()
        elif requests.is_arriving:
            if requests.is_streamed:
                self._extend_deadline(len(data))
            self._parse_chunks()
        elif requests.waiting_bytes > AHEAD_BYTES:
            self.pause_reading()
        self._count()

    def eof_received(self) -> bool:
        """Answer a client that has closed its half alone; its request waits for no task's end any more."""
        self._has_client_ended = True
        if self._is_lingering or not self._is_busy or self._requests.is_arriving:
            return False
        self._notify_end()
        return True

    def _notify_end(self) -> None:
        if not self._is_busy:
            return
        if self.has_read_body():
            self.notify_disconnect()
        else:  # the application would take the body for cut off
            self.worker.loop.call_later(_DISCONNECT_SECONDS, self._notify_end)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_request()
        self._requests.clear()
        self._count()
        self.worker.forget(self)

    # To the application

    def _advance(self) -> None:
        """Pass the next request on if it has arrived."""
        try:
            has_arrived = self._requests.find_request()
        except Refused as refused:
            self.refuse(refused.status, refused.detail)
            return
        if self._requests.owes_continue:
            self._requests.owes_continue = False
            self.write(_CONTINUE)
        if has_arrived:
            self._begin_request()

    def _begin_request(self) -> None:
        self._is_busy = True
        self.worker.busy += 1
        wait_seconds = self._find_wait_seconds()
        if wait_seconds:
            # If they were refused at once, clients that then send the next request would occupy this loop.
            self.pause_reading()
            later = partial(self.refuse, 429, retry_after_seconds=math.ceil(wait_seconds))
            self.worker.loop.call_later(HELD_BACK_SECONDS, later)
            return
        is_arriving = self._requests.is_arriving
        if not is_arriving:
            self._deadline = _NEVER
        if not self.parse(self._requests.pass_request()):
            return
        if is_arriving:
            if self._requests.is_streamed:
                self._deadline = self.worker.loop.time() + GATHER_SECONDS
            else:
                self.forget_continue()  # it was sent above, if it was requested
            self._parse_chunks()
        elif not self.is_parsed:
            self.refuse(400)

    def _find_wait_seconds(self) -> float:
        find = self.worker.find_wait_seconds
        if find is None:
            return 0.0
        client = self.transport.get_extra_info("peername")
        peer = client[0] if isinstance(client, tuple) else ""
        return float(find(self._requests.head, peer))

    def _parse_chunks(self) -> None:
        data = self._requests.pass_chunks()
        if data and not self.parse(data):
            return
        try:
            self._requests.check_chunks(is_complete=self.is_parsed)
        except Refused as refused:
            self.refuse(refused.status, refused.detail)
            return
        if not self._requests.is_arriving:
            self._deadline = _NEVER
        elif self._requests.is_streamed and self.unread_bytes > UNREAD_BYTES and not self.is_reading_paused:
            self._left_seconds = self._deadline - self.worker.loop.time()
            self._deadline = _NEVER  # the client waits for the application
            self.pause_reading()

    def _extend_deadline(self, size: int) -> None:
        """Give the client of a streamed body time for the next bytes: GATHER_SECONDS at most."""
        most = self.worker.loop.time() + GATHER_SECONDS
        self._deadline = min(most, self._deadline + size / STREAMED_BYTES_PER_SECOND)

    def on_body_taken(self) -> None:
        if not self.is_reading_paused or self.unread_bytes > UNREAD_BYTES // 2:
            return
        if self._requests.is_streamed and self._requests.is_arriving:
            self._deadline = self.worker.loop.time() + self._left_seconds
        self.resume_reading()

    def _count(self) -> None:
        """Count the connection's bytes in the worker's sum, and refuse its request if the sum is too large."""
        held_bytes = self._requests.held_bytes
        if held_bytes == self._counted_bytes:
            return
        self.worker.gathered_bytes += held_bytes - self._counted_bytes
        self._counted_bytes = held_bytes
        is_gathering = not self._is_busy or (self._requests.is_arriving and not self._requests.is_streamed)
        if self.worker.gathered_bytes > GATHERED_BYTES and held_bytes and is_gathering:
            self.refuse(503)

    # From gunicorn

    def on_body(self, size: int) -> None:
        self._requests.count_body(size)

    def on_excess(self, data: bytes) -> None:
        self._requests.put_back(data)

    def on_answered(self) -> bool:
        if self._requests.is_arriving:  # refused before its end: what still arrives is not the next request
            self.close()
        self._end_request()
        # gunicorn's loop resets its parser first, and then waits.
        self.worker.loop.call_soon(self._begin_next)
        return not self._has_client_ended

    def on_idle(self) -> None:
        seconds = self.keepalive_seconds if self.worker.alive else IDLE_SECONDS_AT_END
        self._deadline = self.worker.loop.time() + (GATHER_SECONDS if self._requests.waiting_bytes else seconds)

    def on_malformed(self, status: int, message: str) -> None:
        """Answer with a problem. Mistakes of clients are not logged."""
        if not self.is_closed:
            self.write(format_problem(status, f"The request is malformed. {message}" if status == 400 else ""))

    def _end_request(self) -> None:
        if self._is_busy:
            self._is_busy = False
            self.worker.busy -= 1
        self._requests.end_request()

    def _begin_next(self) -> None:
        if self.is_closed or self._is_busy:
            return
        if self._requests.waiting_bytes:
            self._deadline = self.worker.loop.time() + GATHER_SECONDS
            self._advance()
        self._count()
        if not self._is_busy and not self.is_closed:
            self.resume_reading()

    # The end

    def refuse(self, status: int, detail: str = "", *, retry_after_seconds: int = RETRY_SECONDS) -> None:
        """Answer with a problem, and close the connection."""
        if not self.is_closed:
            self.write(format_problem(status, detail, retry_after_seconds=retry_after_seconds))
            self.close()

    def close(self) -> None:
        """Close our half, and the whole when the client has closed its own, or a little later.

        If all were closed at once, with bytes unread, the kernel would make the client discard the answer.
        """
        if self.is_closed or self.transport is None:
            return
        self.mark_closed()
        self._requests.clear()
        now = self.worker.loop.time()
        self._deadline, self._send_deadline = now + CLOSING_SECONDS, now + SEND_SECONDS
        self._is_lingering = True
        try:
            if self._has_client_ended or not self.transport.can_write_eof():
                self.transport.close()
            else:
                self.transport.write_eof()
                self.resume_reading()
        except (OSError, RuntimeError):
            self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._send_deadline = self.worker.loop.time() + SEND_SECONDS

    def resume_writing(self) -> None:
        super().resume_writing()
        self._send_deadline = _NEVER

    def check_time(self, now: float) -> None:
        """Close the connection if a time limit has passed."""
        if now >= self._send_deadline:
            self.transport.abort()
        elif now < self._deadline:
            return
        elif self._requests.is_streamed and self._is_busy and not self._is_lingering:
            self.refuse(408)
        elif self._is_lingering:
            if not self.transport.get_write_buffer_size():
                self.transport.abort()
        else:
            self.close()

    def end_soon(self, deadline: float) -> None:
        """The worker is to end: wait for a request until this time at most."""
        if not self._is_busy or (self._requests.is_arriving and not self._requests.is_streamed):
            self._deadline = min(self._deadline, deadline)
