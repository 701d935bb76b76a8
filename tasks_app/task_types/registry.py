"""The registry of task types: knows them by name.

Must not know any concrete type: each registers itself.
"""

from __future__ import annotations

from typing import TypeVar

from tasks_app.conf import settings
from tasks_app.domain.priorities import LOW
from tasks_app.errors import UnknownTaskType
from tasks_app.task_types.declarations import check_declaration
from tasks_app.task_types.task_type import TaskType

_registry: dict[str, TaskType] = {}
TaskTypeClass = TypeVar("TaskTypeClass", bound=type[TaskType])


def register(task_type_class: TaskTypeClass) -> TaskTypeClass:
    """Register a task type under its name. A class decorator; modules `task_types` are imported at start-up.

    Raises ValueError if another class has the name, or if a declaration of the class is invalid.
    """
    check_declaration(task_type_class)
    name = task_type_class.name
    known = _registry.get(name)
    if known is not None and type(known).__qualname__ != task_type_class.__qualname__:
        raise ValueError(f"task type {name!r} is registered twice: {type(known)} and {task_type_class}")
    _registry[name] = task_type_class()
    return task_type_class


def unregister(name: str) -> None:
    """Remove a task type (for tests that register their own)."""
    _registry.pop(name, None)


def get_task_type(name: str) -> TaskType:
    """Return the task type of that name, or raise UnknownTaskType that lists the known ones."""
    try:
        return _registry[name]
    except (KeyError, TypeError):
        raise UnknownTaskType(name=name, known=sorted(_registry)) from None


def get_startable_type(name: str) -> TaskType:
    """Return the task type of that name if clients may start it, or raise UnknownTaskType that lists those."""
    startable = {task_type.name: task_type for task_type in list_startable_types()}
    try:
        return startable[name]
    except (KeyError, TypeError):
        raise UnknownTaskType(name=name, known=list(startable)) from None


def find_own_queue(name: str) -> str:
    """Return the queue of a task type; `low` for a type that is not registered here."""
    task_type = _registry.get(name)
    return LOW if task_type is None else task_type.queue


def list_names() -> list[str]:
    """Return the names of all registered task types, sorted."""
    return sorted(_registry)


def get_limit_seconds(task_type: TaskType) -> float:
    """Return how long a chunk of a task type may take."""
    return task_type.chunk_timeout_seconds or float(settings.LONGTASKS.job_timeout_seconds)


def get_attempts(name: str) -> int:
    """Return after how many failed attempts a task of that type fails; the setting's for a type unknown here."""
    task_type = _registry.get(name)
    own = None if task_type is None else task_type.attempts
    return settings.LONGTASKS.retry_attempts if own is None else own


def get_error_attempts(name: str) -> int:
    """Return the attempt from which on an error of the type's code fails a task of that type."""
    task_type = _registry.get(name)
    own = None if task_type is None else task_type.error_attempts
    return get_attempts(name) if own is None else min(own, get_attempts(name))


def get_retry_pauses(name: str) -> tuple[float, float]:
    """Return the first and the longest pause between two attempts of a task of that type, in seconds."""
    task_type = _registry.get(name)
    first = None if task_type is None else task_type.retry_first_seconds
    longest = None if task_type is None else task_type.retry_max_seconds
    return (
        settings.LONGTASKS.retry_first_seconds if first is None else first,
        settings.LONGTASKS.retry_max_seconds if longest is None else longest,
    )


def list_task_types() -> list[TaskType]:
    """Return all registered task types, by name."""
    return [_registry[name] for name in sorted(_registry)]


def list_startable_types() -> list[TaskType]:
    """Return the task types that clients may start, by name."""
    return [task_type for task_type in list_task_types() if not task_type.is_internal]
