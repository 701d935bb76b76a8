"""The RQ worker class around the runner: takes jobs from the queues, keeps its heartbeat, obeys signals.

Owns the loop of a worker process. It runs in one process, without a fork for each job: a task that takes its
process with it is found by its lease. Must not know how a task is run (runner).
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from django.conf import settings
from django.db import connections
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.logutils import setup_loghandlers
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.worker.base import DequeueStrategy, WorkerStatus
from uuid_utils import uuid4

from tasks_app.database.timeouts import allow_statement_time, limit_idle_time
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine import rq_commands
from tasks_app.engine.batch_runner import is_batchable
from tasks_app.engine.descendants import adopt_orphans, detach_copies
from tasks_app.engine.gc_tuning import tune_gc
from tasks_app.engine.interruption import Interruption, WorkerHooks
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.engine.leftovers import RETIRED_CODE
from tasks_app.engine.pulse import Pulse
from tasks_app.engine.queue_turns import QueueTurns
from tasks_app.engine.rq_internals import InProcessWorker
from tasks_app.engine.runner import Runner
from tasks_app.engine.unheard_tasks import requeue_unheard
from tasks_app.engine.waiting_work import check_waiting_work
from tasks_app.observability import log_context
from tasks_app.queues import redis_connection, snapshot_stream, transitions
from tasks_app.queues.transitions import DequeuedJob, DequeuedTask
from tasks_app.queues.worker_liveness import TYPES_FIELD, beat, encode_types
from tasks_app.read_model.latest_snapshot import find_snapshot
from tasks_app.resilience import failpoints
from tasks_app.resilience.backoff import Backoff, ShutdownRequested
from tasks_app.resilience.process_exit import exit_at_once
from tasks_app.resilience.store_waits import waits_for_stores
from tasks_app.resilience.transient_errors import REDIS_ERRORS
from tasks_app.task_types import get_limit_seconds, list_names, list_task_types

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 1.0
# How long Redis keeps a worker that fell silent; RQ's own 420 s would show the dead for minutes.
WORKER_TTL_SECONDS: Final = 60
IDLE_BLOCK_MS: Final = 500
LINGER_SECONDS: Final = 0.03  # far below what a high task may wait


class EngineWorker(InProcessWorker):
    """An RQ worker that runs tasks in chunks, many small tasks at once, and makes way for urgent ones."""

    log_job_description = False
    # The types that this process serves, of those that it knows; None: all. `manage.py rqworker --types` sets it.
    served_types: ClassVar[frozenset[str] | None] = None

    def __init__(self, queues: Any, name: str | None = None, *args: Any, **kwargs: Any) -> None:
        # RQ itself passes the name by position where it lists workers.
        name = name or f"{socket.gethostname()}-{uuid4().hex[:8]}".replace(":", "-")
        # Whatever the command line says: reading a pickle runs what its writer wished.
        kwargs["serializer"] = JSONSerializer
        super().__init__(queues, name, *args, **kwargs)
        self.worker_ttl = WORKER_TTL_SECONDS
        log_context.worker.set(self.name)
        self._redis = redis_connection.get_connection()
        self._keeper = LeaseKeeper(beat=self._beat_quietly)
        self._runner = Runner(
            connection=self._redis,
            worker=self.name,
            hooks=WorkerHooks(
                check_interruption=self._check_interruption,
                should_stop=lambda: self.is_stop_requested,
                while_waiting=self._beat_quietly,
            ),
            keeper=self._keeper,
        )
        self._pulse = Pulse()
        self._beaten_at = 0.0
        self._stop_task_id = ""  # of RQ's stop-job command
        self._stoppable: frozenset[str] = frozenset()  # the tasks that run here, and those of which they are shards
        self._busy_with = ""
        self._turns = QueueTurns(self.queue_names())
        self._uncertain = False  # a dequeue was not answered: it may have given this worker tasks

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

        Takes RQ's arguments. Scheduled tasks are put back by the mirror process, so `with_scheduler` is not needed.
        """
        if logging_level:
            setup_loghandlers(logging_level, date_format, log_format, name="rq.worker")
        self.install_signal_handlers()
        self._pulse.start()
        adopt_orphans()
        detach_copies()
        # A chunk may think, or wait for a statement, for as long as its type allows; that the server hangs, the keeper
        # finds out. Locks of a worker that stands still are freed by the rescue, which ends its connection.
        longest_seconds = max([settings.LONGTASKS.job_timeout_seconds, *map(get_limit_seconds, list_task_types())])
        limit_idle_time(longest_seconds + settings.LONGTASKS.lease_seconds)
        allow_statement_time(longest_seconds + settings.LONGTASKS.lease_seconds)
        tune_gc()
        self._keeper.start()
        completed, idle_since = 0, time.monotonic()
        try:
            self._begin()
            while not self.is_stop_requested:
                dequeued, last_id = self._dequeue()
                if dequeued:
                    failpoints.reach(failpoints.AFTER_TAKE)
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
            logger.warning("worker %s ends while the infrastructure is away", self.name)
        finally:
            self._keeper.stop()
            self._say_good_bye()
            connections.close_all()
        self._pulse.stop()
        if sys.argv[1:2] == ["rqworker"]:
            if self._must_retire:
                exit_at_once(RETIRED_CODE)
            if self.is_stop_requested:
                exit_at_once()
        return bool(completed)

    @property
    def _must_retire(self) -> bool:
        return self._runner.must_retire or self._pulse.is_broken

    def _say_good_bye(self) -> None:
        try:
            self.register_death()
        except REDIS_ERRORS as error:
            logger.warning("worker %s could not say good-bye: %s", self.name, error)
        # Without RQ's unsubscribe, which waits for its thread: that one is a daemon, and ends with the process.
        if self.pubsub_thread is not None:
            self.pubsub_thread.stop()

    @waits_for_stores
    def _begin(self) -> None:
        if self.birth_date is None:
            self.register_birth()
            self.subscribe()
        self.set_state(WorkerStatus.STARTED)

    @waits_for_stores
    def _dequeue(self) -> tuple[list[DequeuedJob], str]:
        # The worker has no task here. Entries under its name are tasks of a dequeue whose answer was lost.
        if self._beat() or self._uncertain:
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
        """Wait a little for more small tasks: a commit for each costs more than the tasks themselves."""
        longtasks = settings.LONGTASKS
        tasks = [job for job in dequeued if isinstance(job, DequeuedTask) and is_batchable(job)]
        if len(tasks) < len(dequeued) or self.is_stop_requested:
            return
        records = sum(task.snapshot.weight for task in tasks)
        if len(dequeued) < longtasks.batch_tasks // 4 and records < longtasks.batch_records // 4:
            time.sleep(LINGER_SECONDS)

    @waits_for_stores
    def _wait_for_news(self, last_id: str) -> None:
        """Wait for the stream to grow: a new task always shows there. Nothing is popped, so nothing can be lost."""
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
        self._stoppable = frozenset(parents.union(task.task_id for task in dequeued))
        try:
            self._runner.run(dequeued)
        finally:
            self._stoppable, self._stop_task_id = frozenset(), ""

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
            logger.warning("job %s is passed over: %r", dequeued.task_id, error)
        else:
            self._run_foreign(job, rq_queue)
        self._runner.session.remove_entry(dequeued)

    @waits_for_stores
    def _find_snapshot(self, task_id: str) -> Snapshot | None:
        return find_snapshot(self._redis, task_id)

    def _run_foreign(self, job: Job, rq_queue: Queue) -> None:
        try:
            function = job.func_name
        except DeserializationError:
            reason = "Its data are no JSON: not run. Queues here are filled with rq.serializers.JSONSerializer only."
        else:
            if function in settings.RQ_ALLOWED_FUNCTIONS:
                super().execute_job(job, rq_queue)
                return
            reason = f"The function {function!r} is not in RQ_ALLOWED_FUNCTIONS (settings/base.py): not run."
        logger.warning("job %s of another function has failed: %s", job.id, reason)
        job.ended_at = datetime.now(UTC)
        self.handle_job_failure(job, rq_queue, exc_string=reason)

    # --- between chunks

    def _check_interruption(self, dequeued: DequeuedTask) -> Interruption:
        """Make the interruption check after a chunk: may the task continue?"""
        self._beat()
        if self.is_stop_requested:
            return Interruption.STOP
        if self._stop_task_id and self._stop_task_id in (
            dequeued.task_id,
            dequeued.snapshot and dequeued.snapshot.parent,
        ):
            self._stop_task_id = ""
            return Interruption.ABORT
        return check_waiting_work(
            self._redis,
            queue=dequeued.queue,
            served_queues=self.queue_names(),
            served_types=self._list_served_types(),
        )

    def _beat(self) -> bool:
        """Tell Redis that this worker lives, what it is and what it runs; once a second at most. True: it was told.

        Everything is written each time, so a FLUSHALL is mended within a second.
        """
        now = time.monotonic()
        if now - self._beaten_at < HEARTBEAT_SECONDS:
            return False
        state = WorkerStatus.BUSY if self._busy_with else WorkerStatus.IDLE
        self.note_state(state)
        self.last_heartbeat = datetime.now(UTC)
        fields: Any = self.serialize() | {"state": state.value, "task": self._busy_with, "rows": self._runner.rows}
        fields.pop("last_heartbeat")  # Redis's clock says when
        fields["db_connection"] = self._keeper.get_connection_id()
        fields[TYPES_FIELD] = encode_types(self._list_served_types())
        beat(self._redis, worker=self.name, queues=self.queue_names(), fields=fields, ttl_seconds=self.worker_ttl)
        self._beaten_at = now
        return True

    def _beat_quietly(self) -> None:
        try:
            self._beat()
        except REDIS_ERRORS as error:
            logger.debug("no heartbeat: %s", error)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ's heartbeat, with this worker's own time to live."""
        super().heartbeat(timeout or self.worker_ttl, pipeline)

    def make_backoff(self) -> Backoff:
        """Return pauses that end when this worker shall stop."""
        return Backoff(should_stop=lambda: self.is_stop_requested)

    def note_wait(self, error: Exception) -> None:
        """Log that a store is unavailable."""
        logger.warning("worker %s waits for the infrastructure: %s", self.name, error)

    # --- commands

    def handle_payload(self, message: Any) -> None:
        """Obey RQ's commands: `stop-job` ends the running task at its next chunk, as stopped. Refusals are logged."""
        command = rq_commands.read(message)
        if command.name == "shutdown":
            super().handle_payload(message)
        elif reason := rq_commands.find_refusal(command, running=self._stoppable):
            logger.warning("RQ's command %s is refused: %s", command.name, reason)
        else:
            self._stop_task_id = command.job_id

    def serialize(self) -> dict[str, Any]:
        return {name: "" if value is None else value for name, value in super().serialize().items()}
