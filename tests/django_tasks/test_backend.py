"""The backend: what it accepts and refuses, the results that it reads, its signals and its checks."""

import json
import subprocess
import sys
import uuid
from datetime import timedelta
from typing import Any

import django
import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SuspiciousOperation
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from tasks_app.api.request_serializers import read_new_task
from tasks_app.django_tasks.backend import LongtasksBackend
from tasks_app.django_tasks.compat import (
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from tasks_app.django_tasks.outcomes import TaskCanceled
from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.services import change_tasks, start_tasks
from tasks_app.task_types import list_startable_types
from tests.django_tasks import functions
from tests.django_tasks.settings import BACKEND, TASKS
from tests.support.engine import Worker, job, start, waiting


class Receiver:
    """Notes each signal of the framework, and raises for the first: send_robust protects the task."""

    def __init__(self) -> None:
        self.noted: list[tuple[Any, str, str]] = []

    def receive(self, sender: Any, task_result: Any, **kwargs: Any) -> None:
        self.noted.append((sender, task_result.id, task_result.status))
        raise LookupError("a bad receiver")


@pytest.fixture
def receiver() -> Any:
    made = Receiver()
    signals = (task_enqueued, task_started, task_finished)
    for signal in signals:
        signal.connect(made.receive)
    yield made
    for signal in signals:
        signal.disconnect(made.receive)


def test_signals_tell_each_step_and_a_bad_receiver_harms_nothing(receiver: Receiver) -> None:
    result = functions.insert_row.enqueue(1)
    Worker().run()
    expected = [TaskResultStatus.READY, TaskResultStatus.RUNNING, TaskResultStatus.SUCCESSFUL]
    assert receiver.noted == [(LongtasksBackend, result.id, status) for status in expected]


def test_task_finished_tells_a_failure(receiver: Receiver) -> None:
    functions.insert_and_fail.enqueue(2)
    Worker().run()
    assert [status for _, _, status in receiver.noted][-1] == TaskResultStatus.FAILED


def test_a_result_is_the_same_when_it_is_read_again() -> None:
    result = functions.describe_context.using(priority=-3, queue_name="low").enqueue(word="ä")
    assert task_backends["default"].get_result(result.id) == result
    assert functions.describe_context.get_result(result.id).task.priority == -3
    assert async_to_sync(task_backends["default"].aget_result)(result.id) == result


@pytest.mark.parametrize("result_id", ["", "123", str(uuid.uuid4()), "x" * 1000])
def test_an_unknown_id_has_no_result(result_id: str) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        task_backends["default"].get_result(result_id)


def test_a_task_of_another_type_or_backend_has_no_result() -> None:
    for task_id in (start(), functions.fail_until.enqueue(1).id):
        with pytest.raises(TaskResultDoesNotExist):
            task_backends["default"].get_result(task_id)


def test_aenqueue_enqueues() -> None:
    result = async_to_sync(functions.insert_row_async.aenqueue)(3)
    assert job(result.id).params["args"] == [3]


@pytest.mark.parametrize(
    ("priority", "queue", "expected"),
    [(0, "default", "low"), (1, "default", "high"), (-5, "default", "low"), (-5, "high", "high"), (9, "low", "low")],
)
def test_the_priority_or_the_name_of_the_queue_decides(priority: int, queue: str, expected: str) -> None:
    result = functions.insert_row.using(priority=priority, queue_name=queue).enqueue(1)
    assert job(result.id).priority == expected


def test_run_after_schedules_the_task() -> None:
    run_after = timezone.now() + timedelta(hours=1)
    result = functions.insert_row.using(run_after=run_after).enqueue(1)
    assert (job(result.id).status, job(result.id).next_attempt_at) == ("scheduled", run_after)
    assert waiting() == []
    assert result.status == TaskResultStatus.READY
    assert functions.insert_row.get_result(result.id) == result


def test_a_canceled_task_has_failed() -> None:
    result = functions.insert_row.enqueue(4)
    change_tasks.cancel_task(task_id=result.id)
    result.refresh()
    assert (result.status, result.errors[0].exception_class) == (TaskResultStatus.FAILED, TaskCanceled)


@pytest.mark.parametrize("wrong", [{1, 2}, 2**70, float("nan"), {1: 2}, "x" * 200_000, json.loads("[" * 17 + "]" * 17)])
def test_arguments_that_cannot_be_stored_are_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        functions.insert_row.enqueue(wrong)
    assert waiting() == []


def test_a_function_that_a_worker_would_not_find_is_refused() -> None:
    moved = task(functions.not_a_task)
    with pytest.raises(InvalidTask, match="has not made a task"):
        moved.enqueue()


@pytest.mark.parametrize(
    "path",
    [
        "subprocess.check_output",
        "tests.django_tasks.functions.not_a_task",
        "tests.django_tasks.functions.gone",
        "no.where",
        "",
    ],
)
def test_a_worker_runs_nothing_but_tasks(path: str) -> None:
    params = {"path": path, "args": [], "kwargs": {}, "priority": 0, "queue": "default"}
    new = start_tasks.NewTask(name="function", params=params)
    task_id = start_tasks.start_task(task=new, caller=COMMAND_LINE).snapshot.id
    Worker().run()
    assert (job(task_id).status, job(task_id).attempts, functions.seen) == ("failed", 1, [])
    with pytest.raises(SuspiciousOperation):
        task_backends["default"].get_result(task_id)


def test_clients_cannot_start_functions() -> None:
    body = {
        "name": "function",
        "params": {"path": "tests.django_tasks.functions.insert_row", "args": [1], "kwargs": {}},
    }
    with pytest.raises(ValidationError, match="Unknown task type"):
        read_new_task(body)
    assert not [known.name for known in list_startable_types() if known.name.startswith("function")]


def test_a_failed_function_can_be_retried() -> None:
    result = functions.insert_and_fail.enqueue(5)
    Worker().run()
    change_tasks.retry_task(task_id=result.id)
    result.refresh()
    assert result.status == TaskResultStatus.READY
    assert waiting() == [result.id]


def test_a_rollback_leaves_nothing_and_a_commit_enqueues() -> None:
    with transaction.atomic():
        gone = functions.insert_row.enqueue(6)
        transaction.set_rollback(True)
    with transaction.atomic():
        kept = functions.insert_row.enqueue(6)
        assert waiting() == []
    assert waiting() == [kept.id]
    with pytest.raises(TaskResultDoesNotExist):
        gone.refresh()


def test_the_check_names_each_wrong_option() -> None:
    options = {"attempts": 0, "transactions": False, "timeout": "1h", "owner": "o" * 65, "callback_url": "ftp://x"}
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
        found = [str(error.msg) for error in task_backends["default"].check() if error.id == "tasks_app.E011"]
    assert len(found) == 5
    for name in options:
        assert any(name in text for text in found)


def test_valid_options_reach_the_task() -> None:
    options = {"owner": "billing", "timeout": 300}
    with override_settings(TASKS=TASKS | {"default": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": options}}):
        result = functions.insert_row.enqueue(1)
        assert job(result.id).owner == "billing"
        assert not [error for error in task_backends["default"].check() if error.id == "tasks_app.E011"]


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django 6 has the framework")
def test_the_project_needs_no_framework() -> None:
    """Everything of tasks_app but the backend itself can be imported where neither form of the framework exists."""
    code = (
        "import sys\n"
        "sys.modules['django_tasks'] = None\n"
        "import django; django.setup()\n"
        "import tasks_app.django_tasks\n"
        "from django.core.exceptions import ImproperlyConfigured\n"
        "try: tasks_app.django_tasks.LongtasksBackend\n"
        "except (ImproperlyConfigured, ImportError) as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Install the package django-tasks" in run.stdout
