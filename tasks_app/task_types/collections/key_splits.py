"""Splits a collection into ranges of its key with about the same number of rows each.

Owns how the boundaries are found: every n-th key of one pass over the keys in their order, which is right for keys with
gaps, UUIDs and texts alike, and whose cost is small beside processing the same rows. The pass ends at a time limit; what
is beyond is split by the value of an integer key, or is one last range. Must not know tasks.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db import models
from django.db.models import QuerySet

from tasks_app.task_types.collections import key_ranges
from tasks_app.task_types.collections.cursor_keys import CursorKey, Values
from tasks_app.task_types.collections.time_limits import OutOfTime, read_in_time

PASS_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The rows after one key up to another, and how many there are; a key of None is open."""

    after: Values | None
    up_to: Values
    rows: int
    is_counted: bool = True


def select_range(
    queryset: QuerySet[Any], key: CursorKey, *, after: Values | None, up_to: Values | None
) -> QuerySet[Any]:
    """Return the rows of a range in the order of the key."""
    if after is not None:
        queryset = queryset.filter(key_ranges.after(key.names, after))
    if up_to is not None:
        queryset = queryset.filter(key_ranges.up_to(key.names, up_to))
    return queryset.order_by(*key.names)


def all_rows(model: type[models.Model], *, using: str) -> QuerySet[Any]:
    """Return the rows of a table, whatever the model's managers leave out."""
    return QuerySet(model, using=using)


def find_last_key(queryset: QuerySet[Any], key: CursorKey) -> Values | None:
    """Return the greatest key; None if there are no rows. Reads one entry of the index if nothing is filtered."""
    return queryset.order_by(*(f"-{name}" for name in key.names)).values_list(*key.names).first()


def split_keys(
    queryset: QuerySet[Any],
    key: CursorKey,
    *,
    bound: Values,
    total: int,
    size: int,
    most: int,
    clock: Callable[[], float] = time.monotonic,
) -> list[KeyRange]:
    """Return at most `most` ranges of about `size` rows, or more if they would be too many, that cover the collection.

    `total` may be an estimate, which only matters beyond the time limit. One statement for each range, which reads the
    keys of that range only. Ends PASS_SECONDS after its begin.
    """
    ranges: list[KeyRange] = []
    start, ends_at = None, clock() + PASS_SECONDS
    try:
        while (seconds := ends_at - clock()) > 0:
            rows = select_range(queryset, key, after=start, up_to=bound).values_list(*key.names)
            last = read_in_time(rows[size - 1 : size].first, alias=queryset.db, seconds=seconds)
            if last is None:
                number = read_in_time(rows.order_by().count, alias=queryset.db, seconds=seconds)
                return _fit(_join_short_end([*ranges, KeyRange(start, bound, number)], size=size), most=most)
            ranges.append(KeyRange(start, last, size))
            start = last
            if len(ranges) > most:
                ranges, size = _join_pairs(ranges), 2 * size
    except OutOfTime:
        pass
    left = max(1, total - sum(each.rows for each in ranges))
    number = max(1, min(left // size, most - len(ranges)))
    return _fit([*ranges, *_split_by_value(start, bound=bound, left=left, number=number)], most=most)


def _fit(ranges: list[KeyRange], *, most: int) -> list[KeyRange]:
    while len(ranges) > most:
        ranges = _join_pairs(ranges)
    return ranges


def _join_pairs(ranges: list[KeyRange]) -> list[KeyRange]:
    """Join each range of odd place to the one before."""
    return [_join(*ranges[place : place + 2]) for place in range(0, len(ranges), 2)]


def _join_short_end(ranges: list[KeyRange], *, size: int) -> list[KeyRange]:
    """Join a last range that has less than a tenth of the rows of the others to the one before."""
    if len(ranges) < 2 or ranges[-1].rows >= size / 10:
        return ranges
    return [*ranges[:-2], _join(*ranges[-2:])]


def _join(first: KeyRange, *more: KeyRange) -> KeyRange:
    last = more[-1] if more else first
    parts = (first, *more)
    return KeyRange(first.after, last.up_to, sum(each.rows for each in parts), all(each.is_counted for each in parts))


def _split_by_value(start: Values | None, *, bound: Values, left: int, number: int) -> list[KeyRange]:
    """Return ranges of the same width for the keys after `start`, whose number of rows is a guess."""
    if start is None or len(bound) > 1 or type(bound[0]) is not int or type(start[0]) is not int:
        return [KeyRange(start, bound, left, is_counted=False)]
    first, last = start[0], bound[0]
    number = max(1, min(number, last - first))
    ends = [first + (last - first) * place // number for place in range(number + 1)]
    return [
        KeyRange((low,), (high,), max(1, left // number), is_counted=False) for low, high in itertools.pairwise(ends)
    ]
