"""Task types that are registered until the test ends."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from tasks_app.task_types import TaskType, register, unregister

Registered = Callable[[type[TaskType]], str]


@pytest.fixture
def registered() -> Generator[Registered, None, None]:
    """`registered(Class)` returns the name."""
    names: list[str] = []

    def add(task_type: type[Any]) -> str:
        register(task_type)
        names.append(task_type.name)
        return str(task_type.name)

    yield add
    for name in names:
        unregister(name)
