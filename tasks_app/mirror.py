"""The mirror: from the stream of snapshots to TaskRecord and TaskEvent, the cursor in the same transaction.

Owns the read side's rows: nobody else writes them. Must not decide anything about tasks. Any number of mirrors may
run: the cursor's row is locked while one works.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import redis
from django.conf import settings
from django.db import transaction

from tasks_app import crash_points, events, queue, webhooks
from tasks_app.bulk_insert import insert_columns
from tasks_app.events import Snapshot
from tasks_app.minutes import Rollup
from tasks_app.models import MirrorCursor, TaskEvent, TaskRecord
from tasks_app.records import ids_of, save_records, times_of
from tasks_app.task_counters import Tally

CURSOR: Final = "events"
RATE_SECONDS: Final = 1.0


class Mirror:
    """Reads the stream from where the database says, and writes what it tells."""

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._seen = events.START  # where the last transaction left the cursor; only to wait at
        self._ended = dict.fromkeys(queue.QUEUES, 0)
        self._rates = dict.fromkeys(queue.QUEUES, 0.0)
        self._rated_at = time.monotonic()

    def wait(self, *, block_ms: int) -> bool:
        """Wait until the stream has something to read; False when it stayed silent."""
        return bool(events.read(self._redis, after=self._seen, count=1, block_ms=block_ms))

    def step(self) -> int:
        """Apply the next snapshots, MIRROR_BATCH at most, and trim them. Returns how many were read."""
        tally = Tally()
        with transaction.atomic():
            cursor = self._lock_cursor()
            entries = events.read(self._redis, after=cursor.stream_id, count=settings.LONGTASKS.mirror_batch)
            if not entries and events.is_older(events.get_last_id(self._redis), cursor.stream_id):
                # A new stream whose ids begin lower: Redis was flushed, and its clock is behind the old one's.
                entries = events.read(self._redis, after=events.START, count=settings.LONGTASKS.mirror_batch)
                cursor.stream_id = events.START
                cursor.save()
            if entries:
                self._apply(entries, tally)
                cursor.stream_id = entries[-1][0]
                cursor.save()
            crash_points.reach(crash_points.IN_MIRROR)
        self._seen = cursor.stream_id
        # Also where nothing is new: a mirror that died before its trim has left entries that were read.
        events.trim(self._redis, through=cursor.stream_id)
        if entries:
            tally.save(self._redis)
        self._keep_rates()
        return len(entries)

    def _lock_cursor(self) -> MirrorCursor:
        cursor, _ = MirrorCursor.objects.select_for_update().get_or_create(name=CURSOR)
        return cursor

    def _apply(self, entries: Sequence[tuple[str, Snapshot]], tally: Tally) -> None:
        for _, snapshot in entries:
            if snapshot.parent:
                tally.add_shard(snapshot)
        entries = [(entry_id, snapshot) for entry_id, snapshot in entries if not snapshot.parent]  # outside, one task
        # A task whose start is among them has no record yet.
        new = {snapshot.id for _, snapshot in entries if snapshot.cause == events.START_CAUSE}
        ids = {snapshot.id for _, snapshot in entries} - new
        newest: dict[str, Snapshot] = {
            str(task_id): Snapshot(
                id="", name="", created_at=events.get_time_of("0"), epoch=epoch, status=status, counts=counts, done=done
            )
            for task_id, epoch, status, counts, done in TaskRecord.objects.filter(pk__in=ids).values_list(
                "id", "epoch", "status", "counts", "done"
            )
        }
        times: dict[str, str] = {}
        history = []
        to_tell = []
        rollup = Rollup()
        for entry_id, snapshot in entries:
            known = newest.get(snapshot.id)
            if known is not None and not events.supersedes(snapshot, known):
                continue
            rollup.add(entry_id, snapshot, known)
            tally.add(snapshot, known)
            newest[snapshot.id] = snapshot
            times[snapshot.id] = entry_id
            if snapshot.cause != events.PROGRESS:
                history.append((entry_id, snapshot))
            if snapshot.ended and (known is None or not known.ended):
                self._ended[snapshot.priority] = self._ended.get(snapshot.priority, 0) + 1
                if snapshot.callback_url:
                    to_tell.append(snapshot)
        rollup.save()
        if times:
            save_records([newest[task_id] for task_id in times], [events.get_time_of(at) for at in times.values()])
        _save_history(history)
        if to_tell:
            webhooks.note_ends(to_tell)

    def _keep_rates(self) -> None:
        """Keep how many tasks end in a second, by queue, for the Retry-After of a full one."""
        elapsed = time.monotonic() - self._rated_at
        if elapsed < RATE_SECONDS:
            return
        for name in queue.QUEUES:
            rate = self._ended.get(name, 0) / elapsed
            self._rates[name] = rate if not self._rates[name] else 0.7 * self._rates[name] + 0.3 * rate
            if self._rates[name] >= 0.01:
                queue.set_when_full(self._redis, queue.drain_key(name), f"{self._rates[name]:.2f}", seconds=60)
            self._ended[name] = 0
        self._rated_at = time.monotonic()


def get_lag_seconds(connection: redis.Redis[Any]) -> float:
    """Return the age of the oldest snapshot that no mirror has applied yet, in seconds; 0 when all are."""
    oldest_at = events.get_oldest_at(connection)
    if oldest_at is None:
        return 0.0
    seconds, microseconds = connection.time()
    return max(0.0, seconds + microseconds / 1e6 - oldest_at.timestamp())


def _save_history(history: Sequence[tuple[str, Snapshot]]) -> None:
    """Insert the events of snapshots that changed more than a count."""
    if not history:
        return
    snapshots = [snapshot for _, snapshot in history]
    insert_columns(
        TaskEvent,
        {
            "task_id": ids_of([snapshot.id for snapshot in snapshots]),
            "status": [snapshot.status for snapshot in snapshots],
            "cause": [snapshot.cause[:24] for snapshot in snapshots],
            "at": times_of([events.get_time_of(entry_id) for entry_id, _ in history]),
            "worker": [snapshot.worker for snapshot in snapshots],
            "actor": [snapshot.actor for snapshot in snapshots],
            "attempt": [snapshot.attempts for snapshot in snapshots],
            "done": [snapshot.done for snapshot in snapshots],
            "error": [snapshot.error for snapshot in snapshots],
        },
    )
