"""The rows of a collection that a list of failures names by their keys.

Owns the way from the key in the list to the row. Must not read the list (failure_walk) nor lock rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

from tasks_app.errors import HopelessError
from tasks_app.models import TaskFailure
from tasks_app.task_types.collections.cursor_keys import CursorKey, Values
from tasks_app.task_types.failed_record import KEY_CHARACTERS

# Keys of one statement: MariaDB rewrites longer lists as a join with them, which may read and lock the whole table.
STATEMENT_KEYS: Final = 500


def name_key(key: CursorKey, values: Values) -> Any:
    """Return a key as the list of failures has it: its only value, or the JSON of its values."""
    encoded = key.encode(values)
    return encoded[0] if len(encoded) == 1 else json.dumps(encoded, ensure_ascii=False)


def iterate_rows(
    rows: QuerySet[Any],
    key: CursorKey,
    failures: Sequence[TaskFailure],
    *,
    lock: Callable[[QuerySet[Any]], QuerySet[Any]],
) -> Iterator[Any]:
    """Yield the rows of these failures that are still in the collection, each once. Raises HopelessError."""
    keys = list(dict.fromkeys(_read_key(key, failure) for failure in failures))
    for first in range(0, len(keys), STATEMENT_KEYS):
        some = keys[first : first + STATEMENT_KEYS]
        before: Values | None = None
        for row in lock(rows.filter(_is_one_of(key, some)).order_by(*key.names)):
            values = key.read(row)
            if values != before:  # a join repeats a row; its copies stand together
                yield row
            before = values


def _is_one_of(key: CursorKey, keys: Sequence[Values]) -> Q:
    if len(key.names) == 1:
        return Q((f"{key.names[0]}__in", [value for (value,) in keys]))
    each = [Q(*zip(key.names, values, strict=True)) for values in keys]
    return Q(*each, _connector=Q.OR)


def _read_key(key: CursorKey, failure: TaskFailure) -> Values:
    stored = failure.key
    try:
        if len(stored) >= KEY_CHARACTERS:
            raise ValueError("it may have been cut at this length")
        return key.decode([stored] if len(key.names) == 1 else json.loads(stored), what="failed record")
    except (ValueError, TypeError, ValidationError) as error:
        raise HopelessError(
            f"The key of failed record {failure.position:,}, {stored[:100]!r}, cannot be used to find its row: {error}. "
            "Start a task of the type for all of its records."
        ) from error
