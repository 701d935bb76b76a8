"""The private part of Django's task framework: `TaskResult._return_value`, which every backend has to set itself.

The class is frozen and has no argument for it; the framework's own backends set it in the same way.
tests/django_tasks/test_django_internals.py fails when the framework changes.
"""

from __future__ import annotations

from typing import Any

from tasks_app.django_tasks.compat import TaskResult


def set_return_value(result: TaskResult, value: Any) -> None:
    """Give a successful result what its function has returned."""
    object.__setattr__(result, "_return_value", value)
