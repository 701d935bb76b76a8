"""The worker's loop: dequeues jobs, runs them, keeps its heartbeat, and answers the interruption check.

Owns the loop of a worker process. It runs in one process, without a fork for each job: if a task crashes the process,
its lease expires and recovery requeues it. Must not know how a task is run (runner) or what RQ's Worker does (rq_worker).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from django.db import connections
from rq.job import Job
from rq.queue import Queue
from rq.worker.base import DequeueStrategy, WorkerStatus

from tasks_app.conf import settings
from tasks_app.database.timeouts import allow_statement_time, limit_idle_time
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine import foreign_jobs
from tasks_app.engine.batch_runner import is_batchable
from tasks_app.engine.descendants import adopt_orphans, detach_copies
from tasks_app.engine.gc_tuning import tune_gc
from tasks_app.engine.heartbeat import Heartbeat
from tasks_app.engine.interruption import Interruption, WorkerHooks
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.engine.leftovers import RETIRED_CODE
from tasks_app.engine.pulse import Pulse
from tasks_app.engine.queue_turns import QueueTurns
from tasks_app.engine.rq_worker import RqWorker
from tasks_app.engine.runner import Runner
from tasks_app.engine.unheard_tasks import requeue_unheard
from tasks_app.engine.waiting_work import check_waiting_work
from tasks_app.observability import log_context
from tasks_app.queues import redis_connection, snapshot_stream, transitions
from tasks_app.queues.transitions import DequeuedJob, DequeuedTask
from tasks_app.queues.worker_entries import TYPES_FIELD, encode_types
from tasks_app.read_model.latest_snapshot import find_snapshot
from tasks_app.resilience import failpoints
from tasks_app.resilience.backoff import Backoff, ShutdownRequested
from tasks_app.resilience.process_exit import exit_at_once
from tasks_app.resilience.store_waits import waits_for_stores
from tasks_app.task_types import get_limit_seconds, list_names, list_task_types

logger = logging.getLogger(__name__)

IDLE_BLOCK_MS: Final = 500
LINGER_SECONDS: Final = 0.03  # much shorter than a task of `high` may wait


class EngineWorker(RqWorker):
    """An RQ worker that runs tasks in chunks, many small tasks at once, and lets urgent ones preempt others."""

    # The types that this process serves, of those that it knows; None: all. `manage.py worker --types` sets it.
    served_types: ClassVar[frozenset[str] | None] = None

    def __init__(self, queues: Any, name: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(queues, name, *args, **kwargs)
        log_context.worker.set(self.name)
        self._redis = redis_connection.get_connection()
        self._heartbeat = Heartbeat(
            connection=self._redis,
            worker=self.name,
            queues=self.queue_names(),
            ttl_seconds=self.worker_ttl,
            describe=self._describe,
        )
        self._keeper = LeaseKeeper(beat=self._heartbeat.send_quietly)
        self._runner = Runner(
            connection=self._redis,
            worker=self.name,
            hooks=WorkerHooks(
                check_interruption=self._check_interruption,
                should_stop=lambda: self.is_stop_requested,
                while_waiting=self._heartbeat.send_quietly,
            ),
            keeper=self._keeper,
        )
        self._pulse = Pulse()
        self._busy_with = ""
        self._turns = QueueTurns(self.queue_names())
        self._uncertain = False  # the reply to a dequeue was lost: it may have given this worker tasks

    # --- the loop

    def work(
        self,
        burst: bool = False,
        logging_level: str | None = None,
        date_format: str = "%H:%M:%S",
        log_format: str = "%(message)s",
        max_jobs: int | None = None,
        max_idle_time: int | None = None,
        with_scheduler: bool = False,
        dequeue_strategy: DequeueStrategy = DequeueStrategy.DEFAULT,
    ) -> bool:
        """Run jobs until asked to stop; with `burst` until the queues are empty. True: there was one at least.

        Takes RQ's arguments. The mirror process enqueues scheduled tasks, so `with_scheduler` has no effect.
        """
        self.set_up_logging(logging_level, date_format, log_format)
        self._set_up_process()
        completed, idle_since = 0, time.monotonic()
        try:
            self._register()
            while not self.is_stop_requested:
                dequeued, last_id = self._dequeue()
                if dequeued:
                    failpoints.reach(failpoints.AFTER_DEQUEUE)
                    self._run(dequeued)
                    completed += len(dequeued)
                    idle_since = time.monotonic()
                    self._linger(dequeued)
                elif burst or (max_idle_time is not None and time.monotonic() - idle_since > max_idle_time):
                    break
                else:
                    self._wait_for_news(last_id)
                if self._must_retire or (max_jobs is not None and completed >= max_jobs):
                    break
        except ShutdownRequested:
            logger.warning("worker %s ends while Redis or the database is unavailable", self.name)
        finally:
            self._keeper.stop()
            self.unregister()
            connections.close_all()
        self._pulse.stop()
        if sys.argv[1:2] in (["worker"], ["rqworker"]):
            if self._must_retire:
                exit_at_once(RETIRED_CODE)
            if self.is_stop_requested:
                exit_at_once()
        return bool(completed)

    @property
    def _must_retire(self) -> bool:
        return self._runner.must_retire or self._pulse.is_broken

    def _set_up_process(self) -> None:
        self.install_signal_handlers()
        self._pulse.start()
        adopt_orphans()
        detach_copies()
        # As much time as the slowest task type allows. The keeper detects a hung server, and the rescuer frees the locks of
        # a worker that was stopped.
        longest_seconds = max([settings.LONGTASKS.job_timeout_seconds, *map(get_limit_seconds, list_task_types())])
        limit_idle_time(longest_seconds + settings.LONGTASKS.lease_seconds)
        allow_statement_time(longest_seconds + settings.LONGTASKS.lease_seconds)
        tune_gc()
        self._keeper.start()

    @waits_for_stores
    def _register(self) -> None:
        self.register()

    @waits_for_stores
    def _dequeue(self) -> tuple[list[DequeuedJob], str]:
        # The worker has no task here. Entries under its name are tasks of a dequeue whose reply was lost.
        if self._heartbeat.send() or self._uncertain:
            requeue_unheard(self._redis, worker=self.name, queues=self.queue_names())
        self._uncertain = True
        longtasks = settings.LONGTASKS
        dequeued = transitions.dequeue_tasks(
            self._redis,
            worker=self.name,
            types=self._list_served_types(),
            is_partial=self.served_types is not None,
            queues=self._turns.list_in_order(),
            max_tasks=longtasks.batch_tasks,
            max_records=longtasks.batch_records,
        )
        self._uncertain = False
        return dequeued

    def _linger(self, dequeued: Sequence[DequeuedJob]) -> None:
        """Wait a little for more small tasks: a commit for each would cost more than the tasks themselves."""
        longtasks = settings.LONGTASKS
        tasks = [job for job in dequeued if isinstance(job, DequeuedTask) and is_batchable(job)]
        if len(tasks) < len(dequeued) or self.is_stop_requested:
            return
        records = sum(task.snapshot.weight for task in tasks)
        if len(dequeued) < longtasks.batch_tasks // 4 and records < longtasks.batch_records // 4:
            time.sleep(LINGER_SECONDS)

    @waits_for_stores
    def _wait_for_news(self, last_id: str) -> None:
        """Wait for a new entry in the stream: every new task adds one. Nothing is popped, so nothing can be lost."""
        block_ms = min(IDLE_BLOCK_MS, int(settings.LONGTASKS.redis_timeout_seconds * 500))
        self._redis.xread({snapshot_stream.STREAM_KEY: last_id}, count=1, block=block_ms)

    def _list_served_types(self) -> list[str]:
        return [name for name in list_names() if self.served_types is None or name in self.served_types]

    # --- running

    def _run(self, dequeued: Sequence[DequeuedJob]) -> None:
        began = time.monotonic()
        self._busy_with = dequeued[0].task_id
        tasks = [job for job in dequeued if isinstance(job, DequeuedTask)]
        if tasks and tasks[0].has_ended:
            self._retry_ended(tasks[0])
        elif tasks:
            self._run_tasks(tasks)
        for job in dequeued:
            if not isinstance(job, DequeuedTask):
                self._run_without_snapshot(job)
        self._busy_with = ""
        self._turns.note_turn(dequeued[0].queue, seconds=time.monotonic() - began)

    @waits_for_stores
    def _retry_ended(self, dequeued: DequeuedTask) -> None:
        self.retry_requeued(dequeued)

    def retry_requeued(self, dequeued: DequeuedTask) -> None:
        """Retry a dequeued task that has ended: RQ's own tools have requeued it. tasks_app/worker.py knows how."""
        raise NotImplementedError

    def _run_tasks(self, dequeued: list[DequeuedTask]) -> None:
        parents = {task.snapshot.parent for task in dequeued if task.snapshot.parent}
        self.stoppable_ids = frozenset(parents.union(task.task_id for task in dequeued))
        try:
            self._runner.run(dequeued)
        finally:
            self.stoppable_ids, self.stop_task_id = frozenset(), ""

    def _run_without_snapshot(self, dequeued: DequeuedJob) -> None:
        """Run a task of which Redis has only the queue entry, or the job of another function."""
        snapshot = self._find_snapshot(dequeued.task_id)
        if snapshot is not None:
            self._run_tasks([dequeued.as_task(snapshot)])
            return
        rq_queue = next(q for q in self.queues if q.name == dequeued.queue)
        try:
            job = self.job_class.fetch(dequeued.task_id, connection=self.connection, serializer=self.serializer)
        except Exception as error:
            logger.warning("job %s is skipped: %r", dequeued.task_id, error)
        else:
            self._run_foreign_job(job, rq_queue)
        self._runner.session.remove_entry(dequeued)

    @waits_for_stores
    def _find_snapshot(self, task_id: str) -> Snapshot | None:
        return find_snapshot(self._redis, task_id)

    def _run_foreign_job(self, job: Job, rq_queue: Queue) -> None:
        reason = foreign_jobs.find_refusal(job)
        if not reason:
            self.execute_job(job, rq_queue)
            return
        logger.warning("job %s of another function has failed: %s", job.id, reason)
        job.ended_at = datetime.now(UTC)
        self.handle_job_failure(job, rq_queue, exc_string=reason)

    # --- between chunks

    def _check_interruption(self, dequeued: DequeuedTask) -> Interruption:
        """Make the interruption check after a chunk: may the task continue?"""
        self._heartbeat.send()
        if self.is_stop_requested:
            return Interruption.STOP
        if self.stop_task_id and self.stop_task_id in (dequeued.task_id, dequeued.snapshot.parent):
            self.stop_task_id = ""
            return Interruption.ABORT
        return check_waiting_work(
            self._redis,
            queue=dequeued.queue,
            served_queues=self.queue_names(),
            served_types=self._list_served_types(),
        )

    def _describe(self) -> dict[str, Any]:
        """Return the fields of this worker's entry in Redis."""
        fields = self.describe_state(WorkerStatus.BUSY if self._busy_with else WorkerStatus.IDLE)
        fields.pop("last_heartbeat")  # Redis's clock sets it
        fields |= {"task": self._busy_with, "rows": self._runner.rows}
        fields["db_connection"] = self._keeper.get_connection_id()
        fields[TYPES_FIELD] = encode_types(self._list_served_types())
        return fields

    def make_backoff(self) -> Backoff:
        """Return pauses that end when this worker is asked to stop."""
        return Backoff(should_stop=lambda: self.is_stop_requested)

    def note_wait(self, error: Exception) -> None:
        """Log that a store is unavailable."""
        logger.warning("worker %s waits for Redis or the database: %s", self.name, error)
