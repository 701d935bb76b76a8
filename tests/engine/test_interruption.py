"""tasks_app/engine/interruption.py: a cancel, a stop or a preemption ends or releases a task between two chunks."""

from typing import Any

import pytest
import redis as redis_package

from tasks_app.engine.interruption import Interruption
from tasks_app.queues.worker_entries import report_exit
from tasks_app.resilience.backoff import ShutdownRequested
from tasks_app.services import change_tasks
from tests.support.engine import (
    Worker,
    checkpoint,
    expire_lease,
    history,
    job,
    positions,
    record,
    rescue,
    start,
    started,
    waiting,
)


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
def test_cancel_of_a_task_that_was_just_dequeued(name: str) -> None:
    task_id = start(name)
    worker = Worker()
    dequeued = worker.dequeue()
    cancel(task_id)
    worker.runner.run(dequeued)
    assert_canceled(task_id, rows=0)


def test_cancel_while_it_runs_ends_it_at_the_next_chunk() -> None:
    task_id = start(records=5)
    worker = Worker()
    worker.on_check = lambda: cancel(task_id)
    worker.run()
    assert_canceled(task_id, rows=1)


@pytest.mark.parametrize("interruption", [Interruption.PREEMPT, Interruption.STOP, Interruption.ABORT])
def test_cancel_is_not_delayed_by_a_preemption_or_a_stop(interruption: Interruption) -> None:
    task_id = start(records=5)
    worker = Worker()
    worker.on_check, worker.interruption = lambda: cancel(task_id), interruption
    worker.run()
    if interruption is Interruption.ABORT:
        assert checkpoint(task_id).outcome in ("stopped", "canceled")
        return
    assert waiting() == []
    assert_canceled(task_id, rows=1)


def test_cancel_is_not_delayed_by_a_failed_attempt() -> None:
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


def test_recovery_ends_a_canceled_task_whose_worker_was_killed() -> None:
    task_id = start(records=5)
    worker = Worker()

    def cancel_and_die() -> None:
        cancel(task_id)
        raise KeyboardInterrupt

    worker.on_check = cancel_and_die
    with pytest.raises(KeyboardInterrupt):
        worker.run()
    expire_lease(task_id)
    rescue()
    assert checkpoint(task_id).outcome == "canceled", "the cancel must not wait for a worker"
    assert_canceled(task_id, rows=1)


def test_a_canceled_task_continues_only_after_an_explicit_retry() -> None:
    task_id = start(records=5)
    worker = Worker()
    worker.on_check = lambda: cancel(task_id)
    worker.run()
    assert_canceled(task_id, rows=1)

    change_tasks.retry_task(task_id=task_id)
    Worker("w2").run()

    assert positions(task_id) == [0, 1, 2, 3, 4]
    assert record(task_id).status == "finished"


@pytest.mark.parametrize(("interruption", "cause"), [(Interruption.STOP, "stop"), (Interruption.PREEMPT, "yield")])
def test_a_preempted_or_stopped_task_is_requeued_first_without_a_failed_attempt(
    interruption: Interruption, cause: str
) -> None:
    task_id, other = start(records=3), start(records=3)
    worker = Worker()
    worker.interruption = interruption
    worker.run()

    assert waiting() == [task_id, other]
    assert positions(task_id) == [0]
    row = checkpoint(task_id)
    assert (row.failures, row.lease_until, row.outcome) == (0, None, "")
    assert history(task_id)[-1] == ("queued", cause)
    Worker("w2").run()
    assert positions(task_id) == [0, 1, 2]


def test_a_worker_that_shuts_down_releases_its_task_without_a_failed_attempt() -> None:
    task_id = start(records=3)
    worker = Worker()

    def fail_check() -> None:
        worker.should_stop = True
        raise redis_package.exceptions.ConnectionError("Redis is unavailable")

    worker.on_check = fail_check
    with pytest.raises(ShutdownRequested):
        worker.run()

    row = checkpoint(task_id)
    assert (row.lease_until, row.failures, row.done) == (None, 0, 1)
    report_exit(worker.connection, worker=worker.name, was_killed=False)
    rescue()
    Worker("w2").run()
    assert positions(task_id) == [0, 1, 2]


def test_a_task_preempted_after_a_flush_is_requeued_at_once(redis: Any) -> None:
    task_id = start(records=3)
    worker = Worker()
    worker.on_check, worker.interruption = redis.flushdb, Interruption.PREEMPT
    worker.run()
    assert waiting() == [task_id]


def test_history_has_each_change_once() -> None:
    task_id = start(records=3)
    worker = Worker()
    worker.interruption = Interruption.PREEMPT
    worker.run()
    worker.interruption = Interruption.CONTINUE
    worker.run()
    rescue()
    assert history(task_id) == [
        ("queued", "start"),
        ("started", "take"),
        ("queued", "yield"),
        ("started", "take"),
        ("finished", "end"),
    ]
