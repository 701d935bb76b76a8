"""What a collection must be: a plain QuerySet of a model in the database of the checkpoints.

Owns the refusals and their texts. Runs no query.
"""

from __future__ import annotations

from typing import Any

from django.db import router
from django.db.models import QuerySet

from tasks_app.domain.error_text import describe_value
from tasks_app.models import TaskCheckpoint
from tasks_app.task_types.collections.django_internals import get_named_database, yields_models


def find_faults(queryset: object) -> list[str]:
    """Return what is wrong with a collection, one text each that also says what to do; nothing if it is right."""
    if not isinstance(queryset, QuerySet):
        kind = describe_value(queryset)
        return [f"collection() returned {kind}: return a QuerySet, as Customer.objects.filter(…)."]
    query: Any = queryset.query
    faults = []
    if query.combinator:
        faults.append(f"collection() is a {query.combinator}(): use one filter() with Q objects, or two task types.")
    if query.is_sliced:
        faults.append("collection() is a slice: remove [ ]; the engine reads page by page up to the last key.")
    if query.order_by or query.extra_order_by:
        faults.append("collection() has an order_by(): remove it; rows are read by cursor_fields.")
    if not query.standard_ordering:
        faults.append("collection() has a reverse(): remove it; rows are read from the lowest key to the highest.")
    if query.distinct:
        faults.append("collection() is distinct(): remove it; a row that a join repeats is processed once anyway.")
    if not yields_models(queryset):
        faults.append("collection() has values() or values_list(): remove it; process() gets instances, use only().")
    if query.select_for_update:
        faults.append("collection() has select_for_update(): remove it, and set lock_rows.")
    used = get_named_database(queryset) or router.db_for_write(queryset.model)
    if used != (own := router.db_for_write(TaskCheckpoint)):
        faults.append(
            f"collection() uses the database {used!r}: its rows would not commit together with the checkpoint, which is in "
            f"{own!r}. Use a model of that database."
        )
    return faults
