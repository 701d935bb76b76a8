"""Writes a batch of snapshots to the read model: task rows, history, roll-ups, totals and due webhooks.

Owns which snapshots change which rows. Must not read the stream nor move the cursor: the mirror does, in the same
transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks_app.database.bulk_insert import insert_columns
from tasks_app.domain import stream_ids, task_snapshot, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskEvent, TaskRecord
from tasks_app.read_model.minute_rollups import Rollup
from tasks_app.read_model.task_rows import ids_of, save_records, times_of
from tasks_app.read_model.task_totals import TotalsDelta
from tasks_app.webhooks import deliveries


@dataclass(slots=True)
class BatchCounts:
    """The counts of one transaction, which take effect when it has committed."""

    totals: TotalsDelta = field(default_factory=TotalsDelta)
    ended: Counter[str] = field(default_factory=Counter)  # tasks that ended, by queue


def save_snapshots(entries: Sequence[tuple[str, Snapshot]], *, counted: BatchCounts) -> None:
    """Write snapshots (with their stream ids) to the read model's tables, in the transaction of the caller.

    Snapshots that do not supersede the stored state are skipped, so applying an entry twice has no effect.
    Shards are only counted. Adds to `counted` what the caller counts after its commit. Raises the database's errors.
    """
    totals = counted.totals
    for _, snapshot in entries:
        if snapshot.parent:
            totals.add_shard(snapshot)
    entries = [(entry_id, snapshot) for entry_id, snapshot in entries if not snapshot.parent]  # clients see one task
    # New tasks are looked up too: a stream that was restored from a backup is read a second time.
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
    to_deliver = []
    rollup = Rollup()
    for entry_id, snapshot in entries:
        known = newest.get(snapshot.id)
        if known is not None and (
            snapshot.cause == task_status.START_CAUSE or not task_snapshot.supersedes(snapshot, known)
        ):
            continue  # a start is a task's first snapshot: if the task is known, this entry was read before
        rollup.add(entry_id, snapshot, known)
        totals.add(snapshot, known)
        newest[snapshot.id] = snapshot
        times[snapshot.id] = entry_id
        if snapshot.cause != task_status.PROGRESS:
            history.append((entry_id, snapshot))
        if snapshot.ended and (known is None or not known.ended):
            counted.ended[snapshot.priority] = counted.ended.get(snapshot.priority, 0) + 1
            if snapshot.callback_url:
                to_deliver.append(snapshot)
    rollup.save()
    if times:
        save_records([newest[task_id] for task_id in times], [stream_ids.get_time_of(at) for at in times.values()])
    _save_history(history)
    if to_deliver:
        deliveries.note_ends(to_deliver)


def _save_history(history: Sequence[tuple[str, Snapshot]]) -> None:
    """Insert an event for each snapshot that changed more than counts."""
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
