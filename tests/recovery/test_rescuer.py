"""tasks_app/recovery/rescuer.py: tasks of dead workers are requeued once and continue at their checkpoint."""

import uuid
from collections.abc import Callable

import pytest

from longtasks.local_stack.child_process import wait_until
from tasks_app.checkpoints import claims, expired_claims
from tasks_app.queues import redis_connection
from tasks_app.queues.worker_entries import report_exit
from tasks_app.recovery.rescuer import Rescuer
from tests.support.dead_workers import assert_finishes, claim_and_die
from tests.support.engine import (
    Worker,
    beat,
    checkpoint,
    expire_lease,
    history,
    record,
    rescue,
    start,
    started,
    waiting,
)


def test_a_task_with_an_expired_lease_is_requeued_first_and_continues_at_its_checkpoint() -> None:
    task_id = claim_and_die()
    other = start()
    expire_lease(task_id)

    rescue()

    assert waiting() == [task_id, other]
    assert redis_connection.get_connection().scard("longtasks:urgent:low") == 1
    assert checkpoint(task_id).failures == 0, "it had committed a chunk"
    assert_finishes(task_id)


def test_a_task_with_a_valid_lease_is_left_alone_however_silent_its_worker() -> None:
    task_id = claim_and_die()
    beat("dead", ago_seconds=3600)
    rescue()
    assert waiting() == []
    assert checkpoint(task_id).lease_until is not None


@pytest.mark.parametrize("was_killed", [True, False])
def test_an_exit_report_frees_the_workers_tasks_at_once(was_killed: bool) -> None:
    task_id = start()
    worker = Worker("dead")
    worker.dequeue()
    claims.claim(task_id=uuid.UUID(task_id), worker="dead")
    beat("dead")
    report_exit(redis_connection.get_connection(), worker="dead", was_killed=was_killed)

    rescue()

    assert waiting() == [task_id]
    assert checkpoint(task_id).failures == int(was_killed), "a requested stop is not a failed attempt"
    assert_finishes(task_id)


def test_tasks_dequeued_but_not_claimed_by_a_dead_worker_are_requeued(longtasks: Callable[..., None]) -> None:
    longtasks(lease_seconds=0.2)
    task_ids = [start("small"), start("small")]
    Worker("dead").dequeue()
    watch = Rescuer(connection=redis_connection.get_connection())
    watch.watch()
    assert waiting() == [], "a single check does not prove silence"

    assert wait_until(lambda: watch.watch() or len(waiting()) == 2, deadline_seconds=5)

    for task_id in task_ids:
        assert_finishes(task_id)


def test_a_task_that_kills_every_worker_fails_with_that_cause(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=3, retry_first_seconds=0)
    task_id = start()
    for number in range(3):
        name = f"dead{number}"
        assert [dequeued.task_id for dequeued in Worker(name).dequeue()] == [task_id]
        claims.claim(task_id=uuid.UUID(task_id), worker=name)
        report_exit(redis_connection.get_connection(), worker=name, was_killed=True)
        rescue().enqueue_due()

    row, seen = checkpoint(task_id), record(task_id)
    assert (row.outcome, row.failures) == ("failed", 3)
    assert seen.status == "failed"
    assert "died" in (seen.error or "")
    assert "attempt 3 of 3" in (seen.error or "")
    assert waiting() == started() == []


def test_two_rescuers_requeue_a_task_once() -> None:
    task_id = claim_and_die()
    expire_lease(task_id)
    first, second = (Rescuer(connection=redis_connection.get_connection()) for _ in range(2))
    first.run()
    second.run()
    assert waiting() == [task_id]
    assert [cause for _, cause in history(task_id)].count("rescue") == 1


def test_the_next_rescuer_finishes_an_interrupted_rescue() -> None:
    task_id = claim_and_die()
    expire_lease(task_id)
    assert expired_claims.expire(task_id=uuid.UUID(task_id)) is not None  # the rescuer died here
    report_exit(redis_connection.get_connection(), worker="dead", was_killed=True)
    rescue()
    assert waiting() == [task_id]
    assert_finishes(task_id)


def test_leases_do_not_expire_right_after_a_database_outage() -> None:
    task_id = claim_and_die()
    expire_lease(task_id)
    watch = Rescuer(connection=redis_connection.get_connection())
    watch.note_outage()
    watch.run()
    assert checkpoint(task_id).lease_until is not None
