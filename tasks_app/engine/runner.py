"""Runs a dequeued task: claim, then chunk after chunk until it has ended or is released.

The pipeline of a task: claim → chunk transaction → publish progress → interruption check → next chunk, or finish, fail,
release. Owns this order. Must not know how tasks are dequeued (worker) nor what the chunks do (task types).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import redis
from django.db import close_old_connections, reset_queries

from tasks_app.checkpoints import shards
from tasks_app.checkpoints.claims import CancelRequested, Fenced, Refusal
from tasks_app.checkpoints.shards import ParentChanged
from tasks_app.conf import settings
from tasks_app.domain import task_status
from tasks_app.engine import chunk_transaction, end_hook
from tasks_app.engine.batch_runner import BatchRunner, is_batchable
from tasks_app.engine.chunk_attempts import ChunkRefused, ChunkTries
from tasks_app.engine.chunk_errors import TaskCodeFailed
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.engine.chunk_size import ChunkSize
from tasks_app.engine.interruption import Interruption, WorkerHooks
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.engine.leftovers import ProcessState
from tasks_app.engine.record_isolation import RecordIsolation
from tasks_app.engine.task_planning import find_total, make_plan, needs_plan, prepare_split
from tasks_app.engine.task_session import TaskSession
from tasks_app.engine.worker_session import WorkerSession
from tasks_app.observability import log_context, tracing
from tasks_app.queues.transitions import DequeuedTask
from tasks_app.resilience import failpoints
from tasks_app.resilience.backoff import Backoff, ShutdownRequested
from tasks_app.resilience.transient_errors import is_transient_error
from tasks_app.task_types import Plan, TaskType, get_limit_seconds, get_task_type, list_names

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
KEPT_TRIES: Final = 100


class Runner:
    """Runs tasks that a worker has dequeued. One per worker process; not for threads."""

    def __init__(
        self, *, connection: redis.Redis[Any], worker: str, hooks: WorkerHooks, keeper: LeaseKeeper | None = None
    ) -> None:
        self.session = WorkerSession(connection=connection, worker=worker, hooks=hooks)
        self._worker = worker
        self._keeper = keeper or LeaseKeeper()
        self._guard = ChunkGuard()
        self._tries: dict[str, ChunkTries] = {}  # of tasks that were released while their chunk kept failing
        self.rows = 0  # committed in this process, for the worker's own statistics
        self.must_retire = False  # a task has left something that only the end of this process removes

    def run(self, dequeued: Sequence[DequeuedTask]) -> None:
        """Run each task to its end, or until it is interrupted. Raises ShutdownRequested if the worker shall stop meanwhile."""
        with self._keeper.watching():
            close_old_connections()  # the server may have closed a connection while the worker was idle
            alone = list(dequeued)
            if len(dequeued) > 1 or is_batchable(dequeued[0]):
                alone = self._run_batch(dequeued)
            for position, task in enumerate(alone):
                if self.must_retire or (position and not self.session.may_begin(task)):
                    self.session.requeue(alone[position:])
                    return
                self._run_isolated(task)

    # --- around a task

    def _run_batch(self, dequeued: Sequence[DequeuedTask]) -> list[DequeuedTask]:
        """Run small tasks as a batch. Return those that must run alone."""
        batch = BatchRunner(self.session, guard=self._guard, keeper=self._keeper)
        state = ProcessState()
        alone = batch.run(dequeued)
        self._clean_up(state)
        self.rows += batch.rows
        return alone

    def _run_isolated(self, dequeued: DequeuedTask) -> None:
        """Run one task, and restore the state of the process for the next one."""
        log_context.begin_task(task=dequeued.task_id, request=dequeued.snapshot.request_id)
        state = ProcessState()
        try:
            self._claim_and_run(dequeued)
        except ShutdownRequested:
            raise
        except Exception:
            # A fault of the engine must not end the worker and its other tasks. Recovery requeues this one.
            logger.exception("task %s: the engine failed; recovery will requeue the task", dequeued.task_id)
            self.session.remove_entry(dequeued)
        self._clean_up(state)
        log_context.begin_task(task="", request="")

    def _clean_up(self, state: ProcessState) -> None:
        self.must_retire |= state.restore().must_retire
        self._guard.renew_session()

    # --- the pipeline

    def _claim_and_run(self, dequeued: DequeuedTask) -> None:
        snapshot = dequeued.snapshot
        if snapshot.name not in list_names():
            self.session.park(dequeued)
            return
        claim = self.session.claim(dequeued)
        if isinstance(claim, Refusal):
            self.session.drop(dequeued, claim.checkpoint)
            return
        session = TaskSession(self.session, claim=claim, dequeued=dequeued)
        self._run_claimed(session)
        if session.ended_as and type(get_task_type(snapshot.name)).on_end is not TaskType.on_end:
            end_hook.call(session, guard=self._guard)

    def _run_claimed(self, session: TaskSession) -> None:
        claim, snapshot = session.claim, session.snapshot
        try:
            chunk_transaction.check_dry_run(snapshot)
            plan: Plan | None = None
            if needs_plan(session):
                plan = self._try(session, partial(make_plan, session, guard=self._guard))
                if plan is None:
                    return
            elif snapshot.total is None:
                find_total(session, guard=self._guard)
            total = plan.total if plan is not None and plan.parts else session.get_split_total()
            if total is not None:
                self._split(session, total=total, plan=plan)
                return
            careful = session.dequeued.isolated or claim.failures > 0
            self._run_chunks(session, ChunkSize(get_task_type(snapshot.name), careful=careful))
        except ShutdownRequested:
            session.release_quietly()
            raise
        except TaskCodeFailed as failed:
            self._fail(session, failed.error)
        except Exception as error:
            logger.exception("task %s: the engine failed", snapshot.id)
            self._fail(session, error)

    def _run_chunks(self, session: TaskSession, size: ChunkSize) -> None:
        """Run chunks until the task has ended or is released."""
        claim, snapshot = session.claim, session.snapshot
        backoff, tries = session.make_backoff(), self._tries.pop(session.dequeued.task_id, None) or ChunkTries()
        isolation = RecordIsolation(snapshot)
        while True:
            began = time.monotonic()
            limit = isolation.get_limit(size.limit, done=claim.done)
            is_alone = isolation.is_on and limit == 1
            log_context.chunk.set(f"{claim.done}+{limit}")
            span = tracing.chunk_span(snapshot, start=claim.done, limit=limit, worker=self._worker)
            try:
                with span:
                    result, is_finished = chunk_transaction.run_chunk(
                        claim,
                        snapshot,
                        limit=limit,
                        guard=self._guard,
                        keeper=self._keeper,
                        is_alone=is_alone,
                    )
            except (Fenced, CancelRequested):
                session.leave()
                return
            except ParentChanged:
                session.end(status=task_status.CANCELED)
                return
            except TaskCodeFailed as failed:
                if isolation.narrow(failed.error, done=claim.done, limit=limit):
                    if not isolation.is_named:
                        size.limit = limit // 2
                    self._guard.renew_session()
                    if self._may_continue(session):
                        continue
                    return
                self._fail(session, failed.error)
                return
            except Exception as error:
                if not is_transient_error(error):
                    self._fail(session, error)
                    return
                before = claim.done
                if not self._wait_for_database(session, error, tries=tries, backoff=backoff):
                    return
                size.halve()  # the chunk may have been too long for the connection's timeout
                if not (claim.ended or claim.done > before):
                    continue
                is_finished = claim.ended  # it was committed, and only the reply was lost
            else:
                self.rows += 0 if snapshot.dry_run else sum(result.counts.values())
                if not (is_alone and size.limit > 1):  # a record that was named says nothing about the size
                    size.adapt(done=result.done, seconds=time.monotonic() - began)
            backoff, tries = session.make_backoff(), ChunkTries()
            if settings.DEBUG:
                reset_queries()
            if is_finished:
                failpoints.reach(failpoints.BEFORE_END)
                session.finish()
                return
            if settings.LONGTASKS.pause_ms:
                time.sleep(settings.LONGTASKS.pause_ms / 1000)
            session.publish_progress()
            if not self._may_continue(session):
                return

    def _may_continue(self, session: TaskSession) -> bool:
        """Make the interruption check and carry out its result. False: the task was released or stopped."""
        interruption = session.check_interruption()
        if interruption is Interruption.CONTINUE:
            return True
        if interruption is Interruption.ABORT:
            session.end(status=task_status.STOPPED)
        else:
            session.release(interruption)
        return False

    def _fail(self, session: TaskSession, error: BaseException) -> None:
        self._guard.renew_session()  # the task may have changed its session, so that the next statements would fail too
        session.fail(error)

    # --- a database that refuses a chunk

    def _wait_for_database(
        self, session: TaskSession, error: Exception, *, tries: ChunkTries, backoff: Backoff
    ) -> bool:
        """Wait after a chunk that the database refused, then make the interruption check. False: the task was given up."""
        claim = session.claim
        tries.note(error)
        logger.warning("task %s: the database refuses the chunk, try %d: %.500s", claim.task_id, tries.number, error)
        backoff.wait()
        waits = session.waits
        # The connection may have broken after the commit, so that only its reply was lost. The checkpoint shows it.
        row = session.read_checkpoint()
        if session.waits > waits:
            tries.note_outage()
        if row is None or not claim.is_valid_for(row) or row.cancel_requested:
            session.leave()
            return False
        if claim.catch_up(row):
            return True
        try:
            tries.check()
        except ChunkRefused as refused:
            self._fail(session, refused)
            return False
        session.publish_progress(error=tries.text)
        if self._may_continue(session):
            return True
        # The tries are counted on if this worker dequeues the task again.
        self._tries = dict(list(self._tries.items())[-KEPT_TRIES:]) | {session.dequeued.task_id: tries}
        return False

    # --- a big task

    def _split(self, session: TaskSession, *, total: int, plan: Plan | None) -> None:
        """Replace a big task in its queue by its shards, which are the next to be dequeued."""
        prepare = partial(prepare_split, session, guard=self._guard) if plan is None else lambda: plan
        split = self._try(session, partial(shards.split, session.claim, session.snapshot, total=total, prepare=prepare))
        if split is not None:
            parts, are_new = split
            session.publish_split(parts, are_new=are_new)

    def _try(self, session: TaskSession, step: Callable[[], Result]) -> Result | None:
        """Return what a step before the first chunk returns; repeat it while the database refuses it. None: the task was
        given up."""
        limit_seconds = get_limit_seconds(get_task_type(session.snapshot.name))
        backoff, tries = session.make_backoff(), ChunkTries()
        while True:
            try:
                with self._keeper.watching(session.claim, limit_seconds=limit_seconds):
                    return step()
            except Fenced:
                session.leave()
                return None
            except TaskCodeFailed as failed:
                self._fail(session, failed.error)
                return None
            except Exception as error:
                if not is_transient_error(error):
                    raise
                if not self._wait_for_database(session, error, tries=tries, backoff=backoff):
                    return None
