"""Checks the class attributes of a task type when it is registered.

Must not know which types are registered (registry.py).
"""

from __future__ import annotations

import re
from typing import Any, Final

from rest_framework import serializers

from tasks_app.conf import settings
from tasks_app.domain.error_text import describe_value
from tasks_app.task_types.task_id_field import TaskIdField
from tasks_app.task_types.task_type import TaskType

NAME_CHARACTERS: Final = 64  # of a task type: the column's length
_NAME: Final = re.compile(r"[^|\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,64}\Z")
_COUNT_NAME: Final = re.compile(r"[A-Za-z_][\w.-]{0,63}\Z", re.ASCII)
_COUNT_NAMES: Final = 32
_DESCRIPTION_CHARACTERS: Final = 200
_ATTEMPTS: Final = 1_000
_PAUSE_SECONDS: Final = 7 * 24 * 3600


def check_declaration(task_type_class: type[TaskType]) -> None:
    """Raise ValueError that lists every invalid class attribute of a task type."""
    wrong: list[str] = []

    def check(attribute: str, accepted: str, is_right: Any) -> None:
        value = getattr(task_type_class, attribute, None)
        if not is_right(value):
            wrong.append(f"{attribute} is {describe_value(value)}; accepted: {accepted}")

    check(
        "name",
        f"a str of 1 to {NAME_CHARACTERS} characters, without | and control characters",
        lambda value: type(value) is str and _NAME.match(value),
    )
    check(
        "params_serializer",
        "a subclass of rest_framework.serializers.Serializer",
        lambda value: isinstance(value, type) and issubclass(value, serializers.Serializer),
    )
    check(
        "count_names",
        f"a tuple of at most {_COUNT_NAMES} names of 1 to 64 ASCII letters, digits, _ . and -, each once",
        lambda value: (
            type(value) is tuple
            and len(value) <= _COUNT_NAMES
            and all(type(name) is str and _COUNT_NAME.match(name) for name in value)
            and len(set(value)) == len(value)
        ),
    )
    check(
        "description",
        f"a str of at most {_DESCRIPTION_CHARACTERS} characters",
        lambda value: type(value) is str and len(value) <= _DESCRIPTION_CHARACTERS,
    )
    for attribute in ("first_limit", "max_limit"):
        check(attribute, "an int from 1 on", lambda value: type(value) is int and value >= 1)
    check(
        "queue",
        f"a queue that the setting QUEUES names ({', '.join(settings.LONGTASKS.queues)})",
        lambda value: type(value) is str and value in settings.LONGTASKS.queues,
    )
    for attribute in ("shareable", "splittable", "is_planned", "isolates_failures", "is_internal"):
        check(attribute, "True or False", lambda value: type(value) is bool)
    is_batched = bool(getattr(task_type_class, "shareable", False))
    check(
        "leaves_results",
        "True or False; only False with shareable",
        lambda value: type(value) is bool and not (is_batched and value),
    )
    check(
        "supports_dry_run",
        "True or False; only False with leaves_results, because files are not rolled back",
        lambda value: type(value) is bool and not (value and getattr(task_type_class, "leaves_results", False)),
    )
    for attribute in ("attempts", "error_attempts"):
        check(
            attribute,
            f"None, or an int from 1 to {_ATTEMPTS}",
            lambda value: value is None or _is_number(value, 1, _ATTEMPTS),
        )
    for attribute in ("retry_first_seconds", "retry_max_seconds"):
        check(
            attribute,
            f"None, or a number from 0 to {_PAUSE_SECONDS}",
            lambda value: value is None or _is_number(value, 0, _PAUSE_SECONDS),
        )
    if task_type_class.isolates_failures is True and task_type_class.skip_record is TaskType.skip_record:
        wrong.append("isolates_failures is True, but the class does not implement skip_record")
    check(
        "undoes",
        "the name of a parameter that is a TaskIdField, so that its owner is checked; or empty",
        lambda value: type(value) is str and (not value or _is_task_id(task_type_class, value)),
    )
    if wrong:
        raise ValueError(f"task type {task_type_class.__qualname__}: {'. '.join(wrong)}.")


def _is_number(value: object, least: int, most: int) -> bool:
    if type(value) is float and least == 0:
        return least <= value <= most
    return type(value) is int and least <= value <= most


def _is_task_id(task_type_class: type[TaskType], name: str) -> bool:
    params_serializer: Any = getattr(task_type_class, "params_serializer", None)
    if not (isinstance(params_serializer, type) and issubclass(params_serializer, serializers.Serializer)):
        return True  # the check of params_serializer reports it
    return any(isinstance(field, TaskIdField) and field.source == name for field in params_serializer().fields.values())
