"""What a task needs before its first chunk: its plan, if the type `is_planned`; else its total, and the state of its split.

Owns when a task is planned, that it is planned once, and the guard around the type's code. Must not split a task (runner,
checkpoints/shards.py) nor run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from tasks_app.checkpoints import claims
from tasks_app.checkpoints.claims import Claim
from tasks_app.conf import settings
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.task_types import Plan, get_limit_seconds, get_task_type
from tasks_app.task_types.task_results import check_plan, check_state, check_total_again


class ClaimedTask(Protocol):
    """A task that this process has claimed."""

    claim: Claim
    snapshot: Snapshot


def needs_plan(session: ClaimedTask) -> bool:
    """Return whether the task is to be planned: not a shard, and neither planned nor begun before."""
    claim, snapshot = session.claim, session.snapshot
    return get_task_type(snapshot.name).is_planned and not snapshot.parent and claim.total is None and claim.done == 0


def make_plan(session: ClaimedTask, *, guard: ChunkGuard) -> Plan:
    """Return the plan of a task, outside of a transaction. One without parts is stored; the split stores one with parts.

    Raises Fenced, TaskCodeFailed, TransactionLost and errors of the database.
    """
    claim, snapshot = session.claim, session.snapshot
    task_type = get_task_type(snapshot.name)
    shard_records = settings.LONGTASKS.shard_records if task_type.splittable else 0

    def prepare() -> Plan:
        plan = task_type.make_plan(task_id=claim.task_id, params=snapshot.params, shard_records=shard_records)
        return check_plan(plan, task_type=task_type)

    with guard.watching(limit_seconds=get_limit_seconds(task_type)):
        plan = guard.prepare(prepare)
    if not plan.parts:
        claims.store_plan(claim, plan)
    snapshot.total, snapshot.total_is_estimate = plan.total, plan.is_estimate
    return plan


def find_total(session: ClaimedTask, *, guard: ChunkGuard) -> None:
    """Give a task without a total what its type says now. Raises TaskCodeFailed and TransactionLost."""
    snapshot = session.snapshot
    task_type = get_task_type(snapshot.name)
    with guard.watching(limit_seconds=get_limit_seconds(task_type)):
        snapshot.total = guard.prepare(partial(check_total_again, task_type, snapshot.params))


def prepare_split(session: ClaimedTask, *, guard: ChunkGuard) -> Mapping[str, Any]:
    """Return the first state of all shards of a task without a plan. Raises TaskCodeFailed and TransactionLost."""
    claim, snapshot = session.claim, session.snapshot
    task_type = get_task_type(snapshot.name)

    def prepare() -> Mapping[str, Any]:
        state = task_type.prepare_split(task_id=claim.task_id, params=snapshot.params)
        return check_state(state, task_type=task_type)

    with guard.watching(limit_seconds=get_limit_seconds(task_type)):
        return guard.prepare(prepare)
