"""One open stream: opens it, and sends its events from Last-Event-ID on until it ends.

Owns the order and form of its events. Must not know ASGI beyond `scope` and `send`.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

from django.db import DatabaseError, InterfaceError
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host

from tasks_app.api.json_rendering import to_json
from tasks_app.api.problem_details import problem, unknown_host
from tasks_app.api.response_serializers import event_data, task_data
from tasks_app.api.stream.access import Viewer, identify_viewer, read_stream_query
from tasks_app.api.stream.open_streams import OpenStreams
from tasks_app.conf import settings
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.domain.task_status import ENDED
from tasks_app.errors import LongtasksError
from tasks_app.http import peers, url_prefix
from tasks_app.http.plain_http import explain_refusal
from tasks_app.read_model import change_feed, task_queries
from tasks_app.read_model.change_feed import Change, ChangeFeed, Page, Progress, Subscriber

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
HEARTBEAT_SECONDS: Final = 15.0  # also how long a revoked token or a logout can go unnoticed
SEND_SECONDS: Final = 20.0
LONGEST_SECONDS: Final = 3600.0
RETRY_MILLISECONDS_AT_END: Final = (100, 2000)
_PATH: Final = re.compile(r"/(?:tasks/(?P<task_id>[^/]{1,64})/)?stream/?\Z")
_ID: Final = re.compile(r"\d{1,18}\Z", re.ASCII)


async def open_stream(
    feed: ChangeFeed, open_streams: OpenStreams, scope: MutableMapping[str, Any], meta: dict[str, str]
) -> OpenStream | HttpResponse:
    """Check the request and subscribe to the feed. Returns a response if there is nothing to stream.

    Raises what `identify_viewer` raises, Throttled, TooManyStreams, UnknownTask and a DatabaseError.
    """
    host, _ = split_domain_port(meta.get("HTTP_HOST", ""))
    if not validate_host(host, settings.ALLOWED_HOSTS):
        return unknown_host(meta.get("HTTP_HOST", ""))
    if settings.SECURE_SSL_REDIRECT and not peers.is_https(meta):
        return problem(403, explain_refusal(meta, method="") or "")
    match = _PATH.match(url_prefix.cut(scope["path"]))
    if match is None:
        return problem(404, "Not found.")
    query = read_stream_query(scope["query_string"])
    # In a thread: tokens are cached, but the cache reads the table from time to time.
    viewer = await feed.in_thread(identify_viewer, meta, ticket=query.get("ticket"))
    if scope["method"] != "GET":
        return problem(405, f'Method "{scope["method"]}" not allowed.', headers={"Allow": "GET"})
    name, last_id = "Last-Event-ID", meta.get("HTTP_LAST_EVENT_ID")
    if last_id is None:  # EventSource sends the header when it reconnects: the header has the newer id
        name, last_id = "lastEventId", query.get("lastEventId")
    if last_id is not None and not _ID.match(last_id):
        errors = [{"field": name, "message": "Must be the id of an event."}]
        return problem(400, f"Validation failed: {name}.", kind="invalid", fields=errors)
    open_streams.add(viewer.key)
    opened = None
    try:
        opened = await _subscribe(
            feed, viewer, task_id=match["task_id"], last_id=None if last_id is None else int(last_id)
        )
    finally:
        if not isinstance(opened, OpenStream):
            open_streams.remove(viewer.key)
    return opened


async def _subscribe(
    feed: ChangeFeed, viewer: Viewer, *, task_id: str | None, last_id: int | None
) -> OpenStream | HttpResponse:
    if task_id is None:
        viewer.check_task("")
        subscriber = Subscriber(owner=viewer.sees_owner, task_id=None)
        await feed.subscribe(subscriber)
        return OpenStream(feed, viewer, subscriber, last_id=last_id, task=None)
    # Its own form of the id, and UnknownTask for another owner's.
    task = await feed.in_thread(task_queries.get_task, task_id=task_id, owner=viewer.sees_owner)
    viewer.check_task(task.id)
    subscriber = Subscriber(owner=viewer.sees_owner, task_id=task.id)
    await feed.subscribe(subscriber)
    try:
        # Read again after subscribing: the task may have ended in between.
        task = await feed.in_thread(task_queries.get_task, task_id=task.id, owner=viewer.sees_owner)
        stream = OpenStream(feed, viewer, subscriber, last_id=last_id, task=task)
        if await stream.is_exhausted():
            feed.unsubscribe(subscriber)
            return HttpResponse(status=204)  # which makes a browser stop reconnecting
    except BaseException:
        feed.unsubscribe(subscriber)
        raise
    return stream


class OpenStream:
    """One open stream of a viewer that is subscribed to the feed."""

    def __init__(
        self, feed: ChangeFeed, viewer: Viewer, subscriber: Subscriber, *, last_id: int | None, task: Snapshot | None
    ) -> None:
        self.viewer = viewer
        self._feed = feed
        self._subscriber = subscriber
        self._last_id = last_id
        self._task = task  # None: the stream of all tasks
        self._ending = asyncio.get_running_loop().create_future()  # done when this process is asked to end

    def end_soon(self) -> None:
        """End the stream; its client reconnects a moment later."""
        if not self._ending.done():
            self._ending.set_result(None)

    async def is_exhausted(self) -> bool:
        """Whether the task has ended and the client has received all of its changes."""
        if self._task is None or not self._task.ended or self._last_id is None:
            return False
        if (await self._replay_page(self._last_id, None)).changes:
            return False
        # If Redis has the end and the mirror does not yet, the client must reconnect for it.
        return bool(await self._feed.in_thread(change_feed.has_end_event, self._task.id))

    async def run(self, send: Send, gone: asyncio.Task[None]) -> None:
        """Send until the client disconnects, the task ends, the access ends, or LONGEST_SECONDS have passed."""
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
            while not (ended or gone.done() or self._subscriber.is_too_slow or loop.time() > until):
                message = await self._next(gone)
                if loop.time() - checked_at >= HEARTBEAT_SECONDS:
                    checked_at = loop.time()
                    if not await self._feed.in_thread(self.viewer.may_still):
                        break
                    if message is None:
                        await write(b": still here\n\n")
                if message is not None:
                    await write(_format(message))
                    ended = (
                        self._subscriber.task_id is not None
                        and isinstance(message, Change)
                        and message.event.status in ENDED
                    )
            if self._ending.done():
                # Not all clients of a process at once.
                await write(b"retry: %d\n\n" % random.randrange(*RETRY_MILLISECONDS_AT_END))  # noqa: S311 (a delay)
        except (TimeoutError, OSError, DatabaseError, InterfaceError, LongtasksError):
            pass  # the client reconnects with Last-Event-ID
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def end(self) -> None:
        """Unsubscribe from the feed."""
        self._feed.unsubscribe(self._subscriber)

    async def _missed(self) -> AsyncIterator[bytes]:
        """Yield the changes since Last-Event-ID; without it, the current state of the task."""
        through = self._subscriber.position
        if self._last_id is None:
            if self._task is not None:
                yield f"id: {through}\nevent: task\ndata: ".encode() + to_json(task_data(self._task)) + b"\n\n"
            else:
                yield f"id: {through}\n: from here on\n\n".encode()
            return
        after = self._last_id
        # For an ended task, all changes: the live queue is not read afterwards.
        limit = None if self._task is not None and self._task.ended else through
        while True:
            page = await self._replay_page(after, limit)
            for change in page.changes:
                if self._subscriber.owner is None or change.owner == self._subscriber.owner:
                    yield _format(change)
            if page.is_last:
                return
            after = page.through

    async def _replay_page(self, after: int, through: int | None) -> Page:
        return await self._feed.in_thread(
            change_feed.read_changes, after=after, through=through, task_id=self._subscriber.task_id
        )

    async def _next(self, gone: asyncio.Task[None]) -> Change | Progress | None:
        """Return the next message; None when a heartbeat is due or the client has disconnected."""
        if not self._subscriber.queue.empty():
            return self._subscriber.queue.get_nowait()
        getter = asyncio.ensure_future(self._subscriber.queue.get())
        await asyncio.wait({getter, gone}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if getter.done():
            return getter.result()
        getter.cancel()
        return None


def _format(message: Change | Progress) -> bytes:
    if isinstance(message, Progress):
        progress = {"done": message.done, "total": message.total, "isEstimate": message.total_is_estimate}
        counts = {"counts": message.counts, "insertedRecords": message.counts}
        data = {"taskId": message.task_id, "progress": progress, **counts}
        return b"event: progress\ndata: " + to_json(data) + b"\n\n"
    data = {"taskId": message.task_id, "name": message.name, **event_data(message.event)}
    return f"id: {message.event.pk}\nevent: change\ndata: ".encode() + to_json(data) + b"\n\n"
