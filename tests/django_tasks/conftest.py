"""The setting TASKS of these tests, and a clean slate for their functions."""

from collections.abc import Generator

import pytest
from django.test import override_settings

from tasks_app.django_tasks.compat import task_backends
from tasks_app.django_tasks.function_task import get_type_name
from tasks_app.task_types import unregister
from tests.django_tasks.settings import TASKS
from tests.support.engine import _database, longtasks  # noqa: F401 (fixtures)

with override_settings(TASKS=TASKS):
    from tests.django_tasks import functions  # @task asks the backend at once


@pytest.fixture(autouse=True)
def _tasks() -> Generator[None, None, None]:
    functions.seen.clear()
    with override_settings(TASKS=TASKS):
        for alias in TASKS:
            task_backends[alias]  # as at the start of a process
        yield
    for alias in TASKS:
        unregister(get_type_name(alias))
