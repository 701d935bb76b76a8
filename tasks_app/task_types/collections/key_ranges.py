"""Conditions that select a range of a key: rows after one key, up to another.

Owns their form, for keys of several fields. A row comparison, `(a, b) > (x, y)`, is written with AND and OR, because MySQL and
MariaDB do not use an index for a row comparison with `>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Q


def after(names: Sequence[str], values: Sequence[Any]) -> Q:
    """Return the condition that a row's key is greater than `values`."""
    return _beyond(names, values, lookup="gt")


def up_to(names: Sequence[str], values: Sequence[Any]) -> Q:
    """Return the condition that a row's key is `values` or less."""
    return _beyond(names, values, lookup="lt", last="lte")


def _beyond(names: Sequence[str], values: Sequence[Any], *, lookup: str, last: str = "") -> Q:
    """Return `a > x OR (a = x AND b > y)`, with `a >= x` in front, which alone already bounds the range of the index."""
    *first, (name, value) = list(zip(names, values, strict=True))
    condition = Q((f"{name}__{last or lookup}", value))
    for name, value in reversed(first):
        condition = Q((f"{name}__{lookup}e", value)) & (
            Q((f"{name}__{lookup}", value)) | (Q((name, value)) & condition)
        )
    return condition
