"""The columns of an export: the names for `values_list()`, and which of them cannot be columns.

Owns the refusals and their texts. Runs no query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP


def list_columns(rows: QuerySet[Any], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names for `values_list()`: these, or all columns of the model."""
    meta = rows.model._meta
    names = columns or [field.attname for field in meta.concrete_fields]
    return tuple(meta.pk.attname if name == "pk" else name for name in names)


def find_column_faults(rows: QuerySet[Any], columns: Sequence[str]) -> list[str]:
    """Return what is wrong with the columns, one text each; nothing if they are right."""
    if isinstance(columns, str):
        return [f"columns is {columns!r}: use a tuple, as ({columns!r},)."]
    faults = [
        f"columns name {name!r} twice: name it once." for name in dict.fromkeys(columns) if columns.count(name) > 1
    ]
    annotations = rows.query.annotations
    for name in columns:
        if name not in annotations and (relation := _find_many(rows, name)):
            faults.append(
                f"columns: {name!r} follows {relation!r}, which has many rows for one row of the collection. Export the other "
                "model with a column of this one, or annotate() an aggregate."
            )
    return faults


def _find_many(rows: QuerySet[Any], name: str) -> str:
    """Return the relation to many rows that a name follows; "" if there is none. Unknown names are left to the query."""
    model = rows.model
    for part in name.split(LOOKUP_SEP):
        try:
            field: Any = model._meta.pk if part == "pk" else model._meta.get_field(part)
        except FieldDoesNotExist:
            return ""
        if field.one_to_many or field.many_to_many:
            return part
        if not field.is_relation or field.related_model is None:
            return ""
        model = field.related_model
    return ""
