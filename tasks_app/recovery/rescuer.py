"""Recovery: requeues the tasks that dead workers, a flushed Redis or an interrupted step have left behind.

`Rescuer.run` is one whole pass, with its steps in their order. The mirror process calls `watch` and `enqueue_due` more often.
docs/recovery.md describes them for operators. Owns what is done to tasks of dead workers (`requeue_orphans`, after an exit
report or missed heartbeats) and of expired leases (`requeue_expired`). Any number of rescuers may run at once: a row lock or
a Redis script lets only one carry out each step.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import redis

from tasks_app.checkpoints import checkpoint_rows, expired_claims
from tasks_app.domain import task_status
from tasks_app.models import TaskCheckpoint, TaskRecord
from tasks_app.queues import full_redis, queue_names, redis_keys, removed_queues, transitions
from tasks_app.queues.parked_tasks import ParkedErrors
from tasks_app.queues.redis_clock import clock
from tasks_app.queues.transitions import Transition
from tasks_app.read_model import older_database
from tasks_app.read_model.latest_snapshot import find_snapshot
from tasks_app.recovery import due_tasks, housekeeping, reconciliation
from tasks_app.recovery.liveness_judge import DeathEvidence, LivenessJudge, read_causes
from tasks_app.recovery.reconciliation import Reconciler
from tasks_app.recovery.registry_members import decode_member, parse_id, parse_ids
from tasks_app.recovery.requeue import Requeuer, place_unclaimed
from tasks_app.recovery.stale_connections import end_connection_of
from tasks_app.recovery.stuck_shards import ShardWatch
from tasks_app.recovery.unpublished_decisions import UnpublishedCancels, publish_pauses
from tasks_app.resilience import failpoints

logger = logging.getLogger(__name__)

ALIVE_KEY: Final = "longtasks:alive"  # missing after a FLUSHALL
COMPARE_SECONDS: Final = 0.05  # per pass, at most
# After an outage of the database: leases have expired, and living workers need a moment to renew them.
OUTAGE_GRACE_SECONDS: Final = 3.0
SLOW_SECONDS: Final = 1.0  # a database that needs longer for one query was unavailable


class Rescuer:
    """Makes one pass after the other over everything that may have been left behind."""

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._liveness = LivenessJudge(connection=connection)
        self._shard_watch = ShardWatch(connection=connection)
        self._requeuer = Requeuer(connection=connection)
        self._reconciler = Reconciler(connection=connection, requeuer=self._requeuer)
        self._compare_again_at = 0.0
        self._trust_leases_at = 0.0
        self._unpublished_cancels = UnpublishedCancels()
        self._parked_errors = ParkedErrors(connection=connection)

    @property
    def counts(self) -> Counter[str]:
        """How many tasks were rescued since the start of this process, by kind."""
        return self._requeuer.counts

    def run(self) -> None:
        """Make one pass. Raises errors of Redis and the database; the next pass continues from there."""
        publish_pauses()
        if cursor := older_database.read_note(self._redis):
            self._reconciler.compare_with_older_database(cursor)
        if not self._redis.exists(ALIVE_KEY):
            logger.warning("Redis is new or was flushed: all open tasks are compared")
            self._compare_all()
            full_redis.set_when_full(self._redis, ALIVE_KEY, clock.now().isoformat())
            # Rows that changed just before were skipped.
            self._compare_again_at = time.monotonic() + reconciliation.SETTLED_SECONDS
        elif self._compare_again_at and time.monotonic() >= self._compare_again_at:
            self._compare_again_at = 0.0
            self._compare_all()
        self.watch()
        self.enqueue_reopened()
        self._parked_errors.report()
        self.empty_removed_queues()
        for row in self._unpublished_cancels.find():
            self._requeuer.put(row, source="any")
        for row in self._shard_watch.find_stuck():
            self._requeuer.isolation.run(str(row.task_id), partial(self._place_stuck, row))
        deadline = time.monotonic() + COMPARE_SECONDS
        while self._reconciler.compare_page() and time.monotonic() < deadline:
            pass
        housekeeping.remove_expired(self._redis)

    def watch(self) -> None:
        """Requeue the tasks of dead and silent workers: the part of a pass that cannot wait for the next one."""
        # If Redis refuses writes, no worker can send a heartbeat. This raises then, before any worker is judged dead.
        full_redis.check_writes(self._redis, room=False)
        self.requeue_expired()
        self.requeue_orphans()

    def requeue(self, task_id: uuid.UUID) -> None:
        """Requeue one missing task, for an operator. Raises the error with which a store refuses it."""
        row = checkpoint_rows.get_checkpoints([task_id]).get(task_id)
        snapshot = find_snapshot(self._redis, task_id)
        if snapshot is None or snapshot.ended:
            return
        if row is None:
            transitions.apply_transitions(self._redis, [place_unclaimed(snapshot, cause="rescue")])
        elif row.outcome or row.lease_until is None:
            self._requeuer.put(row, source="missing", snapshot=snapshot)

    def note_outage(self) -> None:
        """Note that a store was unavailable: a worker that missed heartbeats or its renewal meanwhile may be alive."""
        self._liveness.forget()
        self._trust_leases_at = time.monotonic() + OUTAGE_GRACE_SECONDS

    def enqueue_due(self) -> int:
        """Enqueue scheduled tasks whose start or next attempt is due. Return how many."""
        return due_tasks.enqueue_due(self._redis, self._requeuer)

    def empty_removed_queues(self) -> int:
        """Move tasks out of queues that QUEUES no longer names, which no worker serves, to the queues of their types.

        A pass moves a page of each. A task that a worker with older settings runs there stays until it ends.
        """
        moved = 0
        for name in removed_queues.list_names(self._redis):
            moved += self._requeuer.apply_batch(
                removed_queues.list_transitions(self._redis, name=name, limit=reconciliation.PAGE)
            )
        if moved:
            self.counts["removed_queue"] += moved
            logger.warning("moved %d tasks out of queues that QUEUES no longer names", moved)
        return moved

    def requeue_expired(self) -> None:
        """Release claims whose lease has expired, and requeue their tasks ahead of all others."""
        began = time.monotonic()
        expired = expired_claims.list_expired(limit=reconciliation.PAGE)
        if time.monotonic() - began > SLOW_SECONDS:
            self.note_outage()
        if time.monotonic() < self._trust_leases_at:
            return
        if not expired:
            return
        holders = {task_id: row.worker for task_id, row in checkpoint_rows.get_checkpoints(expired).items()}
        causes = read_causes(self._redis, holders.values())
        for task_id in expired:
            cause = causes.get(holders.get(task_id, ""), "")
            self._requeuer.isolation.run(str(task_id), partial(self._requeue_expired_task, task_id, cause))

    def _requeue_expired_task(self, task_id: uuid.UUID, cause: str) -> None:
        row = expired_claims.expire(task_id=task_id, cause=cause)
        if row is not None:
            end_connection_of(self._redis, worker=row.worker)
            failpoints.reach(failpoints.IN_RESCUE)
            self._requeuer.put(row, source="any")

    def requeue_orphans(self) -> None:
        """Requeue tasks that a dead worker had dequeued but not claimed, or had released in the database only."""
        members = []
        for name in queue_names.list_used(self._redis):
            started: Any = self._redis.zrange(redis_keys.started_key(name), 0, -1)
            members += [(name, *decode_member(member).partition(":")[::2]) for member in started]
        dead = self._liveness.find_dead({worker for _, _, worker in members})
        orphans = [(name, task_id, worker) for name, task_id, worker in members if worker in dead]
        if not orphans:
            return
        known = checkpoint_rows.get_checkpoints(parse_ids(task_id for _, task_id, _ in orphans))
        for name, task_id, worker in orphans:
            self._requeuer.isolation.run(task_id, partial(self._requeue_orphan, name, task_id, worker, known, dead))

    def _requeue_orphan(
        self,
        name: str,
        task_id: str,
        worker: str,
        known: Mapping[uuid.UUID, TaskCheckpoint],
        dead: Mapping[str, DeathEvidence],
    ) -> None:
        """Requeue one task of a dead worker."""
        key = parse_id(task_id)
        row = known.get(key) if key else None
        if row is not None:
            if row.outcome or row.lease_until is None:
                self._requeuer.put(row, source="started", worker=worker)
            elif row.worker != worker:  # another worker runs it: remove the dead one's entry
                self._redis.zrem(redis_keys.started_key(name), f"{task_id}:{worker}")
            elif dead[worker].is_certain:
                self._release_claim(row, death=dead[worker])
            return
        snapshot = find_snapshot(self._redis, key) if key else None
        if snapshot is None:
            self._requeue_foreign(name, task_id, worker)
            return
        end_connection_of(self._redis, worker=worker)  # it may hang in the middle of a batch
        self._requeuer.apply(
            Transition(snapshot.queued(cause="rescue"), "started", "urgent", worker=worker, isolated=True),
            kind="started",
        )

    def _release_claim(self, row: TaskCheckpoint, *, death: DeathEvidence) -> None:
        """Release the claim of a worker that is certainly dead before its lease expires."""
        released = expired_claims.expire(
            task_id=row.task_id,
            dead_worker=row.worker,
            is_attempt=death is not DeathEvidence.STOPPED,
            cause=read_causes(self._redis, [row.worker]).get(row.worker, ""),
        )
        if released is not None:
            failpoints.reach(failpoints.IN_RESCUE)
            self._requeuer.put(released, source="started", worker=row.worker)

    def _requeue_foreign(self, name: str, job_id: str, worker: str) -> None:
        was_started = self._redis.zrem(redis_keys.started_key(name), f"{job_id}:{worker}")
        if was_started and self._redis.exists(redis_keys.job_key(job_id)):
            self._redis.lpush(redis_keys.queue_key(name), job_id)

    def enqueue_reopened(self) -> None:
        """Enqueue tasks that were reopened in the database by a process that died before it wrote to Redis."""
        rows = expired_claims.list_unclaimed(
            older_than_seconds=reconciliation.SETTLED_SECONDS, limit=reconciliation.PAGE
        )
        ended = {
            record.id: record
            for record in TaskRecord.objects.filter(pk__in=[row.task_id for row in rows], status__in=task_status.ENDED)
        }
        for row in rows:
            record = ended.get(row.task_id)
            if record is not None and record.epoch < row.epoch:
                self._requeuer.isolation.run(str(row.task_id), partial(self._requeuer.put, row, source="ended"))

    def _place_stuck(self, row: TaskCheckpoint) -> None:
        self._shard_watch.end_by_shard(row)
        self._requeuer.put(row, source="any")

    def _compare_all(self) -> None:
        self._reconciler.restart_round()
        while self._reconciler.compare_page():
            self.watch()  # a long backlog takes time, and dead workers' tasks must not wait for it
