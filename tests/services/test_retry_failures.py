"""Each failed record is given to one task, also if the start of that task fails or is lost."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from tasks_app.checkpoints import failure_retries
from tasks_app.errors import FailuresNotRetried, QueueFull, QueueUnavailable
from tasks_app.models import TaskFailure, TaskRecord
from tasks_app.queues import job_snapshots
from tasks_app.services import retry_failures as service
from tasks_app.services.retry_failures import retry_failures
from tests.support.engine import Worker, positions, record
from tests.support.failing_tasks import begin

BAD = [3, 20, 39]


@pytest.fixture
def failed() -> str:
    """A task that has ended with three failed records."""
    task_id = begin(records=40, bad=BAD)
    Worker().run()
    record(task_id)
    return task_id


def break_start(monkeypatch: pytest.MonkeyPatch, error: Exception, *, is_sent: bool = False) -> None:
    """Let the next start raise; `is_sent`: after it was accepted."""
    start = service.start_task

    def fail(**given: Any) -> Any:
        monkeypatch.setattr(service, "start_task", start)
        if is_sent:
            start(**given)
        raise error

    monkeypatch.setattr(service, "start_task", fail)


def note_of(task_id: str) -> failure_retries.FailuresRetry:
    note = failure_retries.read_retry(uuid.UUID(task_id))
    assert note is not None
    return note


def test_a_second_retry_names_the_first(failed: str) -> None:
    first = retry_failures(task_id=failed).snapshot
    with pytest.raises(FailuresNotRetried, match=f"task {first.id} was started for them and is queued"):
        retry_failures(task_id=failed)
    Worker().run()
    record(first.id)
    with pytest.raises(FailuresNotRetried, match=f"task {first.id} has run them"):
        retry_failures(task_id=failed)
    assert positions(first.id) == BAD


def test_the_same_request_gets_its_task_whatever_redis_has_forgotten(failed: str) -> None:
    first = retry_failures(task_id=failed, idempotency_key="k")
    Worker().run()
    record(first.snapshot.id)
    again = retry_failures(task_id=failed, idempotency_key="k")
    assert (again.snapshot.id, again.replayed) == (first.snapshot.id, True)
    with pytest.raises(FailuresNotRetried):
        retry_failures(task_id=failed, idempotency_key="other")


def test_a_start_that_was_refused_gives_the_records_back(failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = QueueFull(queue="low", waiting=1, bound=1, retry_after_seconds=1)
    break_start(monkeypatch, refused)
    with pytest.raises(QueueFull):
        retry_failures(task_id=failed)
    assert failure_retries.read_retry(uuid.UUID(failed)) is None
    assert retry_failures(task_id=failed).snapshot.params["only"] == BAD


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_start_of_unknown_end_is_repeated_with_its_key(
    failed: str, monkeypatch: pytest.MonkeyPatch, is_sent: bool
) -> None:
    break_start(monkeypatch, QueueUnavailable("the connection is lost"), is_sent=is_sent)
    with pytest.raises(QueueUnavailable):
        retry_failures(task_id=failed, idempotency_key="k")
    noted = note_of(failed).retry_id
    assert (job_snapshots.get_snapshot(noted) is not None) == is_sent
    assert retry_failures(task_id=failed, idempotency_key="k").snapshot.id == noted
    while Worker().run():
        pass
    assert positions(noted) == BAD


def test_a_start_that_was_lost_is_made_up_for_after_a_minute(failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_start(monkeypatch, QueueUnavailable("the connection is lost"))
    with pytest.raises(QueueUnavailable):
        retry_failures(task_id=failed)
    noted = note_of(failed).retry_id
    with pytest.raises(FailuresNotRetried, match=f"task {noted} is being started for them"):
        retry_failures(task_id=failed)
    monkeypatch.setattr(service, "_STARTED_WITHIN", timedelta(0))
    assert retry_failures(task_id=failed).snapshot.id == noted
    Worker().run()
    assert positions(noted) == BAD


def test_a_retry_that_was_pruned_is_not_repeated(failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = retry_failures(task_id=failed).snapshot
    Worker().run()
    record(first.id)
    TaskRecord.objects.filter(pk=first.id).delete()
    monkeypatch.setattr(service, "_find_task", lambda retry: None)
    monkeypatch.setattr(service, "_LOST_BEFORE", timedelta(0))
    with pytest.raises(FailuresNotRetried, match="was started for them, and deleted since"):
        retry_failures(task_id=failed)


def test_only_what_failed_since_is_given_to_another_task(failed: str) -> None:
    first = retry_failures(task_id=failed).snapshot
    [old, *_] = TaskFailure.objects.filter(task_id=failed)
    old.pk, old.position, old.key = None, 7, "7"
    old.save()
    second = retry_failures(task_id=failed).snapshot
    assert (first.params["only"], second.params["only"]) == (BAD, [7])
