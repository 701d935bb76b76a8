"""The private parts of Django's QuerySet that tell what kind of query it is.

- `QuerySet._iterable_class`: whether it yields model instances or values. The public `query.values_select` is empty for
  a `values()` without arguments.
- `QuerySet._db`: the database that `using()` named. The public `db` also shows the router's choice.
tests/task_types/collections/test_django_internals.py fails when Django changes.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.db.models.query import ModelIterable


def yields_models(queryset: QuerySet[Any]) -> bool:
    """Return whether a QuerySet yields instances of its model."""
    return queryset._iterable_class is ModelIterable


def get_named_database(queryset: QuerySet[Any]) -> str | None:
    """Return the alias that `using()` was called with; None if it was not."""
    return queryset._db  # type: ignore[attr-defined, no-any-return]
