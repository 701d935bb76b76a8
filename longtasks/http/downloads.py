"""The responses that are files: sent piece by piece, as fast as the client reads.

Owns: how many are sent at once, and that each file is closed. Must not: decide who may have a file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.http.response import HttpResponseBase

from longtasks.http.exchange import Receive, Send, encode_head
from longtasks.http.thread_pool import ThreadPool

PLACES: Final = 64  # downloads that a process sends at once
THREADS: Final = 4


class Downloads:
    """The downloads of one event loop. All methods belong to its thread."""

    def __init__(self) -> None:
        self.threads = ThreadPool(THREADS, waiting=4 * PLACES, name="downloads")
        self.free_places = PLACES

    def close(self) -> None:
        self.threads.close()

    async def send(
        self,
        receive: Receive,
        send: Send,
        response: HttpResponseBase,
        constant_headers: Iterable[tuple[str, tuple[bytes, bytes]]],
    ) -> None:
        """Send a response with its file until the client has it or has left, and close the file."""
        leaving = asyncio.ensure_future(receive())  # the body was read: the next message says that the client has left
        pieces: Iterator[bytes] = iter(response)  # type: ignore[call-overload]
        try:
            headers = encode_head(response, constant_headers)
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            while piece := await self.threads.submit(lambda: next(pieces, b"")):
                if leaving.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            close: Any = response.close
            await self.threads.submit(close)
