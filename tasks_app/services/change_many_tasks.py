"""Changes many tasks at once: cancel, retry, change of priority, in few statements for the whole set.

Owns the set operations, for at most SET_TASKS tasks. Must not define a change: change_tasks.py does.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db import transaction

from tasks_app.auth import audit_log
from tasks_app.checkpoints import sets
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import AuthorizationFailed, NamedTaskUnknown, NotAllowed
from tasks_app.models import AuditEntry
from tasks_app.queues import redis_connection, transitions
from tasks_app.queues.transitions import Transition
from tasks_app.read_model.latest_snapshot import find_snapshots
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.services.authorization import check_retry
from tasks_app.services.change_tasks import (
    apply_to_redis,
    cancel_transition,
    check_priority,
    find_target_queue,
    note_priority,
    priority_transition,
    retry_transition,
)

SET_TASKS: Final = 1000


@dataclass(frozen=True, slots=True)
class SetResult:
    """The ids of the changed tasks, and the number of unchanged tasks by status ("unknown": no such task)."""

    changed: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)


def cancel_tasks(*, task_ids: Sequence[str], actor: str, source: str = audit_log.API) -> SetResult:
    """Cancel tasks, as `change_tasks.cancel_task` does. Raises StoreUnavailable, QueueUnavailable."""
    with mapped_database_errors():
        snapshots, left = _find(task_ids)
        with transaction.atomic():
            before, rows = sets.request_cancels(task_ids=[uuid.UUID(task_id) for task_id in snapshots])
            ended = [str(key) for key, outcome in before.items() if outcome]
            changed = [task_id for task_id in snapshots if task_id not in ended]
            _note(AuditEntry.Action.CANCEL, changed, actor=actor, source=source)
        apply_to_redis(
            [cancel_transition(snapshots[task_id], rows[uuid.UUID(task_id)], actor=actor) for task_id in changed]
        )
        left.update(before[uuid.UUID(task_id)] for task_id in ended)
        return SetResult(changed, left)


def retry_tasks(*, task_ids: Sequence[str], actor: str, source: str = audit_log.API) -> SetResult:
    """Requeue ended tasks, as `change_tasks.retry_task` does. Raises StoreUnavailable, QueueUnavailable.

    Tasks whose owner may no longer start them are counted as "refused".
    """
    with mapped_database_errors():
        snapshots, left = _find(task_ids)
        for task_id in [task_id for task_id, snapshot in snapshots.items() if not _may_retry(snapshot)]:
            del snapshots[task_id]
            left["refused"] += 1
        with transaction.atomic():
            rows = sets.reopen(task_ids=[uuid.UUID(task_id) for task_id in snapshots])
            changed = [str(key) for key in rows]
            _note(AuditEntry.Action.RETRY, changed, actor=actor, source=source)
        apply_to_redis(
            [retry_transition(snapshots[task_id], rows[uuid.UUID(task_id)], actor=actor) for task_id in changed]
        )
        left.update(snapshot.status for task_id, snapshot in snapshots.items() if task_id not in changed)
        return SetResult(changed, left)


def change_priorities(
    *, task_ids: Sequence[str], priority: str, actor: str, source: str = audit_log.API
) -> SetResult:  # fmt: skip
    """Move waiting tasks to the queue of a priority, as `change_tasks.change_priority` does, in the order of the ids.

    Raises UnknownQueue, StoreUnavailable, QueueUnavailable.
    """
    check_priority(priority)
    with mapped_database_errors():
        snapshots, left = _find(sorted(task_ids))
        todo = []
        for snapshot in snapshots.values():
            is_there = snapshot.priority == find_target_queue(snapshot, priority=priority)
            move = None if is_there else priority_transition(snapshot, priority=priority, actor=actor)
            if move is None:
                left[snapshot.status] += 1
            else:
                todo.append(move)
        moved = _transition(todo)
        changed = [move.snapshot.id for move, done in zip(todo, moved, strict=True) if done]
        left.update(move.snapshot.status for move, done in zip(todo, moved, strict=True) if not done)
        if changed:
            note_priority(changed, actor=actor, source=source, detail=f"→ {priority}")
        return SetResult(changed, left)


def _find(task_ids: Sequence[str]) -> tuple[dict[str, Snapshot], Counter[str]]:
    """Return the newest known snapshots: one round trip to Redis, one query for the tasks that Redis no longer has."""
    wanted = list(dict.fromkeys(str(uuid.UUID(task_id)) for task_id in task_ids))
    if len(wanted) > SET_TASKS:
        raise ValueError(f"{len(wanted)} tasks at once: {SET_TASKS} at most")
    found = find_snapshots(wanted)
    # RQ's pages show shards: a change of a shard applies to its task.
    tasks_of_shards = {snapshot.parent for snapshot in found.values() if snapshot is not None and snapshot.parent}
    snapshots = {
        task_id: snapshot for task_id, snapshot in found.items() if snapshot is not None and not snapshot.parent
    }
    if tasks_of_shards:
        snapshots |= _find(sorted(tasks_of_shards))[0]
    return snapshots, Counter({"unknown": missing} if (missing := list(found.values()).count(None)) else {})


def _may_retry(snapshot: Snapshot) -> bool:
    try:
        check_retry(snapshot)
    except (NamedTaskUnknown, NotAllowed, AuthorizationFailed):
        return False
    return True


def _note(action: str, task_ids: Sequence[str], *, actor: str, source: str) -> None:
    if task_ids:
        audit_log.record(action=action, source=source, actor=actor, task_ids=task_ids)


def _transition(todo: Sequence[Transition]) -> list[bool]:
    with redis_connection.mapped_redis_errors():
        return transitions.apply_many_transitions(redis_connection.get_connection(), todo)
