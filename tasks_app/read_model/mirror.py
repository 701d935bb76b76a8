"""The mirror: from the stream of snapshots to TaskRecord and TaskEvent, the cursor in the same transaction.

Owns the read side's rows: nobody else writes them. Must not decide anything about tasks. Any number of mirrors may
run: the cursor's row is locked while one works. An entry that is refused is set aside in the transaction that moves the
cursor past it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from django.conf import settings
from django.db import transaction

from tasks_app.database.bulk_insert import insert_columns
from tasks_app.domain import stream_ids, task_snapshot, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import MirrorCursor, TaskEvent, TaskRecord, column_limits
from tasks_app.queues import full_redis, queue_names, redis_keys, snapshot_stream
from tasks_app.read_model import older_database
from tasks_app.read_model.minute_rollups import Rollup
from tasks_app.read_model.mirror_lag import STUCK_SECONDS
from tasks_app.read_model.task_rows import ids_of, save_records, times_of
from tasks_app.read_model.task_totals import Tally
from tasks_app.resilience import batch_isolation, failpoints, set_aside_items
from tasks_app.webhooks import deliveries

CURSOR: Final = "events"
RATE_SECONDS: Final = 1.0
ROW_BYTES: Final = 700  # of a row beside what its snapshot holds: names of columns that have defaults, times, quotes
BATCH_BYTES: Final = 16 << 20  # of a batch in memory, and of its longest statement
SURE_BYTES: Final = 256 << 10  # every server takes a statement of this length
Entry = tuple[str, bytes]  # stream id, a snapshot's JSON


class Overtaken(batch_isolation.Interrupted):
    """Another mirror has moved the cursor."""


@dataclass(slots=True)
class Applied:
    """What is to be counted when the transaction has committed."""

    tally: Tally = field(default_factory=Tally)
    ended: Counter[str] = field(default_factory=Counter)


class Mirror:
    """Reads the stream from where the database says, and writes what it tells."""

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._seen = stream_ids.START  # where the last transaction left the cursor; only to wait at
        self._is_new = True  # it has not compared the cursor with Redis yet
        self._most = settings.LONGTASKS.mirror_batch  # entries of the next batch
        self._stuck_at = ("", 0.0)  # the entry whose batch of one met an outage, and since when
        self._tally = Tally()  # committed, but not yet in Redis
        self._ended = dict.fromkeys(queue_names.QUEUES, 0)
        self._rates = dict.fromkeys(queue_names.QUEUES, 0.0)
        self._rated_at = time.monotonic()
        self.has_more = False  # the last batch was as large as it may be

    def wait(self, *, block_ms: int) -> bool:
        """Wait until the stream has something to read; False when it stayed silent."""
        return bool(snapshot_stream.read(self._redis, after=self._seen, count=1, block_ms=block_ms))

    def step(self) -> int:
        """Apply the next snapshots, MIRROR_BATCH at most, and trim them. Returns how many were read.

        Those that are refused are set aside. Raises the error of an outage; then the next batch is smaller, so that
        entries that a server answers with a broken connection do not hold up the others.
        """
        entries: list[Entry] = []
        stored = stream_ids.START
        applied = Applied()
        try:
            with transaction.atomic():
                cursor = self._lock_cursor()
                stored = cursor.stream_id
                if self._is_new or stream_ids.is_older(stored, self._seen):
                    older_database.note_if_older(self._redis, cursor=stored)
                    self._is_new = False
                entries = self._read(after=stored)
                if not entries and stream_ids.is_older(snapshot_stream.get_last_id(self._redis), stored):
                    # A new stream whose ids begin lower: Redis was flushed, and its clock is behind the old one's. Or an
                    # older one: Redis was restored from a backup.
                    snapshot_stream.forget_mirrored_id(self._redis)
                    entries = self._read(after=stream_ids.START)
                    cursor.stream_id = stream_ids.START
                    cursor.save()
                if entries:
                    self._apply(entries, applied)
                    cursor.stream_id = entries[-1][0]
                    cursor.save()
                failpoints.reach(failpoints.IN_MIRROR)
        except Exception as error:
            if not entries:
                raise
            if batch_isolation.is_outage(error) and not self._is_refused_alone(entries):
                self._most = max(1, len(entries) // 2)
                raise
            self._apply_by_halves(entries, error, stored=stored)
        else:
            self._seen = cursor.stream_id
            self._count(applied)
            self._most = min(settings.LONGTASKS.mirror_batch, self._most * 2)
        # Also where nothing is new: a mirror that died before its trim has left entries that were read.
        snapshot_stream.trim(self._redis, through=self._seen)
        self._save_totals()
        self._keep_rates()
        return len(entries)

    def apply_again(self, entry: Entry) -> bool:
        """Apply an entry that was set aside. False where its task has gone on since; then nothing is applied.

        Raises what the entry is refused with.
        """
        snapshot = column_limits.check(task_snapshot.decode(entry[1]))
        with transaction.atomic():
            self._lock_cursor()
            if TaskRecord.objects.filter(pk=snapshot.id, updated_at__gt=stream_ids.get_time_of(entry[0])).exists():
                return False
            applied = Applied()
            self._write([(entry[0], snapshot)], applied)
        transaction.on_commit(lambda: self._count(applied))
        transaction.on_commit(self._save_totals)
        return True

    def _read(self, *, after: str) -> list[Entry]:
        """Read the next batch: bounded in entries, and in the bytes of the statement that will insert their rows."""
        entries = snapshot_stream.read(self._redis, after=after, count=self._most)
        self.has_more = len(entries) == self._most
        sizes = [_row_bytes(data) for _, data in entries]
        if sum(sizes) <= SURE_BYTES:
            return entries
        left = min(BATCH_BYTES, set_aside_items.get_packet_bytes()) - ROW_BYTES
        for index, size in enumerate(sizes):
            left -= size
            if left < 0 and index:
                self.has_more = True
                self._most = index  # doubled after each batch that was applied
                return entries[:index]
        return entries

    def _is_refused_alone(self, entries: Sequence[Entry]) -> bool:
        """Tell whether an entry that seems to meet an outage, again and again, is the only one that does.

        The proof is the entry behind it: it can be applied, in a transaction that is rolled back.
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
                self._apply(neighbors, Applied())
                transaction.set_rollback(True)
        except Exception as error:
            return not batch_isolation.is_outage(error)
        return True

    def _apply_by_halves(self, entries: Sequence[Entry], error: Exception, *, stored: str) -> None:
        """Apply a batch that was refused in smaller ones, each in a transaction that moves the cursor past it."""
        position = stored

        def move(part: Sequence[Entry], refused: Exception | None) -> None:
            nonlocal position
            applied = Applied()
            with transaction.atomic():
                cursor = self._lock_cursor()
                if cursor.stream_id != position:
                    raise Overtaken
                if refused is None:
                    self._apply(part, applied)
                else:
                    _put_aside(part[0], refused)
                cursor.stream_id = part[-1][0]
                cursor.save()
                failpoints.reach(failpoints.IN_MIRROR)
            position = self._seen = part[-1][0]
            self._count(applied)

        try:
            if batch_isolation.is_outage(error):
                move(entries, error)  # one entry, refused alone
                return
            batch_isolation.apply_halves(
                entries,
                error,
                apply=lambda part: move(part, None),
                put_aside=lambda entry, refused: move([entry], refused),
            )
        except Overtaken:
            return  # the next step reads what is left

    def _lock_cursor(self) -> MirrorCursor:
        cursor, _ = MirrorCursor.objects.select_for_update().get_or_create(name=CURSOR)
        return cursor

    def _apply(self, raw: Sequence[Entry], applied: Applied) -> None:
        """Apply entries in the running transaction; set aside those that hold no snapshot or do not fit the columns."""
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
                _put_aside(entry, error)
        if entries:
            self._write(entries, applied)

    def _write(self, entries: Sequence[tuple[str, Snapshot]], applied: Applied) -> None:
        tally = applied.tally
        for _, snapshot in entries:
            if snapshot.parent:
                tally.add_shard(snapshot)
        entries = [(entry_id, snapshot) for entry_id, snapshot in entries if not snapshot.parent]  # outside, one task
        # Also of those whose start is among them: an older stream that was restored is read a second time.
        ids = {snapshot.id for _, snapshot in entries}
        newest: dict[str, Snapshot] = {
            str(task_id): Snapshot(
                id="",
                name="",
                created_at=stream_ids.get_time_of("0"),
                epoch=epoch,
                status=status,
                counts=counts,
                done=done,
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
            if known is not None and (
                snapshot.cause == task_status.START_CAUSE or not task_snapshot.supersedes(snapshot, known)
            ):
                continue  # nothing comes before a task's start: who knows the task has read this before
            rollup.add(entry_id, snapshot, known)
            tally.add(snapshot, known)
            newest[snapshot.id] = snapshot
            times[snapshot.id] = entry_id
            if snapshot.cause != task_status.PROGRESS:
                history.append((entry_id, snapshot))
            if snapshot.ended and (known is None or not known.ended):
                applied.ended[snapshot.priority] = applied.ended.get(snapshot.priority, 0) + 1
                if snapshot.callback_url:
                    to_tell.append(snapshot)
        rollup.save()
        if times:
            save_records([newest[task_id] for task_id in times], [stream_ids.get_time_of(at) for at in times.values()])
        _save_history(history)
        if to_tell:
            deliveries.note_ends(to_tell)

    def _count(self, applied: Applied) -> None:
        """Take over what a committed transaction has counted."""
        self._tally.merge(applied.tally)
        for name, number in applied.ended.items():
            self._ended[name] = self._ended.get(name, 0) + number

    def _save_totals(self) -> None:
        """Add the totals to Redis. What it refuses for a while is kept; a field that it refuses is set aside."""
        away: Exception | None = None
        for name, number, error in self._tally.save(self._redis):
            if batch_isolation.is_outage(error):
                self._tally.add_total(name, number)
                away = error
            else:
                set_aside_items.note(
                    kind=set_aside_items.TOTAL, key=name, payload=f"{name} {number}".encode(), error=error
                )
        if away is not None:
            raise away

    def _keep_rates(self) -> None:
        """Keep how many tasks end in a second, by queue, for the Retry-After of a full one."""
        elapsed = time.monotonic() - self._rated_at
        if elapsed < RATE_SECONDS:
            return
        for name in queue_names.QUEUES:
            rate = self._ended.get(name, 0) / elapsed
            self._rates[name] = rate if not self._rates[name] else 0.7 * self._rates[name] + 0.3 * rate
            if self._rates[name] >= 0.01:
                full_redis.set_when_full(
                    self._redis, redis_keys.drain_key(name), f"{self._rates[name]:.2f}", seconds=60
                )
            self._ended[name] = 0
        self._rated_at = time.monotonic()


def _row_bytes(data: bytes) -> int:
    """Return how long a snapshot's row may become in a statement, escaped."""
    return ROW_BYTES + len(data) + data.count(b'"') + data.count(b"'") + data.count(b"\\")


def _put_aside(entry: Entry, error: Exception) -> None:
    set_aside_items.note(kind=set_aside_items.SNAPSHOT, key=entry[0], payload=entry[1], error=error)


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
            "at": times_of([stream_ids.get_time_of(entry_id) for entry_id, _ in history]),
            "worker": [snapshot.worker for snapshot in snapshots],
            "actor": [snapshot.actor for snapshot in snapshots],
            "attempt": [snapshot.attempts for snapshot in snapshots],
            "done": [snapshot.done for snapshot in snapshots],
            "error": [snapshot.error for snapshot in snapshots],
        },
    )
