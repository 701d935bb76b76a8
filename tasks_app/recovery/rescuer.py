"""Rescue: puts back what dead workers, a flushed Redis or a broken step have left behind.

Owns the comparison of the three places where a task stands: checkpoint (the truth), RQ's keys, TaskRecord. Any
number of rescues may run at once: each step is won by one, through a row's lock or inside a script.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import redis

from tasks_app.checkpoints import as_snapshot, cancel_and_reopen, checkpoint_rows, expired_claims, shards
from tasks_app.checkpoints.as_snapshot import end_transition
from tasks_app.domain import task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskCheckpoint, TaskRecord
from tasks_app.queues import (
    full_redis,
    job_snapshots,
    queue_names,
    redis_keys,
    removed_queues,
    snapshot_stream,
    transitions,
)
from tasks_app.queues.parked_tasks import ParkedErrors, list_parked_ids
from tasks_app.queues.redis_clock import clock
from tasks_app.queues.transitions import Transition
from tasks_app.queues.worker_liveness import DeathEvidence, LivenessJudge, read_causes
from tasks_app.read_model import older_database
from tasks_app.read_model.latest_snapshot import find_snapshot
from tasks_app.read_model.open_tasks import OPEN, list_open
from tasks_app.read_model.task_rows import to_snapshot
from tasks_app.recovery import foreign_changes, restored_database
from tasks_app.recovery.stale_connections import end_connection_of
from tasks_app.recovery.stuck_shards import ENDS_THE_TASK, SPLIT_KEY, ShardWatch
from tasks_app.recovery.unpublished_decisions import UntoldCancels, publish_pauses
from tasks_app.resilience import batch_isolation, failpoints
from tasks_app.resilience.retry_delay import get_retry_delay_seconds

logger = logging.getLogger(__name__)

ALIVE_KEY: Final = "longtasks:alive"  # gone when Redis was flushed
SETTLED_SECONDS: Final = 5.0  # how old a record must be before it is compared: the mirror may be behind
PAGE: Final = 500
SWEEP_SECONDS: Final = 0.05  # of one pass at most
# After the database was away: claims ran out meanwhile, and their workers need a moment to renew them.
OUTAGE_GRACE_SECONDS: Final = 3.0
SLOW_SECONDS: Final = 1.0  # a database that needs so long for one row was away


class Rescuer:
    """One pass after the other over what may have been left behind."""

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._liveness = LivenessJudge(connection=connection)
        self._shard_watch = ShardWatch(connection=connection)
        self._isolation = batch_isolation.Isolation()
        self._swept_to = uuid.UUID(int=0)
        self._placed: set[str] = set()
        self._settled_at = clock.now()
        self._sweep_again_at = 0.0
        self._trust_leases_at = 0.0
        self._untold_cancels = UntoldCancels()
        self._parked_errors = ParkedErrors(connection=connection)
        self.counts: Counter[str] = Counter()  # since this process began, by kind

    def run(self) -> None:
        """Do one pass. Raises errors of the infrastructure; the next pass goes on from there."""
        publish_pauses()
        if cursor := older_database.read_note(self._redis):
            self._compare_with_older_database(cursor)
        if not self._redis.exists(ALIVE_KEY):
            logger.warning("Redis is new or was flushed: all open tasks are compared")
            self._sweep_all()
            full_redis.set_when_full(self._redis, ALIVE_KEY, clock.now().isoformat())
            # Records that changed just before were left out.
            self._sweep_again_at = time.monotonic() + SETTLED_SECONDS
        elif self._sweep_again_at and time.monotonic() >= self._sweep_again_at:
            self._sweep_again_at = 0.0
            self._sweep_all()
        self.watch()
        self.put_back_reopened()
        self._parked_errors.tell()
        self.empty_removed_queues()
        for row in self._untold_cancels.find():
            self._place(row, source="any")
        for row in self._shard_watch.find_stuck():
            self._isolation.run(str(row.task_id), partial(self._place_stuck, row))
        deadline = time.monotonic() + SWEEP_SECONDS
        while self._sweep() and time.monotonic() < deadline:
            pass
        self._clean()

    def watch(self) -> None:
        """Take back what dead and silent workers hold: the part of a pass that can't wait for the next one."""
        # Where Redis takes no writes, no worker can give a sign of life: whoever runs this must hear of it.
        full_redis.check_writes(self._redis, room=False)
        self.take_back_expired()
        self.put_back_started()

    def put_back(self, task_id: uuid.UUID) -> None:
        """Put one task where it belongs, where it is nowhere: an operator's second try. Raises what it is refused with."""
        row = checkpoint_rows.get_checkpoints([task_id]).get(task_id)
        snapshot = find_snapshot(self._redis, task_id)
        if snapshot is None or snapshot.ended:
            return
        if row is None:
            transitions.apply_transitions(
                self._redis, [Transition(_waiting(snapshot, cause="rescue"), "missing", "back")]
            )
        elif row.outcome or row.lease_until is None:
            self._place(row, source="missing", snapshot=snapshot)

    def note_outage(self) -> None:
        """Redis or the database was away: who fell silent or let its claim run out meanwhile may be alive."""
        self._liveness.forget()
        self._trust_leases_at = time.monotonic() + OUTAGE_GRACE_SECONDS

    # --- scheduled tasks whose time has come

    def enqueue_due(self) -> int:
        """Put scheduled tasks back into their queues whose next attempt is due. Returns how many."""
        moved = 0
        now = self._read_clock()
        for name in queue_names.list_used(self._redis):
            due: Any = self._redis.zrangebyscore(f"rq:scheduled:{name}", 0, now, start=0, num=PAGE)
            task_ids = [_text(member) for member in due]
            batch = []
            for task_id, snapshot in zip(task_ids, job_snapshots.get_snapshots(task_ids), strict=True):
                if snapshot is None and not self._isolation.is_resting(task_id):
                    snapshot = find_snapshot(self._redis, task_id)
                if snapshot is None and not self._isolation.is_resting(task_id):
                    if not foreign_changes.enqueue_due(self._redis, queue_name=name, job_id=task_id):
                        self._isolation.let_rest(task_id)  # one of ours that cannot be decoded
                elif snapshot is not None:
                    again = replace(snapshot, status=task_status.QUEUED, next_attempt_at=None, cause="due", actor="")
                    batch.append(Transition(again, "scheduled", "front"))
            moved += self._move_isolated(batch)
        return moved

    # --- queues that QUEUES names no longer

    def empty_removed_queues(self) -> int:
        """Move what waits in queues that QUEUES names no longer to the queues of its types: no worker serves them.

        A pass moves a page of each. What a worker with older settings runs there stays until it ends.
        """
        moved = 0
        for name in removed_queues.list_names(self._redis):
            moved += self._move_isolated(removed_queues.list_moves(self._redis, name=name, limit=PAGE))
        if moved:
            self.counts["removed_queue"] += moved
            logger.warning("moved %d tasks out of queues that QUEUES names no longer", moved)
        return moved

    # --- claims that ran out

    def take_back_expired(self) -> None:
        """Take claims back whose lease is over, and enqueue their tasks, ahead of all others."""
        began = time.monotonic()
        run_out = expired_claims.list_run_out(limit=PAGE)
        if time.monotonic() - began > SLOW_SECONDS:
            self.note_outage()
        if time.monotonic() < self._trust_leases_at:
            return
        if not run_out:
            return
        holders = {task_id: row.worker for task_id, row in checkpoint_rows.get_checkpoints(run_out).items()}
        causes = read_causes(self._redis, holders.values())
        for task_id in run_out:
            cause = causes.get(holders.get(task_id, ""), "")
            self._isolation.run(str(task_id), partial(self._take_back_silent, task_id, cause))

    def _take_back_silent(self, task_id: uuid.UUID, cause: str) -> None:
        row = expired_claims.expire(task_id=task_id, cause=cause)
        if row is not None:
            end_connection_of(self._redis, worker=row.worker)
            failpoints.reach(failpoints.IN_RESCUE)
            self._place(row, source="any")

    # --- started, as Redis says, by a worker that is dead

    def put_back_started(self) -> None:
        """Put tasks back that a dead worker had taken but not claimed, or let go of in the database only."""
        members = []
        for name in queue_names.list_used(self._redis):
            started: Any = self._redis.zrange(f"rq:wip:{name}", 0, -1)
            members += [(name, *_text(member).partition(":")[::2]) for member in started]
        dead = self._liveness.find_dead({worker for _, _, worker in members})
        orphans = [(name, task_id, worker) for name, task_id, worker in members if worker in dead]
        if not orphans:
            return
        known = checkpoint_rows.get_checkpoints(_uuids(task_id for _, task_id, _ in orphans))
        for name, task_id, worker in orphans:
            self._isolation.run(task_id, partial(self._put_back_orphan, name, task_id, worker, known, dead))

    def _put_back_orphan(
        self,
        name: str,
        task_id: str,
        worker: str,
        known: Mapping[uuid.UUID, TaskCheckpoint],
        dead: Mapping[str, DeathEvidence],
    ) -> None:
        """Put back one task of a dead worker."""
        key = _uuid(task_id)
        row = known.get(key) if key else None
        if row is not None:
            if row.outcome or row.lease_until is None:
                self._place(row, source="started", worker=worker)
            elif row.worker != worker:  # another has it: this is only what the dead one left
                self._redis.zrem(f"rq:wip:{name}", f"{task_id}:{worker}")
            elif dead[worker].is_certain:
                self._take_back(row, death=dead[worker])
            return
        snapshot = find_snapshot(self._redis, key) if key else None
        if snapshot is None:
            self._put_back_foreign(name, task_id, worker)
            return
        end_connection_of(self._redis, worker=worker)  # it may stand still in the middle of a shared chunk
        self._transition(
            Transition(_waiting(snapshot, cause="rescue"), "started", "urgent", worker=worker, isolated=True),
            kind="started",
        )

    def _take_back(self, row: TaskCheckpoint, *, death: DeathEvidence) -> None:
        """Take a claim back before its lease is over."""
        taken_back = expired_claims.expire(
            task_id=row.task_id,
            dead_worker=row.worker,
            is_attempt=death is not DeathEvidence.STOPPED,
            cause=read_causes(self._redis, [row.worker]).get(row.worker, ""),
        )
        if taken_back is not None:
            failpoints.reach(failpoints.IN_RESCUE)
            self._place(taken_back, source="started", worker=row.worker)

    def _put_back_foreign(self, name: str, job_id: str, worker: str) -> None:
        if self._redis.zrem(f"rq:wip:{name}", f"{job_id}:{worker}") and self._redis.exists(redis_keys.job_key(job_id)):
            self._redis.lpush(redis_keys.queue_key(name), job_id)

    # --- reopened, but never enqueued

    def put_back_reopened(self) -> None:
        """Enqueue tasks that a retry has reopened in the database, where it died before it told Redis."""
        rows = expired_claims.list_left_open(older_than_seconds=SETTLED_SECONDS, limit=PAGE)
        ended = {
            record.id: record
            for record in TaskRecord.objects.filter(pk__in=[row.task_id for row in rows], status__in=task_status.ENDED)
        }
        for row in rows:
            record = ended.get(row.task_id)
            if record is not None and record.epoch < row.epoch:
                self._isolation.run(str(row.task_id), partial(self._place, row, source="ended"))

    # --- the sweep: records against Redis

    def _sweep_all(self) -> None:
        self._swept_to = uuid.UUID(int=0)
        while self._sweep():
            self.watch()  # a long backlog takes its time, and dead workers' tasks don't wait for it

    def _sweep(self) -> bool:
        """Compare the next page of open records with Redis. False when it was the last page of the round."""
        if self._swept_to.int == 0:
            # Once a round; who is not in it any more is looked for when moved. A round looks at nothing that is newer
            # than this: it can't be in it, and looking for each in a long queue would hold up Redis.
            now = self._read_clock()
            self._settled_at = datetime.fromtimestamp(now, tz=UTC) - timedelta(seconds=SETTLED_SECONDS)
            self._placed = self._list_placed()
        page = list_open(after=self._swept_to, changed_before=self._settled_at, limit=PAGE)
        self._swept_to = page[-1][0] if len(page) == PAGE else uuid.UUID(int=0)
        if page:
            self._compare(page)
        return len(page) == PAGE

    def _compare(self, page: Sequence[tuple[uuid.UUID, str]]) -> None:
        """Tell again what has ended, and put back what is nowhere. What waits or runs needs neither; that is most."""
        page = [(pk, priority) for pk, priority in page if str(pk) not in self._placed]
        pipeline = self._redis.pipeline(transaction=False)
        for pk, priority in page:
            pipeline.hget(redis_keys.job_key(str(pk)), "status")
            pipeline.zscore(f"rq:scheduled:{priority}", str(pk))
        answers = pipeline.execute()
        ended, lost = [], []
        for (pk, _), status, scheduled in zip(page, answers[::2], answers[1::2], strict=True):
            if status and status.decode(errors="replace") in task_status.ENDED:
                ended.append((pk, status.decode(errors="replace")))
            elif scheduled is None:
                lost.append(pk)
        ends = foreign_changes.sort_ends(ended)
        self._compare_ends(ends.ours)
        for snapshot in ends.canceled:
            self._cancel_as_rq(snapshot)
        self._put_back(ends.failed, cause=foreign_changes.CAUSE)
        self._put_back(lost + ends.lost, cause="rescue")

    def _compare_ends(self, snapshots: Sequence[Snapshot]) -> None:
        """Tell again of ends that the checkpoints confirm; let run again what only Redis calls ended."""
        confirmed, undone = restored_database.split_by_checkpoint(snapshots)
        for snapshot in confirmed:
            snapshot_stream.append(self._redis, snapshot)
            self.counts["told_again"] += 1
        for snapshot in undone:
            self._isolation.run(snapshot.id, partial(self._undo_end, snapshot))

    def _undo_end(self, snapshot: Snapshot) -> None:
        step = restored_database.undo_end(snapshot)
        if isinstance(step, TaskCheckpoint):
            self._place(step, source="any", snapshot=snapshot)
        else:
            self._transition(step, kind="undone")

    def _compare_with_older_database(self, cursor: str) -> None:
        """After the database was restored from a backup: run again what ended since, list again what waits."""
        logger.warning("the database is older than Redis (its cursor was %s): what ended since is compared", cursor)
        for page in restored_database.list_ended_since(self._redis, cursor=cursor):
            self._compare_ends([snapshot for snapshot in page if not snapshot.parent])
        for snapshot in restored_database.list_without_record(sorted(self._list_placed())):
            snapshot_stream.append(self._redis, snapshot)
        older_database.forget_note(self._redis)

    def _cancel_as_rq(self, snapshot: Snapshot) -> None:
        """Cancel a task that RQ's own Job.cancel has canceled: at once, or at its worker's next chunk."""
        row = foreign_changes.cancel(snapshot.parent or snapshot.id)  # whatever is done to a shard is done to its task
        if row.outcome:
            self._place(row, source="any")

    def _put_back(self, lost: Sequence[uuid.UUID], *, cause: str) -> None:
        """Put what is nowhere in Redis where its checkpoint says it belongs; what nobody had claimed, in its queue."""
        suspects = list(TaskRecord.objects.filter(pk__in=lost, status__in=OPEN)) if lost else []
        if not suspects:
            return
        known = checkpoint_rows.get_checkpoints([record.id for record in suspects])
        unclaimed = []
        for record in suspects:
            row = known.get(record.id)
            snapshot = to_snapshot(record)
            if row is not None:
                if row.outcome or row.lease_until is None:
                    place = partial(self._place, row, source="missing", snapshot=snapshot, cause=cause)
                    self._isolation.run(str(record.id), place)
                continue  # claimed, and the claim is watched by its lease
            unclaimed.append(Transition(_waiting(snapshot, cause=cause), "missing", "back"))
        if moved := self._move_isolated(unclaimed):
            kind = "missing" if cause == "rescue" else cause
            self.counts[kind] += moved
            logger.warning("rescued %d tasks (%s) that no worker of ours had begun", moved, kind)

    def _list_placed(self) -> set[str]:
        """Return the tasks that wait in a queue, are parked or stand as started."""
        pipeline = self._redis.pipeline(transaction=False)
        names = queue_names.list_used(self._redis)
        for name in names:
            pipeline.lrange(redis_keys.queue_key(name), 0, -1)
            pipeline.zrange(f"rq:wip:{name}", 0, -1)
        pipeline.smembers(SPLIT_KEY)  # looked after by ShardWatch
        answers = [{_text(entry).partition(":")[0] for entry in answer} for answer in pipeline.execute()]
        parked = set(list_parked_ids(self._redis))
        for snapshot in foreign_changes.list_canceled(self._redis, parked.union(*answers[1 : 2 * len(names) : 2])):
            self._isolation.run(snapshot.id, partial(self._cancel_as_rq, snapshot))
        return parked.union(*answers)

    # --- moving

    def _place(
        self,
        row: TaskCheckpoint,
        *,
        source: transitions.Source,
        worker: str = "",
        snapshot: Snapshot | None = None,
        cause: str = "rescue",
    ) -> None:
        """Put a task where its checkpoint says it belongs: ended, waiting for its next attempt, or in its queue."""
        snapshot = snapshot or find_snapshot(self._redis, row.task_id)
        if snapshot is None:
            return  # neither Redis nor the read side knows it: the row of a task that was pruned
        if snapshot.epoch > row.epoch:
            row = cancel_and_reopen.lift_epoch(task_id=row.task_id, above=snapshot.epoch)
            if row.lease_until is not None:
                return  # a worker has claimed it meanwhile
        if row.outcome:
            if snapshot.parent:
                self._tell_parent(snapshot, row)
            # From anywhere: a move from "started" would take this moment for the end.
            source = "any" if source == "started" else source
            self._transition(Transition(end_transition(snapshot, row), source, "ended"), kind="ended")
            return
        waiting = as_snapshot.with_checkpoint(_waiting(snapshot, cause=cause), row, error=row.error or None)
        if row.failures > 1 and row.done == row.claimed_done:
            run_at = datetime.now(UTC) + timedelta(seconds=get_retry_delay_seconds(row.failures))
            waiting = replace(waiting, status=task_status.SCHEDULED, next_attempt_at=run_at)
            move = Transition(
                waiting, source, "scheduled", worker=worker, run_at=run_at, failures=row.failures, isolated=True
            )
        else:
            move = Transition(
                waiting, source, "urgent", worker=worker, failures=row.failures, isolated=row.failures > 0
            )
        self._transition(move, kind="expired")

    def _place_stuck(self, row: TaskCheckpoint) -> None:
        self._shard_watch.end_by_shard(row)
        self._place(row, source="any")

    def _tell_parent(self, shard: Snapshot, row: TaskCheckpoint) -> None:
        """Tell the end of a shard's task, where this shard was its last, or ended it: its worker could not any more."""
        if row.outcome in ENDS_THE_TASK:
            shards.end_parent_of(shard, outcome=row.outcome, error=row.error)
        ended, parent = shards.read_parent(shard), find_snapshot(self._redis, shard.parent)
        if ended is not None and ended.outcome and parent is not None:
            self._transition(Transition(end_transition(parent, ended), "any", "ended"), kind="ended")

    def _move_isolated(self, batch: Sequence[Transition]) -> int:
        """Move any number of tasks; set aside those that are refused. Returns how many were moved."""
        moved: list[bool] = []
        batch_isolation.apply_batch(
            [move for move in batch if not self._isolation.is_resting(move.snapshot.id)],
            apply=lambda part: moved.extend(transitions.apply_many_transitions(self._redis, part)),
            put_aside=lambda move, error: self._isolation.put_aside(move.snapshot.id, error),
        )
        return sum(moved)

    def _transition(self, move: Transition, *, kind: str) -> None:
        [moved] = transitions.apply_transitions(self._redis, [move])
        if moved:
            self.counts[kind] += 1
            logger.warning("rescued task %s (%s): %s", move.snapshot.id, kind, move.snapshot.status)

    # --- housekeeping

    def _clean(self) -> None:
        """Drop what has run out from RQ's registries of ended jobs, and workers that are gone."""
        now = self._read_clock()
        pipeline = self._redis.pipeline(transaction=False)
        for name in queue_names.QUEUES:
            for kind in ("finished", "failed", "canceled"):
                pipeline.zremrangebyscore(f"rq:{kind}:{name}", 0, now)
        pipeline.smembers("rq:workers")
        keys = pipeline.execute()[-1]
        for key in keys:
            if not self._redis.exists(key):
                pipeline.srem("rq:workers", key)
                for name in queue_names.QUEUES:
                    pipeline.srem(f"rq:workers:{name}", key)
        pipeline.execute()

    def _read_clock(self) -> float:
        """Return Redis's time: what is due there, and how old the records are, is counted by no other."""
        seconds, microseconds = self._redis.time()
        return float(seconds + microseconds / 1e6)


def _waiting(snapshot: Snapshot, *, cause: str) -> Snapshot:
    return replace(snapshot, status=task_status.QUEUED, ended_at=None, next_attempt_at=None, cause=cause, actor="")


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _text(member: bytes) -> str:
    """Return a member of a registry; foreign ones may be no UTF-8."""
    return member.decode(errors="backslashreplace")


def _uuids(texts: Iterable[str]) -> list[uuid.UUID]:
    return [found for text in texts if (found := _uuid(text)) is not None]
