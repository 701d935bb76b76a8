"""The live stream as Server-Sent Events: `GET /stream` (all tasks) and `GET /tasks/{id}/stream` (one).

A part of web's application: a viewer costs a socket and a queue, but no thread.
Owns the protocol. Must not decide what a viewer may see (`access`), nor what is sent (`subscription`).
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
from tasks_app.api.request_ids import SANE
from tasks_app.api.stream.open_streams import Places
from tasks_app.api.stream.subscription import Send, Watching
from tasks_app.errors import LongtasksError, StoreUnavailable
from tasks_app.read_model.change_feed import ChangeFeed

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

logger = logging.getLogger(__name__)
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep what is small
    "X-Content-Type-Options": "nosniff",
}


class StreamApplication:
    """One process's application, with its one feed."""

    def __init__(self) -> None:
        self._feed: ChangeFeed | None = None
        self._places = Places()
        self._open: set[Watching] = set()

    def end(self) -> None:
        """End all streams: their clients reconnect, to another process."""
        for watching in self._open:
            watching.end_soon()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        meta = _to_meta(scope)
        request_id = meta.get("HTTP_X_REQUEST_ID", "")
        if not SANE.match(request_id):
            request_id = uuid7().hex
        if self._feed is None:
            self._feed = ChangeFeed()
        watching = Watching(self._feed, self._places, scope, meta)
        try:
            first = await watching.begin()
        except (DatabaseError, InterfaceError) as error:
            first = problem_response(StoreUnavailable(type(error).__name__), {})
        except (APIException, LongtasksError, SuspiciousOperation) as error:
            first = problem_response(error, {})
        except Exception as error:
            logger.exception("a stream could not be opened")
            first = problem_response(error, {})
        if first is not None:
            watching.end()
            first["X-Request-ID"] = request_id
            await _answer(first, scope, send)
            return
        gone = asyncio.create_task(_wait_for_disconnect(receive))
        try:
            headers = {**_HEADERS, "X-Request-ID": request_id}
            await send({"type": "http.response.start", "status": 200, "headers": _encoded(headers)})
            self._open.add(watching)
            await watching.run(send, gone)
        finally:
            self._open.discard(watching)
            gone.cancel()
            watching.end()


def _to_meta(scope: MutableMapping[str, Any]) -> dict[str, str]:
    """The headers as WSGI names them, and who sends them."""
    meta: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        meta.setdefault(key, []).append(value.decode("latin-1"))
    joined = {key: ("; " if key == "HTTP_COOKIE" else ",").join(values) for key, values in meta.items()}
    client = scope.get("client")
    return {**joined, "REMOTE_ADDR": client[0]} if client else joined


def _encoded(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _answer(response: HttpResponse, scope: MutableMapping[str, Any], send: Send) -> None:
    headers = _encoded(response)
    if response.status_code != 204:
        headers.append((b"content-length", str(len(response.content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.content})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
