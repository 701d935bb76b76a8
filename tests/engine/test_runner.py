"""tasks_app/engine/runner.py: exactly N rows through errors, lost answers and takeovers, on real stores."""

import uuid
from collections.abc import Callable

import pytest

from tasks_app.checkpoints import claims
from tests.engine.lost_commits import lost_commit, mysql_only
from tests.support.engine import (
    Worker,
    checkpoint,
    expire_lease,
    job,
    positions,
    record,
    rescue,
    start,
    started,
    waiting,
)


@pytest.mark.parametrize("name", ["slow", "stateful", "small", "unknown_total"])
def test_a_task_writes_its_rows_once_and_ends_in_every_store(name: str) -> None:
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
def test_a_lost_commit_costs_no_attempt_and_counts_once(name: str, number: int, applied: bool) -> None:
    task_id = start(name, records=3)

    with lost_commit(number=number, applied=applied):
        Worker().run()

    assert positions(task_id) == [0, 1, 2]
    row = checkpoint(task_id)
    assert (row.outcome, row.failures, row.error) == ("finished", 0, "")
    assert job(task_id).status == "finished"
    assert started() == []


def test_a_worker_resumes_its_claim_whose_answer_was_lost() -> None:
    task_id = start()
    dequeued = Worker("w1").dequeue()
    claims.claim(task_id=uuid.UUID(task_id), worker="w1")  # committed, but w1 never got the answer

    Worker("w1").runner.run(dequeued)

    assert checkpoint(task_id).outcome == "finished"
    assert checkpoint(task_id).failures == 0
    assert positions(task_id) == [0, 1, 2]


def test_a_fenced_worker_changes_nothing() -> None:
    task_id = start(records=3)
    first, second = Worker("w1"), Worker("w2")

    def take_over() -> None:
        first.on_check = lambda: None
        expire_lease(task_id)
        rescue()
        second.run()

    first.on_check = take_over
    first.run()

    assert positions(task_id) == [0, 1, 2]
    assert record(task_id).status == "finished"
    assert record(task_id).worker == "w2"
    assert started() == waiting() == []


def test_errors_are_failed_attempts_with_their_traceback_until_the_last(longtasks: Callable[..., None]) -> None:
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


def test_a_retried_task_resumes_at_its_checkpoint(longtasks: Callable[..., None]) -> None:
    longtasks(retry_first_seconds=0)
    task_id = start("flaky", records=3, times=2, at=2)

    for _ in range(3):
        Worker().run()
        rescue().enqueue_due()

    assert positions(task_id) == [0, 1, 2]
    assert record(task_id).status == "finished"
    assert record(task_id).error is None
