"""A backend for Django's task framework: `TASKS = {"default": {"BACKEND": "tasks_app.django_tasks.LongtasksBackend"}}`.

docs/django-tasks.md. The package can be imported without the framework; its backend cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks_app.django_tasks.next_chunk import NextChunk

if TYPE_CHECKING:
    from tasks_app.django_tasks.backend import LongtasksBackend

__all__ = ["LongtasksBackend", "NextChunk"]


def __getattr__(name: str) -> Any:
    if name != "LongtasksBackend":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tasks_app.django_tasks.backend import LongtasksBackend

    return LongtasksBackend
