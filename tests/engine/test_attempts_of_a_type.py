"""The attempts and pauses of a task type: used wherever an attempt is counted."""

from collections.abc import Callable

import pytest

from tasks_app.checkpoints import claims, expired_claims
from tasks_app.models import TaskCheckpoint
from tasks_app.resilience.retry_delay import get_retry_delay_seconds
from tasks_app.task_types import get_attempts, get_retry_pauses
from tests.support.engine import Worker, checkpoint, expire_lease, job, record, rescue
from tests.support.failing_tasks import begin


def test_a_type_without_its_own_has_the_settings(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=7, retry_first_seconds=2.0, retry_max_seconds=3.0)
    for name in ("upload", "of another version"):
        assert get_attempts(name) == 7
        assert get_retry_pauses(name) == (2.0, 3.0)
        assert 1.6 <= get_retry_delay_seconds(name, 1) <= 2.4
    assert get_retry_delay_seconds("failing_once", 1) == 0


def test_a_failing_type_has_its_own_attempts_and_pauses(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=5, retry_first_seconds=100.0)
    task_id = begin("failing_once", bad=[3], allowed="")

    Worker().run()
    assert (checkpoint(task_id).failures, job(task_id).status) == (1, "scheduled")
    rescue().enqueue_due()
    Worker().run()

    assert (record(task_id).status, checkpoint(task_id).failures) == ("failed", 2)


def test_a_dead_worker_costs_an_attempt_of_the_type(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=5)
    task_id = begin("failing_once")
    for number in (1, 2):
        Worker(f"w{number}").dequeue()
        key = TaskCheckpoint(task_id=task_id).task_id
        claims.claim(task_id=key, worker=f"w{number}", attempts=get_attempts("failing_once"))
        expire_lease(task_id)
        row = expired_claims.expire(task_id=key, cause="killed")
        assert row is not None
        assert f"attempt {number} of 2" in row.error

    assert checkpoint(task_id).outcome == "failed"


def test_the_workers_log_has_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    begin("failing_once", bad=[3], allowed="")

    Worker().run()

    [line] = [each.getMessage() for each in caplog.records if "attempt 1 failed" in each.getMessage()]
    assert "record 3 is bad" in line
    assert "Traceback (most recent call last):" in line
    assert 'raise ValueError(f"record {position} is bad")' in line
    assert len(line) < 30_000
