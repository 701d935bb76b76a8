"""The chunk engine: takes claimed work from chunk to chunk, and tells Redis after the database has decided.

Owns the life of a task in a worker: claim, run, commit with the checkpoint, look up, go on or make way. Must not
know how jobs are popped (worker) nor what the chunks do (task types).
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import redis
from django.conf import settings
from django.db import close_old_connections, reset_queries

from tasks_app.checkpoints import as_snapshot, claims, shards
from tasks_app.checkpoints.as_snapshot import end_transition
from tasks_app.checkpoints.claims import CancelRequested, Claim, Fenced, Refusal
from tasks_app.checkpoints.shards import ParentGone
from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.error_text import describe_error, error_line
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine import chunk_transaction
from tasks_app.engine.batch_runner import BatchRunner, is_batchable
from tasks_app.engine.chunk_attempts import ChunkTries, TriedInVain
from tasks_app.engine.chunk_errors import TaskCodeFailed
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.engine.chunk_size import ChunkSize
from tasks_app.engine.interruption import Interruption, WorkerHooks
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.engine.leftovers import ProcessState
from tasks_app.models import TaskCheckpoint
from tasks_app.observability import log_context, tracing
from tasks_app.queues import transitions
from tasks_app.queues.transitions import DequeuedTask, Transition
from tasks_app.read_model.latest_snapshot import find_snapshot
from tasks_app.resilience import failpoints
from tasks_app.resilience.backoff import Backoff, ShutdownRequested
from tasks_app.resilience.retry_delay import get_retry_delay_seconds
from tasks_app.resilience.transient_errors import is_transient_error
from tasks_app.task_types import HopelessError, get_limit_seconds, get_task_type, list_names
from tasks_app.task_types.task_results import check_state, check_total_again

logger = logging.getLogger(__name__)
KEPT_TRIES: Final = 100


class Runner:
    """Runs tasks that a worker has taken. One per worker process; not for threads."""

    def __init__(
        self, *, connection: redis.Redis[Any], worker: str, outlook: WorkerHooks, keeper: LeaseKeeper | None = None
    ) -> None:
        self._redis = connection
        self._worker = worker
        self._outlook = outlook
        self._keeper = keeper or LeaseKeeper()
        self._guard = ChunkGuard()
        self._waits = 0  # pauses while a store was away
        self._tries: dict[str, ChunkTries] = {}  # of tasks that made way while the database refused their chunk
        self.rows = 0  # committed in this process, for the worker's own statistics
        self.must_retire = False  # a task has left something behind that only the end of this process removes

    def run(self, dequeued: Sequence[DequeuedTask]) -> None:
        """Run what was taken to its end, or as far as the worker may. Raises ShutdownRequested when asked to stop meanwhile."""
        with self._keeper.watching():
            close_old_connections()  # a connection that the server closed while the worker was idle is not used again
            self._run(dequeued)

    def _run(self, dequeued: Sequence[DequeuedTask]) -> None:
        alone = list(dequeued)
        if len(dequeued) > 1 or is_batchable(dequeued[0]):
            small_tasks = BatchRunner(
                self._redis,
                worker=self._worker,
                guard=self._guard,
                keeper=self._keeper,
                persist=self._persist,
                patience=self._patience,
            )
            state = ProcessState()
            alone = small_tasks.run(dequeued)
            self._clean_up(state)
            self.rows += small_tasks.rows
        for position, task in enumerate(alone):
            if self.must_retire or (position and self._must_make_way(task)):
                self._put_back(alone[position:])
                return
            request_id = task.snapshot.request_id if task.snapshot else ""
            log_context.begin_task(task=task.task_id, request=request_id)
            state = ProcessState()
            try:
                self._run_alone(task)
            except ShutdownRequested:
                raise
            except Exception:
                # A fault of the engine itself shall not end the worker, and with it others' tasks: rescue will find this one.
                logger.exception("task %s: the engine failed, and lets go of it", task.task_id)
                self._let_go(task)
            self._clean_up(state)
            log_context.begin_task(task="", request="")

    def _clean_up(self, state: ProcessState) -> None:
        """Let the next task find process and connection as this one has found them."""
        self.must_retire |= state.restore().must_retire
        self._guard.renew_session()

    # --- one task, many chunks

    def _run_alone(self, dequeued: DequeuedTask) -> None:
        assert dequeued.snapshot is not None
        snapshot = dequeued.snapshot
        if snapshot.name not in list_names():
            self._park(dequeued)
            return
        claim = self._persist(
            lambda: claims.claim(task_id=uuid.UUID(snapshot.id), worker=self._worker, above=snapshot.epoch)
        )
        if isinstance(claim, Refusal):
            self._drop(dequeued, claim.checkpoint)
            return
        snapshot.epoch, snapshot.worker = claim.epoch, self._worker
        task_type = get_task_type(snapshot.name)
        try:
            if snapshot.total is None:
                with self._guard.watching(limit_seconds=get_limit_seconds(task_type)):
                    snapshot.total = self._guard.prepare(lambda: check_total_again(task_type, snapshot.params))
            if self._persist(lambda: shards.must_split(claim, snapshot), claim=claim):
                self._split(claim, dequeued)
                return
            self._run_chunks(claim, dequeued, ChunkSize(task_type, careful=dequeued.isolated or claim.failures > 0))
        except ShutdownRequested:
            self._release_quietly(claim)
            raise
        except TaskCodeFailed as failed:
            self._fail(claim, dequeued, failed.error)
        except Exception as error:
            logger.exception("task %s: the engine failed", snapshot.id)
            self._fail(claim, dequeued, error)

    def _split(self, claim: Claim, dequeued: DequeuedTask) -> None:
        """Put a big task's shards into its place: they are the next in its queue."""
        assert dequeued.snapshot is not None
        snapshot = dequeued.snapshot
        limit_seconds = get_limit_seconds(get_task_type(snapshot.name))
        patience, tries = self._patience(claim), ChunkTries()
        while True:
            try:
                with self._keeper.watching(claim, limit_seconds=limit_seconds):
                    parts, are_new = shards.split(
                        claim, snapshot, prepare=partial(self._prepare_split, claim, snapshot)
                    )
                break
            except Fenced:
                self._leave(claim, dequeued)
                return
            except TaskCodeFailed as failed:
                self._fail(claim, dequeued, failed.error)
                return
            except Exception as error:
                if not is_transient_error(error):
                    raise
                if not self._wait_for_database(claim, dequeued, error, tries=tries, patience=patience):
                    return
        batch = [Transition(part, "unchanged" if are_new else "any", "front") for part in reversed(parts)]
        batch.append(Transition(self._stand(claim, dequeued, cause="split"), "started", "split", worker=self._worker))
        self._persist(lambda: transitions.apply_many_transitions(self._redis, batch))

    def _prepare_split(self, claim: Claim, snapshot: Snapshot) -> Mapping[str, Any]:
        task_type = get_task_type(snapshot.name)
        with self._guard.watching(limit_seconds=get_limit_seconds(task_type)):
            return self._guard.prepare(
                lambda: check_state(
                    task_type.prepare_split(task_id=claim.task_id, params=snapshot.params), task_type=task_type
                )
            )

    def _run_chunks(self, claim: Claim, dequeued: DequeuedTask, size: ChunkSize) -> None:
        """Run chunks until the task has ended or is let go."""
        assert dequeued.snapshot is not None
        snapshot = dequeued.snapshot
        patience, tries = self._patience(claim), self._tries.pop(dequeued.task_id, None) or ChunkTries()
        while True:
            began = time.monotonic()
            log_context.chunk.set(f"{claim.done}+{size.limit}")
            span = tracing.chunk_span(snapshot, start=claim.done, limit=size.limit, worker=self._worker)
            try:
                with span:
                    result, finished = chunk_transaction.run_chunk(
                        claim, snapshot, limit=size.limit, guard=self._guard, keeper=self._keeper
                    )
            except (Fenced, CancelRequested):
                self._leave(claim, dequeued)
                return
            except ParentGone:
                self._end(claim, dequeued, status=task_status.CANCELED)
                return
            except TaskCodeFailed as failed:
                self._fail(claim, dequeued, failed.error)
                return
            except Exception as error:
                if not is_transient_error(error):
                    self._fail(claim, dequeued, error)
                    return
                before = claim.done
                if not self._wait_for_database(claim, dequeued, error, tries=tries, patience=patience):
                    return
                size.halve()  # it may have been too much for the connection's time limit
                if not (claim.ended or claim.done > before):
                    continue
                finished = claim.ended  # it was committed, and only the answer was lost
            else:
                self.rows += sum(result.counts.values())
                size.adapt(done=result.done, seconds=time.monotonic() - began)
            patience, tries = self._patience(claim), ChunkTries()
            if settings.DEBUG:
                reset_queries()
            if finished:
                failpoints.reach(failpoints.BEFORE_END)
                self._tell_end(claim, dequeued, status=task_status.FINISHED)
                return
            if settings.LONGTASKS.pause_ms:
                time.sleep(settings.LONGTASKS.pause_ms / 1000)
            if not self._go_on(claim, dequeued):
                return

    def _wait_for_database(
        self, claim: Claim, dequeued: DequeuedTask, error: Exception, *, tries: ChunkTries, patience: Backoff
    ) -> bool:
        """Wait after a chunk that the database refused, and look up as after any chunk. False: the task was let go."""
        tries.note(error)
        logger.warning("task %s: infrastructure, try %d: %.500s", claim.task_id, tries.number, error)
        patience.wait()
        waits = self._waits
        # It may have broken after the commit, whose answer was lost: to run the chunk again would be to guess.
        row = self._persist(lambda: claims.read(claim), claim=claim)
        if self._waits > waits:
            tries.note_outage()
        if row is None or not claim.stands_at(row) or row.cancel_requested:
            self._leave(claim, dequeued)
            return False
        if claim.catch_up(row):
            return True
        try:
            tries.check()
        except TriedInVain as in_vain:
            self._fail(claim, dequeued, in_vain)
            return False
        if self._go_on(claim, dequeued, error=tries.text):
            return True
        self._tries = dict(list(self._tries.items())[-KEPT_TRIES:]) | {dequeued.task_id: tries}  # it may come back here
        return False

    def _go_on(self, claim: Claim, dequeued: DequeuedTask, *, error: str = "") -> bool:
        """Tell of the progress, look up, and make way where that is asked. False: the task was let go."""
        snapshot = self._stand(claim, dequeued, cause=task_status.PROGRESS)
        if error:
            snapshot = replace(snapshot, error=error)
        verdict = self._persist(
            lambda: (
                transitions.apply_transitions(
                    self._redis, [Transition(snapshot, "unchanged", "stay"), *self._stand_of_parent(dequeued)]
                ),
                self._outlook.check_interruption(dequeued),
            )[1],
            claim=claim,
        )
        if verdict is Interruption.CONTINUE:
            return True
        if verdict is Interruption.ABORT:
            self._end(claim, dequeued, status=task_status.STOPPED)
            return False
        if not self._persist(lambda: claims.release(claim), claim=claim):
            self._leave(claim, dequeued)
            return False
        back = replace(self._stand(claim, dequeued, cause=verdict.value), status=task_status.QUEUED)
        target: transitions.Target = "yield" if verdict is Interruption.PREEMPT else "front"
        [moved] = self._persist(
            lambda: transitions.apply_transitions(
                self._redis, [Transition(back, "started", target, worker=self._worker)]
            )
        )
        if not moved:  # Redis was flushed: unless a rescue has enqueued it, nobody knows that it waits
            self._persist(lambda: transitions.apply_transitions(self._redis, [Transition(back, "missing", target)]))
        return False

    def _end(self, claim: Claim, dequeued: DequeuedTask, *, status: str) -> None:
        """End a held task as canceled or stopped."""
        if dequeued.snapshot and dequeued.snapshot.parent and status == task_status.STOPPED:
            shard = dequeued.snapshot
            self._persist(lambda: shards.end_parent_of(shard, outcome=status), claim=claim)
        if self._persist(lambda: claims.end(claim, outcome=status), claim=claim):
            self._tell_end(claim, dequeued, status=status)
        else:
            self._leave(claim, dequeued)

    def _leave(self, claim: Claim, dequeued: DequeuedTask) -> None:
        """Let go of a task whose checkpoint refused a step: it is another's, has ended, or shall be canceled."""
        row = self._persist(lambda: claims.read(claim), claim=claim)
        if row is not None and row.cancel_requested and row.epoch == claim.epoch and not row.outcome:
            claim.catch_up(row)
            self._end(claim, dequeued, status=task_status.CANCELED)
        elif row is not None and row.outcome:
            self._drop(dequeued, row)
        else:
            self._let_go(dequeued)

    def _release_quietly(self, claim: Claim) -> None:
        """Let go of a task while the worker gives up: that it was asked to stop is no failed attempt."""
        try:
            claims.release(claim)
        except Exception as error:
            if not is_transient_error(error):
                raise
            logger.warning("task %s: its claim could not be released: %s", claim.task_id, error)

    def _fail(self, claim: Claim, dequeued: DequeuedTask, error: BaseException) -> None:
        """Note a failed attempt: the next one is scheduled, with growing pauses, or the task has failed."""
        longtasks = settings.LONGTASKS
        self._guard.renew_session()  # with a session that the task has changed, what follows might fail as well
        text = describe_error(error)
        failures = claim.failures + 1
        final = failures >= longtasks.retry_attempts or isinstance(error, HopelessError)
        logger.warning("task %s: attempt %d failed: %s\n%s", claim.task_id, failures, error_line(error), text)
        if not self._persist(lambda: claims.fail_attempt(claim, error=text, final=final), claim=claim):
            self._leave(claim, dequeued)
            return
        if final:
            if dequeued.snapshot and dequeued.snapshot.parent:
                shard = dequeued.snapshot
                self._persist(lambda: shards.end_parent_of(shard, outcome=task_status.FAILED, error=text))
            self._tell_end(claim, dequeued, status=task_status.FAILED, error=text)
            return
        if (row := self._persist(lambda: claims.read(claim))) is not None and claim.stands_at(row):
            claim.catch_up(row)  # the error may have come after the commit (a time limit)
        run_at = datetime.now(UTC) + timedelta(seconds=get_retry_delay_seconds(failures))
        snapshot = replace(
            self._stand(claim, dequeued, cause="attempt_failed"),
            status=task_status.SCHEDULED,
            error=text,
            next_attempt_at=run_at,
        )
        move = Transition(snapshot, "started", "scheduled", worker=self._worker, run_at=run_at, failures=failures)
        self._persist(lambda: transitions.apply_transitions(self._redis, [move]))

    # --- telling Redis

    def _tell_end(self, claim: Claim, dequeued: DequeuedTask, *, status: str, error: str | None = None) -> None:
        snapshot = replace(
            self._stand(claim, dequeued, cause="end"), status=status, error=error, ended_at=datetime.now(UTC)
        )
        if status == task_status.FINISHED and snapshot.total is None:
            snapshot.total = claim.done
        end = Transition(snapshot, "started", "ended", worker=self._worker)
        self._persist(lambda: transitions.apply_transitions(self._redis, [end, *self._stand_of_parent(dequeued)]))

    def _stand_of_parent(self, dequeued: DequeuedTask) -> list[Transition]:
        """Return the move that tells how the task of a shard stands, as its checkpoint says: how far, or ended."""
        shard = dequeued.snapshot
        if shard is None or not shard.parent:
            return []
        row = shards.read_parent(shard)
        parent = find_snapshot(self._redis, shard.parent)
        if row is None or parent is None:
            return []
        if row.outcome:
            return [Transition(end_transition(parent, row), "any", "ended")]
        stand = as_snapshot.with_checkpoint(
            parent, row, status=task_status.STARTED, cause=task_status.PROGRESS, actor=""
        )
        return [Transition(stand, "unchanged", "stay")]

    def _drop(self, dequeued: DequeuedTask, row: TaskCheckpoint) -> None:
        """Let go of a task that can't be claimed; where it has ended, tell how."""
        assert dequeued.snapshot is not None
        if not row.outcome:
            self._let_go(dequeued)
            return
        snapshot = end_transition(dequeued.snapshot, row)
        self._persist(
            lambda: transitions.apply_transitions(
                self._redis, [Transition(snapshot, "started", "ended", worker=self._worker)]
            )
        )

    def _let_go(self, dequeued: DequeuedTask) -> None:
        member = f"{dequeued.task_id}:{self._worker}"
        self._persist(lambda: self._redis.zrem(f"rq:wip:{dequeued.queue}", member))

    def _must_make_way(self, dequeued: DequeuedTask) -> bool:
        """Look up before a task is begun of which many were taken."""
        if self._outlook.should_stop():
            return True
        return self._persist(lambda: self._outlook.check_interruption(dequeued)) in (
            Interruption.STOP,
            Interruption.PREEMPT,
        )

    def _put_back(self, dequeued: Sequence[DequeuedTask]) -> None:
        """Give tasks back that were taken but not begun, in their old order, behind urgent ones; one may be bad company."""
        batch = [
            Transition(
                replace(task.snapshot, status=task_status.QUEUED, cause=Interruption.STOP.value, actor=""),
                "started",
                "yield",
                worker=self._worker,
                isolated=True,
            )
            for task in reversed(dequeued)
            if task.snapshot is not None
        ]
        self._persist(lambda: transitions.apply_transitions(self._redis, batch))

    def _park(self, dequeued: DequeuedTask) -> None:
        """Leave a task to a worker that knows its type: no attempt has begun."""
        assert dequeued.snapshot is not None
        parked = replace(dequeued.snapshot, status=task_status.QUEUED, cause="unknown_type", actor="")
        self._persist(
            lambda: transitions.apply_transitions(
                self._redis, [Transition(parked, "started", "parked", worker=self._worker)]
            )
        )

    def _stand(self, claim: Claim, dequeued: DequeuedTask, *, cause: str) -> Snapshot:
        assert dequeued.snapshot is not None
        return replace(
            dequeued.snapshot,
            status=task_status.STARTED,
            worker=self._worker,
            epoch=claim.epoch,
            done=claim.done,
            counts=task_snapshot.with_all_counts(dequeued.snapshot.counts, claim.counts),
            cause=cause,
            actor="",
        )

    # --- patience

    def _persist(self, step: Callable[[], Any], claim: Claim | None = None) -> Any:
        """Do a step again until the infrastructure lets it. Every step bears repeating."""
        patience = self._patience(claim)
        while True:
            try:
                return step()
            except Exception as error:
                if not is_transient_error(error):
                    raise
                logger.warning("infrastructure, trying again: %.500s", error)
                self._waits += 1
                patience.wait()

    def _patience(self, claim: Claim | None) -> Backoff:
        def while_waiting() -> None:
            self._outlook.while_waiting()
            if claim is not None and not claim.ended:
                try:
                    claims.renew(claim)
                except Exception as error:
                    if not is_transient_error(error):
                        raise

        return Backoff(should_stop=self._outlook.should_stop, while_waiting=while_waiting)
