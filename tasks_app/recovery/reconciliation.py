"""Compares task rows with Redis, page by page, and requeues tasks that are missing there.

Owns the order of a round and what each difference means. The checkpoint decides; RQ's keys and the task row follow it.
Must not judge workers.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import redis

from tasks_app.checkpoints import checkpoint_rows
from tasks_app.domain import task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskCheckpoint, TaskRecord
from tasks_app.queues import queue_names, redis_keys, snapshot_stream
from tasks_app.queues.parked_tasks import list_parked_ids
from tasks_app.queues.redis_clock import clock
from tasks_app.queues.redis_time import read_time
from tasks_app.read_model import older_database
from tasks_app.read_model.open_tasks import OPEN, list_open
from tasks_app.read_model.task_rows import to_snapshot
from tasks_app.recovery import foreign_changes, restored_database
from tasks_app.recovery.registry_members import decode_member
from tasks_app.recovery.requeue import Requeuer, place_unclaimed
from tasks_app.recovery.stuck_shards import SPLIT_KEY

logger = logging.getLogger(__name__)

SETTLED_SECONDS: Final = 5.0  # a task row younger than this is not compared: the mirror may lag behind Redis
PAGE: Final = 500


class Reconciler:
    """Compares all open task rows in rounds, one page per call."""

    def __init__(self, *, connection: redis.Redis[Any], requeuer: Requeuer) -> None:
        self._redis = connection
        self._requeuer = requeuer
        self._compared_to = uuid.UUID(int=0)
        self._placed: set[str] = set()
        self._settled_at = clock.now()

    def restart_round(self) -> None:
        """Begin the round again at the first task row."""
        self._compared_to = uuid.UUID(int=0)

    def compare_page(self) -> bool:
        """Compare the next page of open task rows with Redis. False: it was the last page of the round."""
        if self._compared_to.int == 0:
            # The queues are read once per round: searching a long queue for each task would block Redis. The scripts check
            # the place of a task again before they move it. Rows that change later are skipped: this list may miss them.
            now = read_time(self._redis)
            self._settled_at = datetime.fromtimestamp(now, tz=UTC) - timedelta(seconds=SETTLED_SECONDS)
            self._placed = self._list_placed()
        page = list_open(after=self._compared_to, changed_before=self._settled_at, limit=PAGE)
        self._compared_to = page[-1][0] if len(page) == PAGE else uuid.UUID(int=0)
        if page:
            self._compare(page)
        return len(page) == PAGE

    def compare_with_older_database(self, cursor: str) -> None:
        """After a restore from a backup: tasks that ended after the backup run again, the others get their rows back."""
        logger.warning(
            "the database is older than Redis (its cursor was %s): tasks that ended since are compared", cursor
        )
        for page in restored_database.list_ended_since(self._redis, cursor=cursor):
            self._compare_ends([snapshot for snapshot in page if not snapshot.parent])
        for snapshot in restored_database.list_without_row(sorted(self._list_placed() | self._list_scheduled())):
            snapshot_stream.append(self._redis, snapshot)
        older_database.forget_note(self._redis)

    def _compare(self, page: Sequence[tuple[uuid.UUID, str]]) -> None:
        """Publish missed ends again, and requeue missing tasks. Most tasks wait or run and need neither."""
        page = [(pk, priority) for pk, priority in page if str(pk) not in self._placed]
        pipeline = self._redis.pipeline(transaction=False)
        for pk, priority in page:
            pipeline.hget(redis_keys.job_key(str(pk)), "status")
            pipeline.zscore(redis_keys.scheduled_key(priority), str(pk))
        answers = pipeline.execute()
        ended, missing = [], []
        for (pk, _), status, scheduled in zip(page, answers[::2], answers[1::2], strict=True):
            if status and status.decode(errors="replace") in task_status.ENDED:
                ended.append((pk, status.decode(errors="replace")))
            elif scheduled is None:
                missing.append(pk)
        ends = foreign_changes.sort_ends(ended)
        self._compare_ends(ends.ours)
        for snapshot in ends.canceled:
            self._cancel_as_rq(snapshot)
        self._requeue_missing(ends.failed, cause=foreign_changes.CAUSE)
        self._requeue_missing(missing + ends.lost, cause="rescue")

    def _compare_ends(self, snapshots: Sequence[Snapshot]) -> None:
        """Publish again the ends that checkpoints confirm; requeue tasks that have ended only in Redis."""
        confirmed, undone = restored_database.split_by_checkpoint(snapshots)
        for snapshot in confirmed:
            snapshot_stream.append(self._redis, snapshot)
            self._requeuer.counts["republished"] += 1
        for snapshot in undone:
            self._requeuer.isolation.run(snapshot.id, partial(self._undo_end, snapshot))

    def _undo_end(self, snapshot: Snapshot) -> None:
        step = restored_database.undo_end(snapshot)
        if isinstance(step, TaskCheckpoint):
            self._requeuer.put(step, source="any", snapshot=snapshot)
        else:
            self._requeuer.apply(step, kind="undone")

    def _cancel_as_rq(self, snapshot: Snapshot) -> None:
        """Cancel a task that RQ's own Job.cancel has canceled: at once, or at its worker's next chunk."""
        row = foreign_changes.cancel(snapshot.parent or snapshot.id)  # a cancel of a shard applies to its task
        if row.outcome:
            self._requeuer.put(row, source="any")

    def _requeue_missing(self, missing: Sequence[uuid.UUID], *, cause: str) -> None:
        """Requeue missing tasks as their checkpoints say. Tasks without one queue again, or wait for their start."""
        suspects = list(TaskRecord.objects.filter(pk__in=missing, status__in=OPEN)) if missing else []
        if not suspects:
            return
        known = checkpoint_rows.get_checkpoints([record.id for record in suspects])
        unclaimed = []
        for record in suspects:
            row = known.get(record.id)
            snapshot = to_snapshot(record)
            if row is not None:
                if row.outcome or row.lease_until is None:
                    place = partial(self._requeuer.put, row, source="missing", snapshot=snapshot, cause=cause)
                    self._requeuer.isolation.run(str(record.id), place)
                continue  # claimed: lease expiry decides
            unclaimed.append(place_unclaimed(snapshot, cause=cause))
        if moved := self._requeuer.apply_batch(unclaimed):
            kind = "missing" if cause == "rescue" else cause
            self._requeuer.counts[kind] += moved
            logger.warning("rescued %d tasks (%s) that none of our workers had started", moved, kind)

    def _list_scheduled(self) -> set[str]:
        """Return the ids of the tasks that wait for their start or their next attempt."""
        found: set[str] = set()
        for name in queue_names.list_used(self._redis):
            members: Any = self._redis.zrange(redis_keys.scheduled_key(name), 0, -1)
            found.update(map(decode_member, members))
        return found

    def _list_placed(self) -> set[str]:
        """Return the ids of the tasks that wait in a queue, are parked or are in RQ's registry of started jobs."""
        pipeline = self._redis.pipeline(transaction=False)
        names = queue_names.list_used(self._redis)
        for name in names:
            pipeline.lrange(redis_keys.queue_key(name), 0, -1)
            pipeline.zrange(redis_keys.started_key(name), 0, -1)
        pipeline.smembers(SPLIT_KEY)  # ShardWatch checks these
        answers = [{decode_member(entry).partition(":")[0] for entry in answer} for answer in pipeline.execute()]
        parked = set(list_parked_ids(self._redis))
        for snapshot in foreign_changes.list_canceled(self._redis, parked.union(*answers[1 : 2 * len(names) : 2])):
            self._requeuer.isolation.run(snapshot.id, partial(self._cancel_as_rq, snapshot))
        return parked.union(*answers)
