"""Django's system check of back-fills and clean-ups: refuses a collection that cannot be read by key.

Owns what `manage.py check` says about them. A collection that needs parameters is checked by the first attempt of a task. Runs
no query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from django.apps import AppConfig
from django.core import checks
from django.db import connections

from tasks_app.errors import HopelessError
from tasks_app.task_types.collections.cleanup import Cleanup, list_archived
from tasks_app.task_types.collections.collection_task import CollectionTask
from tasks_app.task_types.collections.cursor_keys import find_key
from tasks_app.task_types.registry import list_task_types
from tasks_app.task_types.task_params import encode_params

ID: Final = "tasks_app.E001"


class _QueryRefused(Exception):
    """A check must not query: the database may not exist yet."""


def check_collections(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[checks.CheckMessage]:
    """Return an error for each fault of a registered collection that is visible without parameters."""
    found: list[checks.CheckMessage] = []
    for task_type in list_task_types():
        if isinstance(task_type, CollectionTask):
            found += [checks.Error(fault, obj=type(task_type), id=ID) for fault in list_faults(task_type)]
    return found


def list_faults(task_type: CollectionTask) -> list[str]:
    """Return the faults of one collection; nothing if it cannot be built without parameters or without a query."""
    serializer = task_type.params_serializer(data={})
    try:
        with_defaults = serializer.is_valid()
        if not with_defaults:
            return []
        rows = _without_queries(task_type, serializer.validated_data)
    except Exception:  # the code of a task type: the first attempt of a task shows its error
        return []
    if faults := task_type.list_faults(rows):
        return faults
    try:
        find_key(rows.model, tuple(task_type.cursor_fields))
        if isinstance(task_type, Cleanup) and task_type.archive_to is not None and _archives_all(task_type):
            list_archived(rows.model, task_type.archive_to)
    except (ValueError, HopelessError) as error:
        return [str(error)]
    return []


def _archives_all(task_type: Cleanup) -> bool:
    return type(task_type).archive is Cleanup.archive


def _without_queries(task_type: CollectionTask, params: Any) -> Any:
    def refuse(*args: Any) -> NoReturn:
        raise _QueryRefused

    wrapped = [connections[alias].execute_wrapper(refuse) for alias in connections]
    for each in wrapped:
        each.__enter__()
    try:
        return task_type.collection(task_type.read_params(encode_params(params)))
    finally:
        for each in reversed(wrapped):
            each.__exit__(None, None, None)
