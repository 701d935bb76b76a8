"""tasks_app/engine/batch_runner.py: small tasks share a chunk and run alone if it fails."""

from collections.abc import Callable

import pytest

from tasks_app.engine.interruption import Interruption
from tests.engine.lost_commits import lost_commit, mysql_only
from tests.support.engine import Worker, checkpoint, job, positions, record, start, started, waiting


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


def test_an_error_fails_no_other_task_of_its_batch(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    good = [start("small"), start("small")]
    bad = start("small_error")
    good.append(start("small"))

    Worker().run()

    assert [checkpoint(task_id).outcome for task_id in good] == ["finished"] * 3
    assert [positions(task_id) for task_id in good] == [[0, 1, 2]] * 3
    assert checkpoint(bad).outcome == "failed"
    assert positions(bad) == []


def test_small_tasks_that_run_alone_are_preempted_between_two(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    bad = start("small_error")
    good = [start("small"), start("small")]
    worker = Worker()
    worker.interruption = Interruption.PREEMPT

    worker.run()

    assert checkpoint(bad).outcome == "failed"
    assert waiting() == good
    worker.interruption = Interruption.CONTINUE
    while worker.run():
        pass
    assert [positions(task_id) for task_id in good] == [[0, 1, 2]] * 2


def test_preempted_small_tasks_wait_behind_urgent_ones(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    start("small_error")
    good = [start("small"), start("small")]
    worker = Worker()
    worker.interruption = Interruption.PREEMPT
    dequeued = worker.dequeue()
    rescued = start("slow")
    worker.connection.sadd("longtasks:urgent:low", rescued)

    worker.runner.run(dequeued)

    assert waiting() == [rescued, *good]


def test_a_small_task_with_a_key_conflict_fails_alone(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    good, bad = start("small"), start("small_clash")

    Worker().run()

    assert checkpoint(good).outcome == "finished"
    assert positions(good) == [0, 1, 2]
    assert checkpoint(bad).outcome == "failed"
    assert "IntegrityError" in (record(bad).error or "")
