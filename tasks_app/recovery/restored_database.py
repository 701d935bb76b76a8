"""A database that is older than Redis: restored from a backup, or a replica promoted without the last commits.

Owns which tasks have ended in Redis although the database lacks their rows. The checkpoint decides: such a task runs
again from it. Must not move tasks: reconciliation does.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

import redis

from tasks_app.checkpoints import as_snapshot, cancel_and_reopen, checkpoint_rows
from tasks_app.conf import settings
from tasks_app.domain import stream_ids, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskCheckpoint, TaskRecord
from tasks_app.queues import job_snapshots, queue_names, redis_keys
from tasks_app.queues.transitions import Transition
from tasks_app.recovery.registry_members import parse_ids

MARGIN_SECONDS: Final = 60.0  # for the mirror's lag at the time of the backup, and tasks that ended just then
PAGE: Final = 500
_CANCELED: Final = frozenset({task_status.CANCELED, task_status.STOPPED})


def list_ended_since(connection: redis.Redis[Any], *, cursor: str) -> Iterator[list[Snapshot]]:
    """Yield pages of tasks that have ended in Redis, and whose end a database at `cursor` may lack.

    The scores of RQ's registries are the times of the end plus the time to live. Tasks that ended earlier are skipped:
    the database has their end, or they were pruned.
    """
    since = stream_ids.get_time_of(cursor).timestamp() - MARGIN_SECONDS
    longtasks = settings.LONGTASKS
    ttl_seconds = min(longtasks.result_ttl_seconds, longtasks.failure_ttl_seconds)
    for name in queue_names.list_used(connection):
        for key in redis_keys.list_ended_keys(name):
            members: Any = connection.zrangebyscore(key, since + ttl_seconds, "+inf")
            for start in range(0, len(members), PAGE):
                task_ids = [member.decode(errors="replace") for member in members[start : start + PAGE]]
                found = job_snapshots.get_snapshots(task_ids)
                yield [snapshot for snapshot in found if snapshot is not None and snapshot.ended]


def list_without_row(task_ids: Sequence[str]) -> Iterator[Snapshot]:
    """Yield the snapshots of those tasks that wait or run in Redis and have no row."""
    for start in range(0, len(task_ids), PAGE):
        page = {str(key) for key in parse_ids(task_ids[start : start + PAGE])}
        known = {str(pk) for pk in TaskRecord.objects.filter(pk__in=page).values_list("pk", flat=True)}
        for snapshot in job_snapshots.get_snapshots(sorted(page - known)):
            if snapshot is not None and not snapshot.parent:
                yield snapshot


def split_by_checkpoint(snapshots: Sequence[Snapshot]) -> tuple[list[Snapshot], list[Snapshot]]:
    """Return the tasks whose end the checkpoint confirms, and those whose end the database has lost.

    A claimed task is in neither list: lease expiry decides.
    """
    rows = checkpoint_rows.get_checkpoints([uuid.UUID(snapshot.id) for snapshot in snapshots])
    confirmed, undone = [], []
    for snapshot in snapshots:
        row = rows.get(uuid.UUID(snapshot.id))
        if row is not None and row.outcome:
            confirmed.append(snapshot)
        elif row is None or row.lease_until is None:
            undone.append(snapshot)
    return confirmed, undone


def undo_end(snapshot: Snapshot) -> Transition | TaskCheckpoint:
    """Return the transition that runs a task again from its checkpoint, or the checkpoint if the task is canceled.

    A canceled or stopped task stays so, unless the database has a later retry: then Redis is the older one.
    """
    task_id = uuid.UUID(snapshot.id)
    known = checkpoint_rows.get_checkpoints([task_id]).get(task_id)
    is_newer = known is None or known.epoch <= snapshot.epoch
    row = cancel_and_reopen.raise_epoch(task_id=task_id, above=snapshot.epoch)
    if row.outcome:
        return row
    if is_newer and snapshot.status in _CANCELED:
        return cancel_and_reopen.request_cancel(task_id=task_id)
    again = snapshot.queued(cause="rescue", counts=dict.fromkeys(snapshot.counts, 0), error=None)
    # Isolated: a batch is for tasks without a checkpoint.
    return Transition(as_snapshot.with_checkpoint(again, row), "ended", "back", failures=row.failures, isolated=True)
