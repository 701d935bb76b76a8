"""The requests of one connection as they arrive: where each one ends, and whether it is within the limits.

Owns: the bytes that have arrived and were not parsed. A request is passed on when all of it has arrived; a chunked one,
and one whose body the application reads as it arrives, when its head has. Must not: know sockets, the event loop,
gunicorn or Django.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from longtasks.http.request_head import BODY_BYTES, HEADER_BYTES, Refused, read_head, too_large

CHUNKED_BYTES: Final = 2 * BODY_BYTES  # of a chunked body with its chunks' sizes
_END_OF_HEAD: Final = b"\r\n\r\n"


class RequestGatherer:
    """The bytes of one connection: first those of the current request, then those of the requests behind it."""

    def __init__(self, find_streamed_bytes: Callable[[bytes], int] | None = None) -> None:
        # Returns, for a head, how many bytes of the body the application reads as they arrive, at most; 0: gather it.
        self._find_streamed_bytes = find_streamed_bytes
        self.is_arriving = False  # the current request's head was passed on, and its end has not arrived
        self.is_streamed = False  # the application reads the current request's body as it arrives
        self.owes_continue = False  # its client waits for `100 Continue` before it sends the body
        self._arrived = bytearray()  # not passed on
        self._searched = 0  # bytes of `_arrived` in which the head does not end; then the length of the head
        self._request_bytes = 0  # length of the whole request, or of a chunked one's head; 0: not known yet
        self._passed_bytes = 0  # of the current request, passed on
        self._body_bytes = 0  # of a chunked body, without the chunks' sizes
        self._framed_bytes = 0  # of a chunked body, with them
        self._limit_bytes = BODY_BYTES  # of the current request's body
        self._left_bytes: int | None = None  # of a streamed body that is not chunked: not passed on yet

    @property
    def waiting_bytes(self) -> int:
        """How many bytes were not passed on."""
        return len(self._arrived)

    @property
    def held_bytes(self) -> int:
        """How much memory the connection's requests take: also the current one, which the application holds."""
        return len(self._arrived) + self._passed_bytes

    @property
    def head(self) -> bytes:
        """The head of the next request, once `find_request` has returned True."""
        return bytes(self._arrived[: self._searched])

    def add(self, data: bytes) -> None:
        self._arrived += data

    def put_back(self, data: bytes) -> None:
        """Put bytes that were passed on, and belong to the next request, in front of the others."""
        self._arrived[:0] = data

    def clear(self) -> None:
        """Forget what was not passed on."""
        self._arrived.clear()

    def find_request(self) -> bool:
        """Return whether the next request can be passed on. Raises Refused."""
        if not self._request_bytes and not self._find_head():
            return False
        return len(self._arrived) >= self._request_bytes

    def _find_head(self) -> bool:
        arrived = self._arrived
        if arrived.startswith((b"\r", b"\n")):
            del arrived[: len(arrived) - len(arrived.lstrip(b"\r\n"))]
            self._searched = 0
        # Not from the beginning each time: a client may send its head byte by byte.
        end = arrived.find(_END_OF_HEAD, max(0, self._searched - len(_END_OF_HEAD)), HEADER_BYTES)
        if end < 0:
            self._searched = len(arrived)
            if len(arrived) >= HEADER_BYTES:
                raise Refused(431)
            return False
        self._searched = end + 2
        streamed_bytes = self._find_streamed_bytes(self.head) if self._find_streamed_bytes is not None else 0
        self.is_streamed = streamed_bytes > 0
        self._limit_bytes = streamed_bytes or BODY_BYTES
        head = read_head(self.head, limit_bytes=self._limit_bytes)
        head_bytes = end + len(_END_OF_HEAD)
        self.is_arriving = head.is_chunked or self.is_streamed
        # The application of a streamed body decides first whether it wants it; gunicorn sends `100 Continue` then.
        self.owes_continue = head.expects_continue and len(arrived) == head_bytes and not self.is_streamed
        self._request_bytes = head_bytes if self.is_arriving else head_bytes + head.body_bytes
        self._left_bytes = head.body_bytes if self.is_streamed and not head.is_chunked else None
        return True

    def pass_request(self) -> bytes:
        """Return the request that `find_request` has found: from now on it is the current one."""
        request = bytes(self._arrived[: self._request_bytes])
        del self._arrived[: self._request_bytes]
        self._passed_bytes = len(request)
        self._searched = self._request_bytes = 0
        return request

    def pass_chunks(self) -> bytes:
        """Return what has arrived of the current request's body; what is behind a chunked one's end, `put_back` returns."""
        if self._left_bytes is None:
            data = bytes(self._arrived)
            self._arrived.clear()
        else:
            data = bytes(self._arrived[: self._left_bytes])
            del self._arrived[: len(data)]
            self._left_bytes -= len(data)
        self._framed_bytes += len(data)
        return data

    def count_body(self, size: int) -> None:
        """Count bytes that the parser has found in the body that arrives."""
        if self.is_arriving:
            self._body_bytes += size
            if not self.is_streamed:  # of a streamed body, the connection limits what the application has not read
                self._passed_bytes += size

    def check_chunks(self, *, is_complete: bool) -> None:
        """Check the arriving body after the parser has read what was passed on. Raises Refused."""
        framed_limit = 2 * self._limit_bytes if self.is_streamed else CHUNKED_BYTES
        limit = self._limit_bytes if self.is_streamed else BODY_BYTES
        if self._body_bytes > limit or (self._framed_bytes > framed_limit and not is_complete):
            raise too_large(limit) if self.is_streamed else Refused(413)
        self.is_arriving = not is_complete

    def end_request(self) -> None:
        """The current request was answered."""
        self.is_arriving = self.is_streamed = False
        self._left_bytes = None
        self._passed_bytes = self._body_bytes = self._framed_bytes = 0
