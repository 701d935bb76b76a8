"""The mirror: projects the stream of snapshots into the read model, and moves its cursor in the same transaction.

Owns the cursor, the size of a batch and what happens to a refused entry. Must not decide anything about tasks. Any
number of mirrors may run, because a mirror locks the cursor's row while it works. A refused entry is set aside in the
transaction that moves the cursor past it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import redis
from django.db import transaction

from tasks_app.conf import settings
from tasks_app.domain import stream_ids, task_snapshot
from tasks_app.models import MirrorCursor, TaskRecord, column_limits
from tasks_app.queues import snapshot_stream
from tasks_app.read_model import older_database
from tasks_app.read_model.drain_rate import DrainRate
from tasks_app.read_model.mirror_lag import STUCK_SECONDS
from tasks_app.read_model.snapshot_writer import BatchCounts, save_snapshots
from tasks_app.read_model.task_totals import TotalsDelta
from tasks_app.resilience import batch_isolation, failpoints, set_aside_items

CURSOR: Final = "events"
ROW_BYTES: Final = 700  # of a row beyond its snapshot: default columns, timestamps, quotes
BATCH_BYTES: Final = 16 << 20  # limit for a batch in memory and for its longest statement
SURE_BYTES: Final = 256 << 10  # every server accepts a statement of this length
Entry = tuple[str, bytes]  # stream id, a snapshot's JSON


class CursorMoved(batch_isolation.Interrupted):
    """Another mirror has moved the cursor."""


class Mirror:
    """Reads the stream from the cursor in the database, and writes the snapshots to the read model."""

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._seen = stream_ids.START  # the cursor after the last transaction; used only to wait
        self._is_new = True  # the cursor has not been compared with Redis yet
        self._batch_entries = settings.LONGTASKS.mirror_batch  # of the next batch, at most
        self._stuck_at = ("", 0.0)  # the single entry that failed with an outage, and since when
        self._totals = TotalsDelta()  # committed, but not yet in Redis
        self._drain_rate = DrainRate()
        self.has_more = False  # the last batch was full

    def wait(self, *, block_ms: int) -> bool:
        """Wait until the stream has a new entry. Returns False if none arrived within `block_ms`."""
        return bool(snapshot_stream.read(self._redis, after=self._seen, count=1, block_ms=block_ms))

    def step(self) -> int:
        """Apply the next snapshots, MIRROR_BATCH at most, and trim the stream. Returns how many entries were read.

        Refused entries are set aside. Raises the error of an outage and halves the next batch, so that an entry that
        makes the server close the connection does not block the others.
        """
        entries: list[Entry] = []
        stored = stream_ids.START
        counted = BatchCounts()
        try:
            with transaction.atomic():
                cursor = self._lock_cursor()
                stored = cursor.stream_id
                if self._is_new or stream_ids.is_older(stored, self._seen):
                    older_database.note_if_older(self._redis, cursor=stored)
                    self._is_new = False
                entries = self._read(after=stored)
                if not entries and stream_ids.is_older(snapshot_stream.get_last_id(self._redis), stored):
                    # The stream ends before the cursor: Redis was restored from a backup, or it was flushed and its
                    # clock is behind the previous one.
                    snapshot_stream.forget_mirrored_id(self._redis)
                    entries = self._read(after=stream_ids.START)
                    cursor.stream_id = stream_ids.START
                    cursor.save()
                if entries:
                    self._apply(entries, counted)
                    cursor.stream_id = entries[-1][0]
                    cursor.save()
                failpoints.reach(failpoints.IN_MIRROR)
        except Exception as error:
            if not entries:
                raise
            if batch_isolation.is_outage(error) and not self._is_refused_alone(entries):
                self._batch_entries = max(1, len(entries) // 2)
                raise
            self._apply_by_halves(entries, error, stored=stored)
        else:
            self._seen = cursor.stream_id
            self._count(counted)
            self._batch_entries = min(settings.LONGTASKS.mirror_batch, self._batch_entries * 2)
        # Even without new entries: a mirror that died before its trim has left applied entries in the stream.
        snapshot_stream.trim(self._redis, through=self._seen)
        self._save_totals()
        self._drain_rate.publish(self._redis)
        return len(entries)

    def apply_again(self, entry: Entry) -> bool:
        """Apply an entry that was set aside. Returns False, without effect, if a newer snapshot has been applied.

        Raises the error with which the entry is refused again.
        """
        snapshot = column_limits.check(task_snapshot.decode(entry[1]))
        with transaction.atomic():
            self._lock_cursor()
            if TaskRecord.objects.filter(pk=snapshot.id, updated_at__gt=stream_ids.get_time_of(entry[0])).exists():
                return False
            counted = BatchCounts()
            save_snapshots([(entry[0], snapshot)], counted=counted)
        transaction.on_commit(lambda: self._count(counted))
        transaction.on_commit(self._save_totals)
        return True

    def _read(self, *, after: str) -> list[Entry]:
        """Read the next batch, bounded in entries and in the bytes of the statement that inserts their rows."""
        entries = snapshot_stream.read(self._redis, after=after, count=self._batch_entries)
        self.has_more = len(entries) == self._batch_entries
        sizes = [_row_bytes(data) for _, data in entries]
        if sum(sizes) <= SURE_BYTES:
            return entries
        left = min(BATCH_BYTES, set_aside_items.get_packet_bytes()) - ROW_BYTES
        for index, size in enumerate(sizes):
            left -= size
            if left < 0 and index:
                self.has_more = True
                self._batch_entries = index  # doubles after each batch that was applied
                return entries[:index]
        return entries

    def _is_refused_alone(self, entries: Sequence[Entry]) -> bool:
        """Return whether this single entry is the fault, and not the database.

        True if it has failed for STUCK_SECONDS while the next entry can be applied, in a transaction that is rolled back.
        """
        entry_id = entries[0][0]
        if len(entries) > 1 or self._stuck_at[0] != entry_id:
            self._stuck_at = (entry_id, time.monotonic())
            return False
        if time.monotonic() - self._stuck_at[1] < STUCK_SECONDS:
            return False
        neighbors = snapshot_stream.read(self._redis, after=entry_id, count=1)
        if not neighbors:
            return False
        try:
            with transaction.atomic():
                self._apply(neighbors, BatchCounts())
                transaction.set_rollback(True)
        except Exception as error:
            return not batch_isolation.is_outage(error)
        return True

    def _apply_by_halves(self, entries: Sequence[Entry], error: Exception, *, stored: str) -> None:
        """Split a refused batch and apply the parts, each in a transaction that moves the cursor past it."""
        position = stored

        def apply_part(part: Sequence[Entry], refused: Exception | None) -> None:
            nonlocal position
            counted = BatchCounts()
            with transaction.atomic():
                cursor = self._lock_cursor()
                if cursor.stream_id != position:
                    raise CursorMoved
                if refused is None:
                    self._apply(part, counted)
                else:
                    _set_aside(part[0], refused)
                cursor.stream_id = part[-1][0]
                cursor.save()
                failpoints.reach(failpoints.IN_MIRROR)
            position = self._seen = part[-1][0]
            self._count(counted)

        try:
            if batch_isolation.is_outage(error):
                apply_part(entries, error)  # one entry, refused alone
                return
            batch_isolation.apply_halves(
                entries,
                error,
                apply=lambda part: apply_part(part, None),
                set_aside=lambda entry, refused: apply_part([entry], refused),
            )
        except CursorMoved:
            return  # the next step reads the rest

    def _lock_cursor(self) -> MirrorCursor:
        cursor, _ = MirrorCursor.objects.select_for_update().get_or_create(name=CURSOR)
        return cursor

    def _apply(self, raw: Sequence[Entry], counted: BatchCounts) -> None:
        """Apply entries in the running transaction. Invalid snapshots and those too long for a column are set aside."""
        packet_bytes = 0
        entries = []
        for entry in raw:
            try:
                stream_ids.get_time_of(entry[0])
                if (size := _row_bytes(entry[1])) > SURE_BYTES:
                    packet_bytes = packet_bytes or set_aside_items.get_packet_bytes()
                    if size > packet_bytes:
                        raise ValueError(f"its row takes {size} bytes; max_allowed_packet is {packet_bytes}")
                entries.append((entry[0], column_limits.check(task_snapshot.decode(entry[1]))))
            except (ValueError, OverflowError, RecursionError) as error:
                _set_aside(entry, error)
        if entries:
            save_snapshots(entries, counted=counted)

    def _count(self, counted: BatchCounts) -> None:
        """Add the counts of a committed transaction."""
        self._totals.merge(counted.totals)
        self._drain_rate.add(counted.ended)

    def _save_totals(self) -> None:
        """Add the totals to Redis. Keeps them, and raises, during an outage; sets a refused field aside."""
        outage: Exception | None = None
        for name, number, error in self._totals.save(self._redis):
            if batch_isolation.is_outage(error):
                self._totals.add_total(name, number)
                outage = error
            else:
                set_aside_items.note(
                    kind=set_aside_items.TOTAL, key=name, payload=f"{name} {number}".encode(), error=error
                )
        if outage is not None:
            raise outage


def _row_bytes(data: bytes) -> int:
    """Return an upper bound of the bytes of a snapshot's row in a statement, escaped."""
    return ROW_BYTES + len(data) + data.count(b'"') + data.count(b"'") + data.count(b"\\")


def _set_aside(entry: Entry, error: Exception) -> None:
    set_aside_items.note(kind=set_aside_items.SNAPSHOT, key=entry[0], payload=entry[1], error=error)
