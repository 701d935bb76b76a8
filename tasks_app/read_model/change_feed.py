"""The change feed: one reader of the task history for all subscribers, and one queue per subscriber.

Owns the position in the history. The mirror writes events in serialized transactions, so ids grow in commit order and
reading by id misses no event. Must not know HTTP. Runs in one event loop; its SQL runs in its own threads.
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
RETRY_SECONDS: Final = 1.0
BATCH_EVENTS: Final = 500
WAITING_MESSAGES: Final = 1000  # per subscriber; a slower client is disconnected and can resume


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a task's history, with the name and the owner of the task."""

    event: TaskEvent
    task_id: str
    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of changes, complete up to the event `through`."""

    changes: list[Change]
    through: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a task between two changes."""

    task_id: str
    done: int
    total: int | None
    total_is_estimate: bool
    counts: dict[str, int]


@dataclass(eq=False, slots=True)
class Subscriber:
    """A subscriber to one task, or to all tasks of an owner (None: of all owners)."""

    owner: str | None
    task_id: str | None
    position: int = 0  # of the feed at the subscription; newer changes arrive in the queue
    queue: asyncio.Queue[Change | Progress] = field(default_factory=lambda: asyncio.Queue(WAITING_MESSAGES))
    is_too_slow: bool = False

    def publish(self, message: Change | Progress) -> None:
        """Put a message into the queue; mark the subscriber as too slow if the queue is full."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.is_too_slow = True


class ChangeFeed:
    """Reads the history while there are subscribers, and publishes each change to the matching ones."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="feed")
        self._by_task: dict[str, set[Subscriber]] = defaultdict(set)
        self._for_all_tasks: set[Subscriber] = set()
        self._position = 0
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._done: dict[str, int] = {}

    @property
    def subscribers(self) -> int:
        return len(self._for_all_tasks) + sum(map(len, self._by_task.values()))

    async def in_thread(self, function: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
        """Call a function that may use the database, in one of the feed's threads."""

        def call() -> Answer:
            close_old_connections()
            return function(*args, **options)

        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def subscribe(self, subscriber: Subscriber) -> None:
        """Add a subscriber; it receives all changes after its `position`, which is set here. Raises DatabaseError."""
        async with self._starting:
            if self._reader is None or self._reader.done():
                self._position = await self.in_thread(get_last_event_id)
                self._reader = asyncio.create_task(self._read_events())
        subscriber.position = self._position
        (self._for_all_tasks if subscriber.task_id is None else self._by_task[subscriber.task_id]).add(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Remove a subscriber; the last one ends the reader."""
        self._for_all_tasks.discard(subscriber)
        if subscriber.task_id is not None and subscriber.task_id in self._by_task:
            self._by_task[subscriber.task_id].discard(subscriber)
            if not self._by_task[subscriber.task_id]:
                del self._by_task[subscriber.task_id]
                self._done.pop(subscriber.task_id, None)
        if not self.subscribers and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _read_events(self) -> None:
        loop = asyncio.get_running_loop()
        progress_at = loop.time()
        while True:
            try:
                page = await self.in_thread(read_changes, after=self._position)
                self._publish(page)
                if self._by_task and loop.time() - progress_at >= PROGRESS_SECONDS:
                    progress_at = loop.time()
                    self._publish_progress(await self.in_thread(read_progress, list(self._by_task)))
                if page.is_last:
                    await asyncio.sleep(READ_SECONDS)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("the feed waits for the database: %s", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    def _publish(self, page: Page) -> None:
        self._position = page.through
        for change in page.changes:
            for subscriber in self._by_task.get(change.task_id, ()):
                subscriber.publish(change)
            for subscriber in self._for_all_tasks:
                if subscriber.owner is None or subscriber.owner == change.owner:
                    subscriber.publish(change)

    def _publish_progress(self, found: Sequence[Progress]) -> None:
        for progress in found:
            known = self._done.get(progress.task_id)
            self._done[progress.task_id] = progress.done
            if known is not None and known != progress.done:
                for subscriber in self._by_task.get(progress.task_id, ()):
                    subscriber.publish(progress)


def get_last_event_id() -> int:
    """Return the id of the newest event; 0 if there is none."""
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
    # Events of a task that was pruned meanwhile are skipped: its owner is unknown.
    changes = [Change(event, str(event.task_id), *tasks[event.task_id]) for event in events if event.task_id in tasks]
    return Page(changes, through=events[-1].pk if events else after, is_last=len(events) < BATCH_EVENTS)


def has_end_event(task_id: str) -> bool:
    """Return whether the read model has the end of a task."""
    return TaskRecord.objects.filter(pk=task_id, status__in=ENDED).exists()


def read_progress(task_ids: Sequence[str]) -> list[Progress]:
    """Return the progress of these tasks."""
    names = ("pk", "done", "total", "total_is_estimate", "counts")
    rows = TaskRecord.objects.filter(pk__in=task_ids).values_list(*names)
    return [Progress(str(pk), *values) for pk, *values in rows]
