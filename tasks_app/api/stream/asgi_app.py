"""The live stream as Server-Sent Events: `GET /stream` (all tasks) and `GET /tasks/{id}/stream` (one).

A small ASGI application for a process of its own: a watcher costs a socket and a queue, never one of web's threads.
Owns the protocol; what there is to tell comes from the feed. Who may watch what, `stream_access` says.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import DatabaseError, InterfaceError
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from rest_framework.exceptions import APIException
from uuid_utils import uuid7

from tasks_app.api.json_rendering import to_json
from tasks_app.api.problem_details import problem, problem_response, unknown_host
from tasks_app.api.request_ids import SANE
from tasks_app.api.response_serializers import event_data, task_data
from tasks_app.api.stream.access import Viewer, identify_viewer, read_stream_query
from tasks_app.api.stream.open_streams import Places
from tasks_app.errors import LongtasksError, StoreUnavailable
from tasks_app.http import peers, url_prefix
from tasks_app.http.plain_http import explain_refusal
from tasks_app.queues.snapshot_stream import ENDED
from tasks_app.read_model import change_feed, task_queries
from tasks_app.read_model.change_feed import Change, Feed, Page, Progress, Watcher

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

logger = logging.getLogger(__name__)
HEARTBEAT_SECONDS: Final = 15.0  # also the time after which a revoked token and a logout are noticed
SEND_SECONDS: Final = 20.0
LONGEST_SECONDS: Final = 3600.0
_PATH: Final = re.compile(r"/(?:tasks/(?P<task_id>[^/]{1,64})/)?stream/?\Z")
_ID: Final = re.compile(r"\d{1,18}\Z", re.ASCII)
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep what is small
    "X-Content-Type-Options": "nosniff",
}


class StreamApplication:
    """One process's application, with its one feed."""

    def __init__(self) -> None:
        self._feed: Feed | None = None
        self._places = Places()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        meta = _to_meta(scope)
        request_id = meta.get("HTTP_X_REQUEST_ID", "")
        if not SANE.match(request_id):
            request_id = uuid7().hex
        if self._feed is None:
            self._feed = Feed()
        watching = Watching(self._feed, self._places, scope, meta)
        try:
            first = await watching.begin()
        except (DatabaseError, InterfaceError) as error:
            first = problem_response(StoreUnavailable(type(error).__name__), {})
        except (APIException, LongtasksError, SuspiciousOperation) as error:
            first = problem_response(error, {})
        except Exception as error:
            logger.exception("a stream could not begin")
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
            await watching.run(send, gone)
        finally:
            gone.cancel()
            watching.end()


class Watching:
    """One open stream."""

    def __init__(self, source: Feed, places: Places, scope: MutableMapping[str, Any], meta: dict[str, str]) -> None:
        self._feed, self._places, self._scope, self._meta = source, places, scope, meta
        self._viewer: Viewer | None = None  # once they have a place
        self._watcher: Watcher | None = None
        self._last_id: int | None = None
        self._task: Any = None

    async def begin(self) -> HttpResponse | None:
        """Check who asks for what, and join the feed; returns an answer where there is nothing to stream."""
        host, _ = split_domain_port(self._meta.get("HTTP_HOST", ""))
        if not validate_host(host, settings.ALLOWED_HOSTS):
            return unknown_host(self._meta.get("HTTP_HOST", ""))
        if settings.SECURE_SSL_REDIRECT and not peers.is_https(self._meta):
            return problem(403, explain_refusal(self._meta, method="") or "")
        match = _PATH.match(url_prefix.cut(self._scope["path"]))
        if match is None:
            return problem(404, "There is nothing here.")
        query = read_stream_query(self._scope["query_string"])
        # Tokens are in memory, but for a look at the table now and then.
        viewer = await self._feed.in_thread(identify_viewer, self._meta, ticket=query.get("ticket"))
        if self._scope["method"] != "GET":
            return problem(405, f'Method "{self._scope["method"]}" not allowed.', headers={"Allow": "GET"})
        name, last_id = "Last-Event-ID", self._meta.get("HTTP_LAST_EVENT_ID")
        if last_id is None:  # EventSource sends the header when it comes back by itself: it knows the newer one
            name, last_id = "lastEventId", query.get("lastEventId")
        if last_id is not None and not _ID.match(last_id):
            errors = [{"field": name, "message": "Must be the id of an event."}]
            return problem(400, f"Wrong: {name}.", kind="invalid", fields=errors)
        self._places.take(viewer.place)
        self._viewer = viewer
        self._last_id = int(last_id) if last_id is not None else None
        task_id = match["task_id"]
        if task_id is not None:
            self._task = await self._get_task(task_id, viewer.sees_owner)
            task_id = self._task.id
        viewer.check_task(task_id or "")
        watcher = Watcher(owner=viewer.sees_owner, task_id=task_id)
        await self._feed.join(watcher)
        self._watcher = watcher
        if task_id is not None:
            # Again, now that nothing can be missed: it may have ended in between.
            self._task = await self._get_task(task_id, viewer.sees_owner)
            if self._task.ended and self._last_id is not None:
                if (await self._replay_page(self._last_id, None)).changes:
                    return None
                if not await self._feed.in_thread(change_feed.is_told, self._task.id):
                    return None  # Redis knows of its end, the mirror not yet: the watcher is to come back for it
                return HttpResponse(status=204)  # which tells a browser not to come back
        return None

    async def run(self, send: Send, gone: asyncio.Task[None]) -> None:
        """Send until the watcher leaves, the task ends, the caller may no longer, or the hour is over."""
        assert self._watcher is not None
        assert self._viewer is not None
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_SECONDS

        async def write(text: bytes) -> None:
            await asyncio.wait_for(send({"type": "http.response.body", "body": text, "more_body": True}), SEND_SECONDS)

        try:
            await write(b"retry: 2000\n\n")
            async for text in self._missed():
                await write(text)
            checked_at = loop.time()
            ended = self._task is not None and self._task.ended
            while not (ended or gone.done() or self._watcher.is_too_slow or loop.time() > until):
                message = await self._next(gone)
                if loop.time() - checked_at >= HEARTBEAT_SECONDS:
                    checked_at = loop.time()
                    if not await self._feed.in_thread(self._viewer.may_still):
                        break
                    if message is None:
                        await write(b": still here\n\n")
                if message is not None:
                    await write(_format(message))
                    ended = (
                        self._watcher.task_id is not None
                        and isinstance(message, Change)
                        and message.event.status in ENDED
                    )
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError, DatabaseError, InterfaceError, LongtasksError):
            return  # the server closes a stream that did not end; the watcher comes back with Last-Event-ID

    def end(self) -> None:
        if self._watcher is not None:
            self._feed.leave(self._watcher)
        if self._viewer is not None:
            self._places.leave(self._viewer.place)

    async def _missed(self) -> AsyncIterator[bytes]:
        """What happened since Last-Event-ID; without it, how the task stands."""
        assert self._watcher is not None
        through = self._watcher.position
        if self._last_id is None:
            if self._task is not None:
                yield f"id: {through}\nevent: task\ndata: ".encode() + to_json(task_data(self._task)) + b"\n\n"
            else:
                yield f"id: {through}\n: from here on\n\n".encode()
            return
        after = self._last_id
        # Of a task that has ended, all there is: nobody waits for the queue afterwards.
        limit = None if self._task is not None and self._task.ended else through
        while True:
            page = await self._replay_page(after, limit)
            for change in page.changes:
                if self._watcher.owner is None or change.owner == self._watcher.owner:
                    yield _format(change)
            if page.is_last:
                return
            after = page.through

    async def _replay_page(self, after: int, through: int | None) -> Page:
        assert self._watcher is not None
        return await self._feed.in_thread(
            change_feed.read_changes, after=after, through=through, task_id=self._watcher.task_id
        )

    async def _next(self, gone: asyncio.Task[None]) -> Change | Progress | None:
        """The next message; None when it is time for a heartbeat, or the watcher has gone."""
        assert self._watcher is not None
        if not self._watcher.queue.empty():
            return self._watcher.queue.get_nowait()
        getter = asyncio.ensure_future(self._watcher.queue.get())
        await asyncio.wait({getter, gone}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if getter.done():
            return getter.result()
        getter.cancel()
        return None

    async def _get_task(self, task_id: str, owner: str | None) -> Any:
        return await self._feed.in_thread(task_queries.get_task, task_id=task_id, owner=owner)


def _format(message: Change | Progress) -> bytes:
    if isinstance(message, Progress):
        progress = {"done": message.done, "total": message.total}
        data = {"taskId": message.task_id, "progress": progress, "insertedRecords": message.counts}
        return b"event: progress\ndata: " + to_json(data) + b"\n\n"
    data = {"taskId": message.task_id, "name": message.name, **event_data(message.event)}
    return f"id: {message.event.pk}\nevent: change\ndata: ".encode() + to_json(data) + b"\n\n"


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


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
