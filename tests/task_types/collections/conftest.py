"""The tables of these tests, and the steps that start and run their tasks in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from tasks_app.services import start_tasks
from tasks_app.task_types import TaskType, register, unregister
from tests.support.engine import Worker, _database, checkpoint, longtasks, record, rescue  # noqa: F401 (fixtures)
from tests.task_types.collections import models

Registered = Callable[[type[TaskType]], type[TaskType]]


@pytest.fixture(scope="package")
def _tables(django_db_setup: None, django_db_blocker: Any) -> Generator[None, None, None]:
    """Create the tables once, as those of an installed application: a clean-up finds the dependants of its rows."""
    config = AppConfig(models.LABEL, models)
    config.label, config.apps, config.models = models.LABEL, apps, apps.all_models[models.LABEL]
    config.models_module = models
    with django_db_blocker.unblock():
        apps.app_configs[models.LABEL] = config
        apps.clear_cache()
        with connection.schema_editor() as editor:
            for model in models.MODELS:
                editor.create_model(model)
        yield
        with connection.schema_editor() as editor:
            for model in reversed(models.MODELS):
                editor.delete_model(model)
        del apps.app_configs[models.LABEL]
        apps.clear_cache()
        # A flush between two tests emits post_migrate, which creates the types and permissions of these models.
        ContentType.objects.filter(app_label=models.LABEL).delete()


@pytest.fixture(autouse=True)
def tables(_tables: None, _database: None) -> None:  # noqa: F811
    """Empty tables."""
    for model in reversed(models.MODELS):
        model._base_manager.all().delete()


@pytest.fixture
def registered() -> Generator[Registered, None, None]:
    """`registered(Class)` registers a task type until the test ends."""
    names: list[str] = []

    def add(task_type: type[TaskType]) -> type[TaskType]:
        register(task_type)
        names.append(task_type.name)
        return task_type

    yield add
    for name in names:
        unregister(name)


def begin(name: str, **params: Any) -> str:
    """Start a task; return its id."""
    return start_tasks.start_task(task=start_tasks.NewTask(name=name, params=params)).snapshot.id


def run_all(*, workers: int = 1) -> int:
    """Let workers run in turns until the queue is empty; return how often one ran."""
    steps = 0
    while Worker(f"w{steps % workers}").run():
        steps += 1
    return steps
