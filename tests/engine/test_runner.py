"""The chunk engine on real stores: exactly N rows through errors, lost answers, takeovers, cancels and stops."""

import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
import redis as redis_package
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from tasks_app.checkpoints import claims
from tasks_app.engine.interruption import Interruption
from tasks_app.queues.worker_liveness import report_exit
from tasks_app.resilience.backoff import ShutdownRequested
from tasks_app.services import change_tasks
from tests.support.engine import (
    Worker,
    checkpoint,
    history,
    job,
    positions,
    record,
    rescue,
    run_out,
    start,
    started,
    waiting,
)
from tests.support.servers import IS_EMBEDDED

mysql_only = pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no connection that can break")


@contextmanager
def lost_commit(*, number: int, applied: bool) -> Generator[None, None, None]:
    """The connection breaks at the commit of the `number`th chunk: after the server has done it, or before.

    What the client library reports then is the same.
    """
    commit, seen = BaseDatabaseWrapper._commit, 0

    def break_at_chunk(self: Any) -> Any:
        nonlocal seen
        with self.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM users")
            wrote = cursor.fetchone()[0] >= number
        if not wrote or seen:
            return commit(self)
        seen += 1
        if applied:
            commit(self)
        self.connection.close()
        raise OperationalError(2013, "Lost connection to server during query")

    BaseDatabaseWrapper._commit = break_at_chunk  # type: ignore[method-assign]
    try:
        yield
    finally:
        BaseDatabaseWrapper._commit = commit  # type: ignore[method-assign]


@pytest.mark.parametrize("name", ["slow", "stateful", "small", "unknown_total"])
def test_a_task_makes_its_rows_once_and_ends_everywhere(name: str) -> None:
    task_id = start(name, records=4)

    Worker().run()

    assert positions(task_id) == [0, 1, 2, 3]
    row, seen = checkpoint(task_id), record(task_id)
    assert (row.outcome, row.done, row.counts) == ("finished", 4, {"users": 4})
    assert (seen.status, seen.done, seen.counts) == ("finished", 4, {"users": 4})
    assert job(task_id).status == "finished"
    assert waiting() == started() == []


@mysql_only
@pytest.mark.parametrize("name", ["slow", "stateful"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("applied", [True, False])
def test_a_commit_whose_answer_was_lost_is_no_attempt_and_counts_once(name: str, number: int, applied: bool) -> None:
    task_id = start(name, records=3)

    with lost_commit(number=number, applied=applied):
        Worker().run()

    assert positions(task_id) == [0, 1, 2]
    row = checkpoint(task_id)
    assert (row.outcome, row.failures, row.error) == ("finished", 0, "")
    assert job(task_id).status == "finished"
    assert started() == []


@mysql_only
@pytest.mark.parametrize("applied", [True, False])
def test_small_tasks_survive_a_lost_commit_together(applied: bool) -> None:
    task_ids = [start("small", records=2) for _ in range(3)]

    with lost_commit(number=6, applied=applied):
        Worker().run()

    for task_id in task_ids:
        assert positions(task_id) == [0, 1]
        assert (checkpoint(task_id).outcome, job(task_id).status) == ("finished", "finished")
    assert started() == []


def test_a_claim_whose_answer_was_lost_is_taken_up_again() -> None:
    task_id = start()
    dequeued = Worker("w1").take()
    claims.claim(task_id=uuid.UUID(task_id), worker="w1")  # it was committed, and w1 never heard

    Worker("w1").runner.run(dequeued)

    assert checkpoint(task_id).outcome == "finished"
    assert checkpoint(task_id).failures == 0
    assert positions(task_id) == [0, 1, 2]


def test_a_worker_that_was_taken_over_changes_nothing() -> None:
    task_id = start(records=3)
    first, second = Worker("w1"), Worker("w2")

    def take_over() -> None:
        first.on_check = lambda: None
        run_out(task_id)
        rescue()
        second.run()

    first.on_check = take_over
    first.run()

    assert positions(task_id) == [0, 1, 2]
    assert record(task_id).status == "finished"
    assert record(task_id).worker == "w2"
    assert started() == waiting() == []


def test_errors_are_attempts_with_growing_pauses_and_the_traceback_kept(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=3, retry_first_seconds=0)
    task_id = start("flaky", records=3, times=99, at=1)

    for attempt in (1, 2):
        Worker().run()
        assert job(task_id).status == "scheduled"
        assert job(task_id).next_attempt_at is not None
        assert f"attempt {attempt} of a flaky task" in (job(task_id).error or "")
        rescue().enqueue_due()
    Worker().run()

    row, seen = checkpoint(task_id), record(task_id)
    assert (row.outcome, row.failures, row.done) == ("failed", 3, 1)
    assert (seen.status, seen.attempts, seen.counts) == ("failed", 3, {"users": 1})
    assert "attempt 3 of a flaky task" in (seen.error or "")
    assert positions(task_id) == [0]
    rescue()
    assert waiting() == started() == []


def test_a_task_that_fails_twice_and_then_succeeds_resumes_where_it_was(longtasks: Callable[..., None]) -> None:
    longtasks(retry_first_seconds=0)
    task_id = start("flaky", records=3, times=2, at=2)

    for _ in range(3):
        Worker().run()
        rescue().enqueue_due()

    assert positions(task_id) == [0, 1, 2]
    assert record(task_id).status == "finished"
    assert record(task_id).error is None


def test_an_error_hurts_no_other_task_of_its_chunk(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    good = [start("small"), start("small")]
    bad = start("small_error")
    good.append(start("small"))

    Worker().run()

    assert [checkpoint(task_id).outcome for task_id in good] == ["finished"] * 3
    assert [positions(task_id) for task_id in good] == [[0, 1, 2]] * 3
    assert checkpoint(bad).outcome == "failed"
    assert positions(bad) == []


def test_small_tasks_that_run_alone_make_way_between_two(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    bad = start("small_error")
    good = [start("small"), start("small")]
    worker = Worker()
    worker.verdict = Interruption.PREEMPT

    worker.run()

    assert checkpoint(bad).outcome == "failed"
    assert waiting() == good
    worker.verdict = Interruption.CONTINUE
    while worker.run():
        pass
    assert [positions(task_id) for task_id in good] == [[0, 1, 2]] * 2


def test_small_tasks_that_make_way_wait_behind_urgent_ones(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    start("small_error")
    good = [start("small"), start("small")]
    worker = Worker()
    worker.verdict = Interruption.PREEMPT
    dequeued = worker.take()
    rescued = start("slow")
    worker.connection.sadd("longtasks:urgent:low", rescued)

    worker.runner.run(dequeued)

    assert waiting() == [rescued, *good]


# --- cancel


def cancel(task_id: str) -> None:
    change_tasks.cancel_task(task_id=task_id)


def assert_canceled(task_id: str, *, rows: int) -> None:
    row, seen = checkpoint(task_id), record(task_id)
    assert (row.outcome, seen.status) == ("canceled", "canceled")
    assert positions(task_id) == list(range(rows))
    assert row.done == seen.done == row.counts.get("users", 0) == seen.counts.get("users", 0) == rows
    rescue()
    rescue().enqueue_due()
    Worker("late").run()
    assert checkpoint(task_id).outcome == "canceled"
    assert positions(task_id) == list(range(rows))
    assert waiting() == started() == []


def test_cancel_of_a_queued_task() -> None:
    task_id = start()
    cancel(task_id)
    assert_canceled(task_id, rows=0)


@pytest.mark.parametrize("name", ["slow", "small"])
def test_cancel_of_a_task_that_was_just_taken(name: str) -> None:
    task_id = start(name)
    worker = Worker()
    dequeued = worker.take()
    cancel(task_id)
    worker.runner.run(dequeued)
    assert_canceled(task_id, rows=0)


def test_cancel_while_it_runs_ends_it_at_the_next_chunk() -> None:
    task_id = start(records=5)
    worker = Worker()
    worker.on_check = lambda: cancel(task_id)
    worker.run()
    assert_canceled(task_id, rows=1)


@pytest.mark.parametrize("verdict", [Interruption.PREEMPT, Interruption.STOP, Interruption.ABORT])
def test_cancel_is_not_put_off_by_a_yield_or_a_stop(verdict: Interruption) -> None:
    task_id = start(records=5)
    worker = Worker()
    worker.on_check, worker.verdict = lambda: cancel(task_id), verdict
    worker.run()
    if verdict is Interruption.ABORT:
        assert checkpoint(task_id).outcome in ("stopped", "canceled")
        return
    assert waiting() == []
    assert_canceled(task_id, rows=1)


def test_cancel_is_not_put_off_by_a_failed_attempt() -> None:
    task_id = start("flaky", records=3, times=99, at=1)
    worker = Worker()
    worker.on_check = lambda: cancel(task_id)
    worker.run()
    assert_canceled(task_id, rows=1)


def test_cancel_of_a_scheduled_retry() -> None:
    task_id = start("flaky", times=99)
    Worker().run()
    assert job(task_id).status == "scheduled"
    cancel(task_id)
    assert_canceled(task_id, rows=0)


def test_cancel_whose_worker_was_killed_before_it_obeyed() -> None:
    task_id = start(records=5)
    worker = Worker()

    def cancel_and_die() -> None:
        cancel(task_id)
        raise KeyboardInterrupt

    worker.on_check = cancel_and_die
    with pytest.raises(KeyboardInterrupt):
        worker.run()
    run_out(task_id)
    rescue()
    assert checkpoint(task_id).outcome == "canceled", "it must not wait for a worker to find the cancel"
    assert_canceled(task_id, rows=1)


def test_a_canceled_task_goes_on_after_an_explicit_retry_only() -> None:
    task_id = start(records=5)
    worker = Worker()
    worker.on_check = lambda: cancel(task_id)
    worker.run()
    assert_canceled(task_id, rows=1)

    change_tasks.retry_task(task_id=task_id)
    Worker("w2").run()

    assert positions(task_id) == [0, 1, 2, 3, 4]
    assert record(task_id).status == "finished"


# --- stop and yield


@pytest.mark.parametrize(("verdict", "cause"), [(Interruption.STOP, "stop"), (Interruption.PREEMPT, "yield")])
def test_a_task_that_makes_way_goes_to_the_front_with_its_rows_and_no_attempt(
    verdict: Interruption, cause: str
) -> None:
    task_id, other = start(records=3), start(records=3)
    worker = Worker()
    worker.verdict = verdict
    worker.run()

    assert waiting() == [task_id, other]
    assert positions(task_id) == [0]
    row = checkpoint(task_id)
    assert (row.failures, row.lease_until, row.outcome) == (0, None, "")
    assert history(task_id)[-1] == ("queued", cause)
    Worker("w2").run()
    assert positions(task_id) == [0, 1, 2]


def test_a_worker_that_gives_up_lets_go_without_an_attempt() -> None:
    task_id = start(records=3)
    worker = Worker()

    def look_up_in_vain() -> None:
        worker.should_stop = True
        raise redis_package.exceptions.ConnectionError("Redis is away")

    worker.on_check = look_up_in_vain
    with pytest.raises(ShutdownRequested):
        worker.run()

    row = checkpoint(task_id)
    assert (row.lease_until, row.failures, row.done) == (None, 0, 1)
    report_exit(worker.connection, worker=worker.name, was_killed=False)
    rescue()
    Worker("w2").run()
    assert positions(task_id) == [0, 1, 2]


def test_a_task_that_yields_after_a_flush_is_enqueued_at_once(redis: Any) -> None:
    task_id = start(records=3)
    worker = Worker()
    worker.on_check, worker.verdict = redis.flushdb, Interruption.PREEMPT
    worker.run()
    assert waiting() == [task_id]


def test_history_tells_each_change_once() -> None:
    task_id = start(records=3)
    worker = Worker()
    worker.verdict = Interruption.PREEMPT
    worker.run()
    worker.verdict = Interruption.CONTINUE
    worker.run()
    rescue()
    assert history(task_id) == [
        ("queued", "start"),
        ("started", "take"),
        ("queued", "yield"),
        ("started", "take"),
        ("finished", "end"),
    ]


def test_small_tasks_whose_rows_clash_do_not_try_for_ever(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    good, bad = start("small"), start("small_clash")

    Worker().run()

    assert checkpoint(good).outcome == "finished"
    assert positions(good) == [0, 1, 2]
    assert checkpoint(bad).outcome == "failed"
    assert "IntegrityError" in (record(bad).error or "")
