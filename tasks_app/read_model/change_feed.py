"""The live feed: one reader of the history, however many watch, and a queue of its own for each watcher.

Owns reading on from the last known event. The mirror writes events one transaction after another, under a lock, so
their ids grow in the order of commits and reading on by id misses none. Must not know HTTP. Lives in one event loop;
SQL is done in threads of its own.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections

from tasks_app.domain.task_status import ENDED
from tasks_app.models import TaskEvent, TaskRecord

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

READ_SECONDS: Final = 0.25
PROGRESS_SECONDS: Final = 1.0
AWAY_SECONDS: Final = 1.0
BATCH_EVENTS: Final = 500
WAITING_MESSAGES: Final = 1000  # for one watcher; who reads more slowly is let go, and may ask for the rest


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a task's history, with what a watcher of all tasks wants to know of the task."""

    event: TaskEvent
    task_id: str
    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some changes, and the event up to which they are all there is."""

    changes: list[Change]
    through: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task has come, between two changes."""

    task_id: str
    done: int
    total: int | None
    counts: dict[str, int]


@dataclass(eq=False, slots=True)
class Subscriber:
    """One who watches: all tasks of an owner (None: of all), or one task."""

    owner: str | None
    task_id: str | None
    position: int = 0  # of the feed when the watcher came: what is newer comes through the queue
    queue: asyncio.Queue[Change | Progress] = field(default_factory=lambda: asyncio.Queue(WAITING_MESSAGES))
    is_too_slow: bool = False

    def tell(self, message: Change | Progress) -> None:
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.is_too_slow = True


class ChangeFeed:
    """Reads while anybody watches, and hands each change to those it concerns."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="feed")
        self._of_task: dict[str, set[Subscriber]] = defaultdict(set)
        self._of_all: set[Subscriber] = set()
        self._position = 0
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._done: dict[str, int] = {}

    @property
    def watchers(self) -> int:
        return len(self._of_all) + sum(map(len, self._of_task.values()))

    async def in_thread(self, function: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
        """Call a function that may use the database, in one of the feed's threads."""

        def call() -> Answer:
            close_old_connections()
            return function(*args, **options)

        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def join(self, watcher: Subscriber) -> None:
        """Let a watcher hear of everything that is newer than its `position`. Raises a DatabaseError."""
        async with self._starting:
            if self._reader is None or self._reader.done():
                self._position = await self.in_thread(get_last_event_id)
                self._reader = asyncio.create_task(self._read_on())
        watcher.position = self._position
        (self._of_all if watcher.task_id is None else self._of_task[watcher.task_id]).add(watcher)

    def leave(self, watcher: Subscriber) -> None:
        self._of_all.discard(watcher)
        if watcher.task_id is not None and watcher.task_id in self._of_task:
            self._of_task[watcher.task_id].discard(watcher)
            if not self._of_task[watcher.task_id]:
                del self._of_task[watcher.task_id]
                self._done.pop(watcher.task_id, None)
        if not self.watchers and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _read_on(self) -> None:
        loop = asyncio.get_running_loop()
        progress_at = loop.time()
        while True:
            try:
                page = await self.in_thread(read_changes, after=self._position)
                self._tell(page)
                if self._of_task and loop.time() - progress_at >= PROGRESS_SECONDS:
                    progress_at = loop.time()
                    self._tell_progress(await self.in_thread(read_progress, list(self._of_task)))
                if page.is_last:
                    await asyncio.sleep(READ_SECONDS)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("the feed waits for the database: %s", type(error).__name__)
                await asyncio.sleep(AWAY_SECONDS)

    def _tell(self, page: Page) -> None:
        self._position = page.through
        for change in page.changes:
            for watcher in self._of_task.get(change.task_id, ()):
                watcher.tell(change)
            for watcher in self._of_all:
                if watcher.owner is None or watcher.owner == change.owner:
                    watcher.tell(change)

    def _tell_progress(self, found: Sequence[Progress]) -> None:
        for progress in found:
            known = self._done.get(progress.task_id)
            self._done[progress.task_id] = progress.done
            if known is not None and known != progress.done:
                for watcher in self._of_task.get(progress.task_id, ()):
                    watcher.tell(progress)


def get_last_event_id() -> int:
    """Return the id of the newest event; 0 without any."""
    return TaskEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def read_changes(*, after: int, through: int | None = None, task_id: str | None = None) -> Page:
    """Return the next events after an id, BATCH_EVENTS at most, oldest first."""
    rows = TaskEvent.objects.filter(pk__gt=after)
    if through is not None:
        rows = rows.filter(pk__lte=through)
    if task_id is not None:
        rows = rows.filter(task_id=uuid.UUID(task_id))
    events = list(rows.order_by("pk")[:BATCH_EVENTS])
    tasks = {
        pk: (name, owner)
        for pk, name, owner in TaskRecord.objects.filter(pk__in={event.task_id for event in events}).values_list(
            "pk", "name", "owner"
        )
    }
    # A task that was pruned meanwhile has no owner any more who might see it.
    changes = [Change(event, str(event.task_id), *tasks[event.task_id]) for event in events if event.task_id in tasks]
    return Page(changes, through=events[-1].pk if events else after, is_last=len(events) < BATCH_EVENTS)


def is_told(task_id: str) -> bool:
    """Tell whether the history of a task holds its end."""
    return TaskRecord.objects.filter(pk=task_id, status__in=ENDED).exists()


def read_progress(task_ids: Sequence[str]) -> list[Progress]:
    """Return how far these tasks have come."""
    rows = TaskRecord.objects.filter(pk__in=task_ids).values_list("pk", "done", "total", "counts")
    return [Progress(str(pk), done, total, counts) for pk, done, total, counts in rows]
