"""Function tasks in a worker: what a function writes commits with its result, and its errors end or repeat the task."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from catalog.models import Product
from tasks_app.checkpoints import claims, expired_claims
from tasks_app.django_tasks.compat import TaskResultStatus
from tasks_app.engine.chunk_errors import ChunkTimeout
from tasks_app.models import TaskCheckpoint
from tasks_app.resilience import failpoints
from tasks_app.testing.crashes import Crash, CrashOnce, CrashPoint, When
from tests.django_tasks import functions
from tests.support.engine import Worker, checkpoint, expire_lease, job, mirror, record, rescue


def rows(number: int) -> int:
    return Product.objects.filter(task_id=functions.RUN, position=number).count()


def test_the_rows_of_a_function_commit_with_its_result() -> None:
    result = functions.insert_row.enqueue(7)
    assert (result.status, result.attempts, result.worker_ids) == (TaskResultStatus.READY, 0, [])

    Worker().run()

    assert rows(7) == 1
    assert (checkpoint(result.id).outcome, checkpoint(result.id).result) == ("finished", 7)
    result.refresh()
    assert (result.status, result.return_value, result.worker_ids) == (TaskResultStatus.SUCCESSFUL, 7, ["w1"])
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert timedelta(0) <= result.finished_at - result.enqueued_at < timedelta(minutes=1)


def test_the_function_is_the_description_of_its_task() -> None:
    result = functions.insert_row.enqueue(7)
    Worker().run()
    row = record(result.id)
    assert (row.name, row.description) == ("function", "tests.django_tasks.functions.insert_row")
    assert (row.done, row.params["args"]) == (1, [7])


def test_nothing_of_a_function_that_raises_remains_and_it_is_not_repeated() -> None:
    result = functions.insert_and_fail.enqueue(8)
    Worker().run()
    assert rows(8) == 0
    result.refresh()
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)
    [error] = result.errors
    assert error.exception_class is ValueError
    assert error.traceback.startswith("Traceback (most recent call last):\n")
    assert error.traceback.endswith("ValueError: row 8 was not wanted\n")
    with pytest.raises(ValueError, match="Task failed"):
        result.return_value  # noqa: B018 (the property raises)


@pytest.mark.parametrize("when", When)
def test_a_crash_at_the_commit_leaves_one_row(when: When) -> None:
    """Before the commit the function runs twice, and its first row is rolled back; after it, it runs once."""
    result = functions.insert_row.enqueue(9)
    with failpoints.listening(CrashOnce(CrashPoint(when, 1))), pytest.raises(Crash):
        Worker("w1").run()
    assert rows(9) == (when is When.AFTER)
    expire_lease(result.id)
    rescue()

    Worker("w2").run()

    assert rows(9) == 1
    assert (checkpoint(result.id).outcome, checkpoint(result.id).result) == ("finished", 9)


def test_an_async_function_writes_in_the_same_transaction() -> None:
    result = functions.insert_row_async.enqueue(10)
    Worker().run()
    result.refresh()
    assert (result.return_value, rows(10)) == (True, 1)


def test_what_an_async_function_has_written_is_rolled_back_with_its_chunk() -> None:
    functions.insert_row_async.enqueue(12)
    with failpoints.listening(CrashOnce(CrashPoint(When.BEFORE, 1))), pytest.raises(Crash):
        Worker("w1").run()
    assert rows(12) == 0


def test_more_attempts_repeat_a_function_that_raises(longtasks: Callable[..., None]) -> None:
    longtasks(retry_first_seconds=0.0)
    result = functions.fail_until.enqueue(3)
    Worker("w1").run()
    result.refresh()
    assert (result.status, result.errors[0].exception_class) == (TaskResultStatus.READY, LookupError)
    for name in ("w2", "w3"):
        rescue().enqueue_due()
        Worker(name).run()
    mirror()

    result.refresh()
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 3)
    assert result.worker_ids == ["w1", "w2", "w3"]
    assert [error.traceback.splitlines()[-1] for error in result.errors] == [
        "LookupError: attempt 1",
        "LookupError: attempt 2",
    ]
    assert result.last_attempted_at > result.started_at


def test_the_death_of_a_worker_does_not_fail_a_function_with_one_attempt() -> None:
    result = functions.insert_row.enqueue(11)
    Worker("w1").dequeue()
    key = TaskCheckpoint(task_id=result.id).task_id
    claims.claim(task_id=key, worker="w1")
    expire_lease(result.id)
    row = expired_claims.expire(task_id=key, cause="killed")
    assert row is not None
    assert (row.outcome, row.failures) == ("", 1)


def test_without_a_transaction_the_function_commits_for_itself() -> None:
    result = functions.note_transaction.enqueue()
    Worker().run()
    result.refresh()
    assert (result.return_value, rows(0)) == (False, 1)


def test_without_a_transaction_what_was_written_before_an_error_remains() -> None:
    result = functions.note_transaction.enqueue(fails=True)
    Worker().run()
    assert (rows(0), job(result.id).status) == (1, "scheduled")


def test_a_function_is_in_a_transaction() -> None:
    result = functions.is_in_transaction.enqueue()
    Worker().run()
    result.refresh()
    assert result.return_value is True


def test_the_context_tells_the_task_and_its_attempt() -> None:
    result = functions.describe_context.enqueue(word="hello")
    assert job(result.id).priority == "high"
    Worker().run()
    result.refresh()
    assert result.return_value == {
        "id": result.id,
        "attempt": 1,
        "status": "RUNNING",
        "kwargs": {"word": "hello"},
        "word": "hello",
    }


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (functions.return_set.enqueue, "builtins.TypeError", "Unsupported type: <class 'set'>"),
        (functions.exit_process.enqueue, "builtins.SystemExit", "enough"),
        (
            lambda: functions.return_long.enqueue(20_000),
            "tasks_app.task_types.task_results.InvalidTaskResult",
            "16384 bytes",
        ),
    ],
)
def test_what_cannot_be_a_result_fails_the_task(call: Callable[[], object], kind: str, message: str) -> None:
    result = call()
    Worker().run()
    result.refresh()
    assert (result.status, result.errors[0].exception_class_path) == (TaskResultStatus.FAILED, kind)
    assert message in result.errors[0].traceback
    assert result.errors[0].exception_class is not None


@pytest.mark.parametrize("when", When)
def test_a_function_goes_on_from_its_cursor_after_a_crash(when: When) -> None:
    result = functions.insert_rows.enqueue(7)
    with failpoints.listening(CrashOnce(CrashPoint(when, 3))), pytest.raises(Crash):
        Worker("w1").run()
    assert [rows(number) for number in range(7)] == ([1] * 6 + [0] if when is When.AFTER else [1] * 4 + [0] * 3)
    expire_lease(result.id)
    rescue()

    Worker("w2").run()

    assert [rows(number) for number in range(7)] == [1] * 7
    result.refresh()
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, "all")
    assert (checkpoint(result.id).done, checkpoint(result.id).counts) == (4, {"rows": 6})


def test_an_async_function_has_a_time_limit_and_its_thread_ends_the_worker() -> None:
    result = functions.sleep_long.enqueue(13)
    worker = Worker()
    worker.run()
    result.refresh()
    assert (result.status, result.errors[0].exception_class) == (TaskResultStatus.FAILED, ChunkTimeout)
    assert (rows(13), worker.runner.must_retire) == (0, True)
