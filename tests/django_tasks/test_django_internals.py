"""The private part of Django's task framework is as tasks_app/django_tasks/django_internals.py expects."""

from datetime import UTC, datetime

from tasks_app.django_tasks.compat import TaskResult, TaskResultStatus
from tasks_app.django_tasks.django_internals import set_return_value
from tests.django_tasks import functions


def test_the_value_that_is_set_is_the_return_value() -> None:
    now = datetime.now(UTC)
    result = TaskResult(
        task=next(each for each in vars(functions).values() if hasattr(each, "module_path")),
        id="1",
        status=TaskResultStatus.SUCCESSFUL,
        enqueued_at=now,
        started_at=now,
        finished_at=now,
        last_attempted_at=now,
        args=[],
        kwargs={},
        backend="default",
        errors=[],
        worker_ids=[],
    )
    set_return_value(result, {"rows": 7})
    assert result.return_value == {"rows": 7}
