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
from tasks_app.checkpoints.as_snapshot import end_of
from tasks_app.checkpoints.claims import CancelRequested, Claim, Fenced, Refusal
from tasks_app.checkpoints.shards import ParentGone
from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.error_text import describe_error, error_line
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine import chunk_transaction
from tasks_app.engine.batch_runner import SmallTasks, is_small
from tasks_app.engine.chunk_attempts import ChunkTries, TriedInVain
from tasks_app.engine.chunk_errors import TaskCodeFailed
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.engine.chunk_size import ChunkSize
from tasks_app.engine.interruption import Outlook, Verdict
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.engine.leftovers import ProcessState
from tasks_app.models import TaskCheckpoint
from tasks_app.observability import log_context, tracing
from tasks_app.queues import transitions
from tasks_app.queues.transitions import Move, Taken
from tasks_app.read_model.latest_snapshot import find_snapshot
from tasks_app.resilience import failpoints
from tasks_app.resilience.backoff import GaveUp, Patience
from tasks_app.resilience.retry_delay import get_pause_seconds
from tasks_app.resilience.transient_errors import is_infrastructure_error
from tasks_app.task_types import HopelessError, get_limit_seconds, get_task_type, list_names
from tasks_app.task_types.task_results import check_state, check_total_again

logger = logging.getLogger(__name__)
KEPT_TRIES: Final = 100


class Runner:
    """Runs tasks that a worker has taken. One per worker process; not for threads."""

    def __init__(
        self, *, connection: redis.Redis[Any], worker: str, outlook: Outlook, keeper: LeaseKeeper | None = None
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

    def run(self, taken: Sequence[Taken]) -> None:
        """Run what was taken to its end, or as far as the worker may. Raises GaveUp when asked to stop meanwhile."""
        with self._keeper.watching():
            close_old_connections()  # a connection that the server closed while the worker was idle is not used again
            self._run(taken)

    def _run(self, taken: Sequence[Taken]) -> None:
        alone = list(taken)
        if len(taken) > 1 or is_small(taken[0]):
            small_tasks = SmallTasks(
                self._redis,
                worker=self._worker,
                guard=self._guard,
                keeper=self._keeper,
                persist=self._persist,
                patience=self._patience,
            )
            state = ProcessState()
            alone = small_tasks.run(taken)
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
            except GaveUp:
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

    def _run_alone(self, taken: Taken) -> None:
        assert taken.snapshot is not None
        snapshot = taken.snapshot
        if snapshot.name not in list_names():
            self._park(taken)
            return
        held = self._persist(
            lambda: claims.claim(task_id=uuid.UUID(snapshot.id), worker=self._worker, above=snapshot.epoch)
        )
        if isinstance(held, Refusal):
            self._drop(taken, held.checkpoint)
            return
        snapshot.epoch, snapshot.worker = held.epoch, self._worker
        task_type = get_task_type(snapshot.name)
        try:
            if snapshot.total is None:
                with self._guard.watching(limit_seconds=get_limit_seconds(task_type)):
                    snapshot.total = self._guard.prepare(lambda: check_total_again(task_type, snapshot.params))
            if self._persist(lambda: shards.must_split(held, snapshot), held=held):
                self._split(held, taken)
                return
            self._run_chunks(held, taken, ChunkSize(task_type, careful=taken.solo or held.failures > 0))
        except GaveUp:
            self._release_quietly(held)
            raise
        except TaskCodeFailed as failed:
            self._fail(held, taken, failed.error)
        except Exception as error:
            logger.exception("task %s: the engine failed", snapshot.id)
            self._fail(held, taken, error)

    def _split(self, held: Claim, taken: Taken) -> None:
        """Put a big task's shards into its place: they are the next in its queue."""
        assert taken.snapshot is not None
        snapshot = taken.snapshot
        limit_seconds = get_limit_seconds(get_task_type(snapshot.name))
        patience, tries = self._patience(held), ChunkTries()
        while True:
            try:
                with self._keeper.watching(held, limit_seconds=limit_seconds):
                    parts, are_new = shards.split(held, snapshot, prepare=partial(self._prepare_split, held, snapshot))
                break
            except Fenced:
                self._leave(held, taken)
                return
            except TaskCodeFailed as failed:
                self._fail(held, taken, failed.error)
                return
            except Exception as error:
                if not is_infrastructure_error(error):
                    raise
                if not self._wait_for_database(held, taken, error, tries=tries, patience=patience):
                    return
        batch = [Move(part, "here" if are_new else "anywhere", "front") for part in reversed(parts)]
        batch.append(Move(self._stand(held, taken, cause="split"), "wip", "split", worker=self._worker))
        self._persist(lambda: transitions.move_many(self._redis, batch))

    def _prepare_split(self, held: Claim, snapshot: Snapshot) -> Mapping[str, Any]:
        task_type = get_task_type(snapshot.name)
        with self._guard.watching(limit_seconds=get_limit_seconds(task_type)):
            return self._guard.prepare(
                lambda: check_state(
                    task_type.prepare_split(task_id=held.task_id, params=snapshot.params), task_type=task_type
                )
            )

    def _run_chunks(self, held: Claim, taken: Taken, size: ChunkSize) -> None:
        """Run chunks until the task has ended or is let go."""
        assert taken.snapshot is not None
        snapshot = taken.snapshot
        patience, tries = self._patience(held), self._tries.pop(taken.task_id, None) or ChunkTries()
        while True:
            began = time.monotonic()
            log_context.chunk.set(f"{held.done}+{size.limit}")
            span = tracing.chunk_span(snapshot, start=held.done, limit=size.limit, worker=self._worker)
            try:
                with span:
                    result, finished = chunk_transaction.run_chunk(
                        held, snapshot, limit=size.limit, guard=self._guard, keeper=self._keeper
                    )
            except (Fenced, CancelRequested):
                self._leave(held, taken)
                return
            except ParentGone:
                self._end(held, taken, status=task_status.CANCELED)
                return
            except TaskCodeFailed as failed:
                self._fail(held, taken, failed.error)
                return
            except Exception as error:
                if not is_infrastructure_error(error):
                    self._fail(held, taken, error)
                    return
                before = held.done
                if not self._wait_for_database(held, taken, error, tries=tries, patience=patience):
                    return
                size.halve()  # it may have been too much for the connection's time limit
                if not (held.ended or held.done > before):
                    continue
                finished = held.ended  # it was committed, and only the answer was lost
            else:
                self.rows += sum(result.counts.values())
                size.adapt(done=result.done, seconds=time.monotonic() - began)
            patience, tries = self._patience(held), ChunkTries()
            if settings.DEBUG:
                reset_queries()
            if finished:
                failpoints.reach(failpoints.BEFORE_END)
                self._tell_end(held, taken, status=task_status.FINISHED)
                return
            if settings.LONGTASKS.pause_ms:
                time.sleep(settings.LONGTASKS.pause_ms / 1000)
            if not self._go_on(held, taken):
                return

    def _wait_for_database(
        self, held: Claim, taken: Taken, error: Exception, *, tries: ChunkTries, patience: Patience
    ) -> bool:
        """Wait after a chunk that the database refused, and look up as after any chunk. False: the task was let go."""
        tries.note(error)
        logger.warning("task %s: infrastructure, try %d: %.500s", held.task_id, tries.number, error)
        patience.wait()
        waits = self._waits
        # It may have broken after the commit, whose answer was lost: to run the chunk again would be to guess.
        row = self._persist(lambda: claims.read(held), held=held)
        if self._waits > waits:
            tries.note_outage()
        if row is None or not held.stands_at(row) or row.cancel_requested:
            self._leave(held, taken)
            return False
        if held.catch_up(row):
            return True
        try:
            tries.check()
        except TriedInVain as in_vain:
            self._fail(held, taken, in_vain)
            return False
        if self._go_on(held, taken, error=tries.text):
            return True
        self._tries = dict(list(self._tries.items())[-KEPT_TRIES:]) | {taken.task_id: tries}  # it may come back here
        return False

    def _go_on(self, held: Claim, taken: Taken, *, error: str = "") -> bool:
        """Tell of the progress, look up, and make way where that is asked. False: the task was let go."""
        snapshot = self._stand(held, taken, cause=task_status.PROGRESS)
        if error:
            snapshot = replace(snapshot, error=error)
        verdict = self._persist(
            lambda: (
                transitions.move_tasks(self._redis, [Move(snapshot, "here", "stay"), *self._stand_of_parent(taken)]),
                self._outlook.look_up(taken),
            )[1],
            held=held,
        )
        if verdict is Verdict.GO_ON:
            return True
        if verdict is Verdict.ABORT:
            self._end(held, taken, status=task_status.STOPPED)
            return False
        if not self._persist(lambda: claims.release(held), held=held):
            self._leave(held, taken)
            return False
        back = replace(self._stand(held, taken, cause=verdict.value), status=task_status.QUEUED)
        target: transitions.To = "yield" if verdict is Verdict.YIELD else "front"
        [moved] = self._persist(
            lambda: transitions.move_tasks(self._redis, [Move(back, "wip", target, worker=self._worker)])
        )
        if not moved:  # Redis was flushed: unless a rescue has enqueued it, nobody knows that it waits
            self._persist(lambda: transitions.move_tasks(self._redis, [Move(back, "lost", target)]))
        return False

    def _end(self, held: Claim, taken: Taken, *, status: str) -> None:
        """End a held task as canceled or stopped."""
        if taken.snapshot and taken.snapshot.parent and status == task_status.STOPPED:
            shard = taken.snapshot
            self._persist(lambda: shards.end_parent_of(shard, outcome=status), held=held)
        if self._persist(lambda: claims.end(held, outcome=status), held=held):
            self._tell_end(held, taken, status=status)
        else:
            self._leave(held, taken)

    def _leave(self, held: Claim, taken: Taken) -> None:
        """Let go of a task whose checkpoint refused a step: it is another's, has ended, or shall be canceled."""
        row = self._persist(lambda: claims.read(held), held=held)
        if row is not None and row.cancel_requested and row.epoch == held.epoch and not row.outcome:
            held.catch_up(row)
            self._end(held, taken, status=task_status.CANCELED)
        elif row is not None and row.outcome:
            self._drop(taken, row)
        else:
            self._let_go(taken)

    def _release_quietly(self, held: Claim) -> None:
        """Let go of a task while the worker gives up: that it was asked to stop is no failed attempt."""
        try:
            claims.release(held)
        except Exception as error:
            if not is_infrastructure_error(error):
                raise
            logger.warning("task %s: its claim could not be released: %s", held.task_id, error)

    def _fail(self, held: Claim, taken: Taken, error: BaseException) -> None:
        """Note a failed attempt: the next one is scheduled, with growing pauses, or the task has failed."""
        longtasks = settings.LONGTASKS
        self._guard.renew_session()  # with a session that the task has changed, what follows might fail as well
        text = describe_error(error)
        failures = held.failures + 1
        final = failures >= longtasks.retry_attempts or isinstance(error, HopelessError)
        logger.warning("task %s: attempt %d failed: %s\n%s", held.task_id, failures, error_line(error), text)
        if not self._persist(lambda: claims.fail_attempt(held, error=text, final=final), held=held):
            self._leave(held, taken)
            return
        if final:
            if taken.snapshot and taken.snapshot.parent:
                shard = taken.snapshot
                self._persist(lambda: shards.end_parent_of(shard, outcome=task_status.FAILED, error=text))
            self._tell_end(held, taken, status=task_status.FAILED, error=text)
            return
        if (row := self._persist(lambda: claims.read(held))) is not None and held.stands_at(row):
            held.catch_up(row)  # the error may have come after the commit (a time limit)
        run_at = datetime.now(UTC) + timedelta(seconds=get_pause_seconds(failures))
        snapshot = replace(
            self._stand(held, taken, cause="attempt_failed"),
            status=task_status.SCHEDULED,
            error=text,
            next_attempt_at=run_at,
        )
        move = Move(snapshot, "wip", "scheduled", worker=self._worker, run_at=run_at, failures=failures)
        self._persist(lambda: transitions.move_tasks(self._redis, [move]))

    # --- telling Redis

    def _tell_end(self, held: Claim, taken: Taken, *, status: str, error: str | None = None) -> None:
        snapshot = replace(
            self._stand(held, taken, cause="end"), status=status, error=error, ended_at=datetime.now(UTC)
        )
        if status == task_status.FINISHED and snapshot.total is None:
            snapshot.total = held.done
        end = Move(snapshot, "wip", "ended", worker=self._worker)
        self._persist(lambda: transitions.move_tasks(self._redis, [end, *self._stand_of_parent(taken)]))

    def _stand_of_parent(self, taken: Taken) -> list[Move]:
        """Return the move that tells how the task of a shard stands, as its checkpoint says: how far, or ended."""
        shard = taken.snapshot
        if shard is None or not shard.parent:
            return []
        row = shards.read_parent(shard)
        parent = find_snapshot(self._redis, shard.parent)
        if row is None or parent is None:
            return []
        if row.outcome:
            return [Move(end_of(parent, row), "anywhere", "ended")]
        stand = as_snapshot.as_row_says(parent, row, status=task_status.STARTED, cause=task_status.PROGRESS, actor="")
        return [Move(stand, "here", "stay")]

    def _drop(self, taken: Taken, row: TaskCheckpoint) -> None:
        """Let go of a task that can't be claimed; where it has ended, tell how."""
        assert taken.snapshot is not None
        if not row.outcome:
            self._let_go(taken)
            return
        snapshot = end_of(taken.snapshot, row)
        self._persist(
            lambda: transitions.move_tasks(self._redis, [Move(snapshot, "wip", "ended", worker=self._worker)])
        )

    def _let_go(self, taken: Taken) -> None:
        member = f"{taken.task_id}:{self._worker}"
        self._persist(lambda: self._redis.zrem(f"rq:wip:{taken.queue}", member))

    def _must_make_way(self, taken: Taken) -> bool:
        """Look up before a task is begun of which many were taken."""
        if self._outlook.should_stop():
            return True
        return self._persist(lambda: self._outlook.look_up(taken)) in (Verdict.STOP, Verdict.YIELD)

    def _put_back(self, taken: Sequence[Taken]) -> None:
        """Give tasks back that were taken but not begun, in their old order, behind urgent ones; one may be bad company."""
        batch = [
            Move(
                replace(task.snapshot, status=task_status.QUEUED, cause=Verdict.STOP.value, actor=""),
                "wip",
                "yield",
                worker=self._worker,
                solo=True,
            )
            for task in reversed(taken)
            if task.snapshot is not None
        ]
        self._persist(lambda: transitions.move_tasks(self._redis, batch))

    def _park(self, taken: Taken) -> None:
        """Leave a task to a worker that knows its type: no attempt has begun."""
        assert taken.snapshot is not None
        parked = replace(taken.snapshot, status=task_status.QUEUED, cause="unknown_type", actor="")
        self._persist(lambda: transitions.move_tasks(self._redis, [Move(parked, "wip", "parked", worker=self._worker)]))

    def _stand(self, held: Claim, taken: Taken, *, cause: str) -> Snapshot:
        assert taken.snapshot is not None
        return replace(
            taken.snapshot,
            status=task_status.STARTED,
            worker=self._worker,
            epoch=held.epoch,
            done=held.done,
            counts=task_snapshot.with_all_counts(taken.snapshot.counts, held.counts),
            cause=cause,
            actor="",
        )

    # --- patience

    def _persist(self, step: Callable[[], Any], held: Claim | None = None) -> Any:
        """Do a step again until the infrastructure lets it. Every step bears repeating."""
        patience = self._patience(held)
        while True:
            try:
                return step()
            except Exception as error:
                if not is_infrastructure_error(error):
                    raise
                logger.warning("infrastructure, trying again: %.500s", error)
                self._waits += 1
                patience.wait()

    def _patience(self, held: Claim | None) -> Patience:
        def while_waiting() -> None:
            self._outlook.while_waiting()
            if held is not None and not held.ended:
                try:
                    claims.renew(held)
                except Exception as error:
                    if not is_infrastructure_error(error):
                        raise

        return Patience(should_stop=self._outlook.should_stop, while_waiting=while_waiting)
