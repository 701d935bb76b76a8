"""What a migration may do while the previous version still works on the same database.

Owns the rules and the messages of their violations. Must not touch a database.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db.migrations.migration import Migration
from django.db.migrations.operations import AddField, AddIndex, AlterModelOptions, CreateModel, RemoveIndex
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

MARK = "why_previous_version_works"  # an attribute of a Migration: one sentence that justifies what these rules refuse


def find_faults(migration: Migration) -> list[str]:
    """Return what would break the previous version; nothing if the migration declares why it does not."""
    if getattr(migration, MARK, ""):
        return []
    return [f"{migration.app_label}.{migration.name}: {fault}" for fault in _list_faults(migration)]


def _list_faults(migration: Migration) -> Iterator[str]:
    new_models = {each.name.lower() for each in migration.operations if isinstance(each, CreateModel)}
    for operation in migration.operations:
        if getattr(operation, "model_name", "").lower() in new_models:
            continue  # the previous version does not know the table
        if fault := _find_fault(operation):
            yield f"{operation.describe()}: {fault}"


def _find_fault(operation: Operation) -> str:
    if isinstance(operation, AddField):
        field = operation.field
        if field.many_to_many or field.null or field.db_default is not NOT_PROVIDED:
            return ""
        return "the previous version inserts rows without this column: give it null=True or a db_default"
    if isinstance(operation, CreateModel | AddIndex | RemoveIndex | AlterModelOptions):
        return ""
    return (
        f"{type(operation).__name__} may change what the previous version relies on. Do it one version after the last "
        f"code that needs the old shape, or say in the migration's {MARK} why that version still works"
    )
