"""The live stream as Server-Sent Events: `GET /stream` (all tasks) and `GET /tasks/{id}/stream` (one).

A part of web's application: an open stream costs a socket and a queue, but no thread.
Owns the protocol. Must not decide what a viewer may see (access), nor what is sent (subscription).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from django.core.exceptions import SuspiciousOperation
from django.db import DatabaseError, InterfaceError
from django.http import HttpResponse
from rest_framework.exceptions import APIException
from uuid_utils import uuid7

from tasks_app.api.problem_details import problem_response
from tasks_app.api.request_ids import VALID
from tasks_app.api.stream.open_streams import OpenStreams
from tasks_app.api.stream.subscription import OpenStream, Send, open_stream
from tasks_app.errors import LongtasksError, StoreUnavailable
from tasks_app.read_model.change_feed import ChangeFeed

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

logger = logging.getLogger(__name__)
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would buffer small events
    "X-Content-Type-Options": "nosniff",
}


class StreamApplication:
    """The application of one process, with its one feed."""

    def __init__(self) -> None:
        self._feed: ChangeFeed | None = None
        self._open_streams = OpenStreams()
        self._running: set[OpenStream] = set()

    def end(self) -> None:
        """End all streams; their clients reconnect to another process."""
        for stream in self._running:
            stream.end_soon()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        meta = _to_meta(scope)
        request_id = meta.get("HTTP_X_REQUEST_ID", "")
        if not VALID.match(request_id):
            request_id = uuid7().hex
        if self._feed is None:
            self._feed = ChangeFeed()
        try:
            opened = await open_stream(self._feed, self._open_streams, scope, meta)
        except (DatabaseError, InterfaceError) as error:
            opened = problem_response(StoreUnavailable(type(error).__name__), {})
        except (APIException, LongtasksError, SuspiciousOperation) as error:
            opened = problem_response(error, {})
        except Exception as error:
            logger.exception("a stream could not be opened")
            opened = problem_response(error, {})
        if isinstance(opened, HttpResponse):
            opened["X-Request-ID"] = request_id
            await _send_response(opened, scope, send)
            return
        gone = asyncio.create_task(_wait_for_disconnect(receive))
        try:
            headers = {**_HEADERS, "X-Request-ID": request_id}
            await send({"type": "http.response.start", "status": 200, "headers": _encode(headers)})
            self._running.add(opened)
            await opened.run(send, gone)
        finally:
            self._running.discard(opened)
            gone.cancel()
            opened.end()
            self._open_streams.remove(opened.viewer.key)


def _to_meta(scope: MutableMapping[str, Any]) -> dict[str, str]:
    """Return the headers under their WSGI names, and the client's address."""
    meta: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        meta.setdefault(key, []).append(value.decode("latin-1"))
    joined = {key: ("; " if key == "HTTP_COOKIE" else ",").join(values) for key, values in meta.items()}
    client = scope.get("client")
    return {**joined, "REMOTE_ADDR": client[0]} if client else joined


def _encode(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _send_response(response: HttpResponse, scope: MutableMapping[str, Any], send: Send) -> None:
    headers = _encode(response)
    if response.status_code != 204:
        headers.append((b"content-length", str(len(response.content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.content})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
