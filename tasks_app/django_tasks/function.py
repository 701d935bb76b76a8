"""The functions that `@task` has made tasks: how a task names one, and how a worker finds it again.

Owns the class of these tasks, and that only such an object is ever imported and run. Must not run one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.utils.module_loading import import_string

from tasks_app.django_tasks.compat import InvalidTask, Task
from tasks_app.domain.error_text import describe_value, error_line

PATH_CHARACTERS: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class LongtasksTask(Task):
    """A task function of this backend. `@task(transaction=False)` needs Django 6.1 or the package django-tasks."""

    transaction: bool | None = None  # does it run in the transaction that stores its result? None: as OPTIONS say


class NoFunction(Exception):
    """A path leads to nothing, or to something that `@task` has not made a task. Nothing was run."""


def find_function(path: str) -> Task:
    """Return the task function at a dotted path. Raises NoFunction."""
    try:
        found: Any = import_string(path)
    except Exception as error:  # whatever the module raises
        raise NoFunction(f"The function {describe_value(path)} cannot be imported: {error_line(error)}") from error
    if not isinstance(found, Task):
        raise NoFunction(
            f"{describe_value(path)} is {describe_value(found)}, which @task has not made a task: it is not run."
        )
    return found


def get_path(task: Task) -> str:
    """Return the dotted path of a task's function. Raises InvalidTask if a worker could not find it there."""
    path = task.module_path
    if len(path) > PATH_CHARACTERS:
        raise InvalidTask(f"The path of the function has {len(path)} characters: at most {PATH_CHARACTERS}.")
    try:
        found = find_function(path)
    except NoFunction as error:
        raise InvalidTask(f"A worker could not run this function. {error}") from error
    if found.func != task.func:
        raise InvalidTask(f"A worker could not run this function: {path} is another task.")
    return path
