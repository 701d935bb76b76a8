"""A record that failed: as a task type describes it, and as the list of failures has it.

Owns both forms and the limits of what is kept of foreign values. Must not know stores, tasks or workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from django.core import exceptions as django_exceptions
from rest_framework import exceptions as rest_exceptions

from tasks_app.domain import printable
from tasks_app.domain.error_text import describe_value, error_line
from tasks_app.domain.plain_json import JsonCopy, NotJson
from tasks_app.task_types.task_params import convert

KEY_CHARACTERS: Final = 255
CODE_CHARACTERS: Final = 64
MESSAGE_CHARACTERS: Final = 2_000
VALUES_BYTES: Final = 64 * 1024
TEXT_CHARACTERS: Final = 20_000  # of one value
NAME_CHARACTERS: Final = 200  # of a column's name
COLUMNS: Final = 1_000
_LINES: Final = 2**63 - 1
_MESSAGES: Final = 20  # of a validation error that has many

INCOMPLETE: Final = "failure_incomplete"  # "yes": values were shortened or left out, so an import refuses the record
# The columns that the list adds to the record's own in a CSV file; an import ignores them.
FAILURE_COLUMNS: Final = (
    "failure_position",
    "failure_line",
    "failure_key",
    "failure_code",
    "failure_message",
    "failure_other",
    INCOMPLETE,
)


class RecordRefused(ValueError):
    """Raised by a task type that knows which record of its chunk fails: no other one has to be tried to find it."""

    def __init__(self, message: str, *, position: int) -> None:
        super().__init__(message)
        self.position = position  # from 0: `chunk.start` is that of the chunk's first record


class CannotRetryFailures(Exception):
    """Raised by `TaskType.retry_params`: the reason, for the caller, why the failed records cannot be retried alone."""


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """What a task type says about the record at its cursor, which has failed. Shortened to what the list can hold."""

    key: object = ""  # identifies the record for its readers and for `retry_params`: a primary key, an article number
    line: int | None = None  # of the file that the task reads, from 1
    values: Mapping[str, Any] = field(default_factory=dict)  # the record by column, in the order of the columns
    is_complete: bool = True  # False: `values` are not all of the record, or not by the right columns


@dataclass(frozen=True, slots=True)
class ListedFailure:
    """One entry of a task's list of failures."""

    id: int
    position: int  # of the record in the task, from 0
    line: int | None
    key: str
    code: str  # class of the error
    message: str
    values: dict[str, Any]
    values_are_exact: bool
    failed_at: Any


def describe_failure(error: BaseException) -> tuple[str, str]:
    """Return the code and the message of an error, bounded and safe to store. Never raises."""
    code = printable.escape(type(error).__name__[:CODE_CHARACTERS])[:CODE_CHARACTERS]
    try:
        message = "; ".join(_list_messages(error))[:MESSAGE_CHARACTERS]
    except Exception:  # foreign code
        message = ""
    if not message:
        line = error_line(error, characters=2 * MESSAGE_CHARACTERS)
        message = line.partition(": ")[2] or line
    return code, printable.escape(message)[:MESSAGE_CHARACTERS]


def bound_record(record: FailedRecord) -> tuple[str, int | None, str, bool]:
    """Return key, line, the values as JSON, and whether these are exactly the values that were given. Never raises."""
    key = record.key if isinstance(record.key, str) else _to_text(record.key)
    short = printable.escape(key[:KEY_CHARACTERS], unsafe=printable.SURROGATES)[:KEY_CHARACTERS]
    line = record.line if type(record.line) is int and 0 <= record.line <= _LINES else None
    values, is_exact = bound_values(record.values)
    return short, line, values, is_exact and short == key and record.is_complete is True


def bound_values(
    values: object, *, most_bytes: int = VALUES_BYTES, most_characters: int = TEXT_CHARACTERS
) -> tuple[str, bool]:
    """Return values by column as a JSON object, and whether it has exactly the values that were given. Never raises."""
    if not isinstance(values, Mapping):
        return "{}", False
    bounded: dict[str, Any] = {}
    is_exact = True
    left = most_bytes - 2
    try:
        for number, (name, value) in enumerate(values.items()):
            column = name if isinstance(name, str) else _to_text(name)
            short = printable.escape(column[:NAME_CHARACTERS], unsafe=printable.SURROGATES)[:NAME_CHARACTERS]
            copy, copy_is_exact = _bound_value(value, most_characters)
            size = len(orjson.dumps([short, copy]))
            if number >= COLUMNS:
                return _to_json(bounded), False
            if size > left:  # later columns may be short
                is_exact = False
                continue
            left -= size
            is_exact &= short == name and copy_is_exact
            bounded[short] = copy
    except Exception:  # a mapping of foreign code
        is_exact = False
    return _to_json(bounded), is_exact


def _bound_value(value: Any, most_characters: int) -> tuple[Any, bool]:
    """Return a value as JSON can hold it, of another type as text, and whether that is all of it."""
    if isinstance(value, str):
        whole = str.__str__(value)
        text = printable.escape(whole[:most_characters], unsafe=printable.SURROGATES)
        return text, text == whole
    try:
        return JsonCopy(most_bytes=most_characters, convert=convert).copy(value), True
    except NotJson:
        return _to_text(value)[:most_characters], False


def _to_text(value: object) -> str:
    try:
        converted = convert(value)
        text = str(converted) if isinstance(converted, (str, int)) else describe_value(value)
    except Exception:  # foreign code
        text = describe_value(value)
    return text[:TEXT_CHARACTERS]


def _to_json(values: dict[str, Any]) -> str:
    return orjson.dumps(values).decode()


def _list_messages(error: BaseException) -> Iterable[str]:
    """Return the messages of a validation error, each with its field; nothing for other errors."""
    messages: list[str] = []

    def add(detail: Any, path: str) -> None:
        if len(messages) >= _MESSAGES:
            return
        if isinstance(detail, Mapping):
            for name, inner in detail.items():
                add(inner, path if name in ("non_field_errors", "__all__") else f"{path}.{name}".lstrip("."))
        elif isinstance(detail, (list, tuple)):
            for inner in detail:
                add(inner, path)
        else:
            text = str(detail)[:MESSAGE_CHARACTERS]
            messages.append(f"{path[:NAME_CHARACTERS]}: {text}" if path else text)

    if isinstance(error, rest_exceptions.APIException):
        add(error.detail, "")
    elif isinstance(error, django_exceptions.ValidationError):
        add(error.message_dict if hasattr(error, "error_dict") else error.messages, "")
    return messages
