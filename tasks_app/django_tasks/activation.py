"""Registers the task types of functions when Django starts, if the setting TASKS names this backend.

Owns that a project without the framework needs none of it. Must not know the framework unless TASKS names the backend.
"""

from __future__ import annotations

from typing import Any

from django.utils.module_loading import import_string

from tasks_app.conf import settings


def register_function_types() -> None:
    """Make each LongtasksBackend of TASKS, which registers its task type. Another backend is left alone."""
    for alias, params in getattr(settings, "TASKS", {}).items():
        if _is_ours(params.get("BACKEND", "")):
            from tasks_app.django_tasks.compat import task_backends

            task_backends[alias]


def _is_ours(path: str) -> bool:
    """Return whether a backend is LongtasksBackend or derived from it. Imports it."""
    try:
        found: Any = import_string(path)
    except ImportError:
        return False  # the framework says so when the backend is used
    if not isinstance(found, type):
        return False
    from tasks_app.django_tasks.backend import LongtasksBackend  # it needs the framework, as every backend does

    return issubclass(found, LongtasksBackend)
