"""Pages of a queryset in the order of its primary key.

Owns these two queries. Must not know what is done with the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Max, Min, QuerySet


def find_bounds(rows: QuerySet[Any]) -> tuple[Any, Any] | None:
    """Return the first and the last primary key of a queryset as JSON values; None if it is empty."""
    found = rows.order_by().aggregate(first=Min("pk"), last=Max("pk"))
    return None if found["first"] is None else (to_json(found["first"]), to_json(found["last"]))


def select_page(
    rows: QuerySet[Any], *, columns: Sequence[str], first: Any, last: Any, after: Any, limit: int
) -> QuerySet[Any, tuple[Any, ...]]:
    """Return the query of the next rows up to the key `last`, as tuples: the primary key, then the columns.

    `after` is the key of the last row of the page before; None for the first page, which begins with the key `first`.
    """
    key = rows.model._meta.pk
    bounds = {"pk__lte": key.to_python(last)}
    bounds |= {"pk__gte": key.to_python(first)} if after is None else {"pk__gt": key.to_python(after)}
    return rows.filter(**bounds).order_by("pk").values_list("pk", *columns)[:limit]


def to_json(key: Any) -> int | str:
    """Return a primary key as JSON holds it; `to_python` of its field reads it again."""
    return key if type(key) is int else str(key)
