"""Rows of a model: a serializer of some of its fields, and the insert or update of accepted rows.

Owns what `model`, `fields` and `update_by` mean, also for a dry run. Must not read files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.db import connections, models, router
from rest_framework import serializers
from rest_framework.validators import UniqueValidator

from tasks_app.task_types.imports.rows import ImportRow
from tasks_app.task_types.row_changes import RowChange

_BATCH_ROWS: Final = 2000  # rows of one INSERT


def make_serializer(model: type[models.Model], fields: Sequence[str]) -> type[serializers.Serializer[Any]]:
    """Return a serializer of these fields of a model, without validators that query the database for each row."""

    class ModelRow(serializers.ModelSerializer[Any]):
        class Meta:
            validators: Sequence[Any] = ()

        def get_fields(self) -> dict[str, Any]:
            made = super().get_fields()
            for field in made.values():
                field.validators = [each for each in field.validators if not isinstance(each, UniqueValidator)]
            return made

    ModelRow.Meta.model = model  # type: ignore[attr-defined]
    ModelRow.Meta.fields = tuple(fields)  # type: ignore[attr-defined]
    return ModelRow


def write_rows(model: type[models.Model], rows: Sequence[ImportRow], *, update_by: Sequence[str]) -> None:
    """Insert the rows; with `update_by`, update those that exist. In the caller's transaction."""
    objects = [model(**row.values) for row in rows]
    if not objects:
        return
    table: models.QuerySet[Any] = models.QuerySet(model, using=router.db_for_write(model))
    if not update_by:
        table.bulk_create(objects, batch_size=_BATCH_ROWS)
        return
    names = {name for row in rows for name in row.values} - set(update_by)
    options: dict[str, Any] = {"update_conflicts": True, "update_fields": sorted(names)} if names else {}
    if not names:
        options = {"ignore_conflicts": True}
    elif connections[router.db_for_write(model)].features.supports_update_conflicts_with_target:
        options["unique_fields"] = list(update_by)
    table.bulk_create(objects, batch_size=_BATCH_ROWS, **options)


def list_changes(
    rows: Sequence[ImportRow], *, start: int, model: type[models.Model] | None, update_by: Sequence[str]
) -> list[RowChange]:
    """Return the changes that rows will make, before they are written: their values, and those of a row to update.

    One query for each row, if there may be one to update. `start` is the first record of the chunk.
    """
    changes = []
    for row in rows:
        found = _find_existing(model, row, update_by) if model is not None and update_by else None
        changes.append(
            RowChange(
                None if found is None else {name: getattr(found, name) for name in row.values},
                dict(row.values),
                model="" if model is None else model._meta.label,
                key="" if found is None else found.pk,
                line=row.line,
                offset=row.position - start,
            )
        )
    return changes


def _find_existing(model: type[models.Model], row: ImportRow, update_by: Sequence[str]) -> models.Model | None:
    table: models.QuerySet[Any] = models.QuerySet(model, using=router.db_for_write(model))
    wanted = {name: row.values[name] for name in update_by if name in row.values}
    return table.filter(**wanted).first() if len(wanted) == len(update_by) else None


def check_update_by(model: type[models.Model], update_by: Sequence[str]) -> None:
    """Raise ValueError unless these are the fields of a unique field or constraint of the model."""
    meta = model._meta
    unique: list[tuple[str, ...]] = [(field.name,) for field in meta.concrete_fields if field.unique]
    unique += [tuple(names) for names in meta.unique_together]
    unique += [
        tuple(constraint.fields)
        for constraint in meta.constraints
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields and constraint.condition is None
    ]
    if set(update_by) not in [set(names) for names in unique]:
        known = "; ".join(", ".join(names) for names in unique)
        raise ValueError(f"update_by is {tuple(update_by)!r}; accepted: the fields of a unique constraint: {known}")
