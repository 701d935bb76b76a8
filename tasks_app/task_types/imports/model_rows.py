"""Rows of a model: a serializer of some of its fields, and the insert or update of accepted rows.

Owns what `model`, `fields` and `update_by` mean, also for a dry run. Must not read files.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
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
    alias = router.db_for_write(model)
    table: models.QuerySet[Any] = models.QuerySet(model, using=alias)
    if not update_by:
        table.bulk_create([model(**row.values) for row in rows], batch_size=_BATCH_ROWS)
        return
    set_by_django = {field.name for field in model._meta.concrete_fields if getattr(field, "auto_now", False)}
    for group in _group_rows(rows, update_by):
        objects = [model(**row.values) for row in group]
        names = set(group[0].values) - set(update_by)
        # Without a column to update, the named ones are set to the values that they have.
        fields = names | set_by_django if names else {name for name in update_by if not _is_primary_key(model, name)}
        if not fields:
            _insert_new(table, objects)
            continue
        options: dict[str, Any] = {"update_conflicts": True, "update_fields": sorted(fields)}
        if connections[alias].features.supports_update_conflicts_with_target:
            options["unique_fields"] = list(update_by)
        table.bulk_create(objects, batch_size=_BATCH_ROWS, **options)


def _group_rows(rows: Sequence[ImportRow], update_by: Sequence[str]) -> Iterator[list[ImportRow]]:
    """Yield rows with the same columns together, so that a column that a row leaves out is not updated.

    Rows that may have the same key stay in their order: the last one decides.
    """
    groups: dict[frozenset[str], list[ImportRow]] = {}
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        key = tuple(_fold(row.values.get(name)) for name in update_by)
        if key in seen:
            yield from groups.values()
            groups, seen = {}, set()
        seen.add(key)
        groups.setdefault(frozenset(row.values), []).append(row)
    yield from groups.values()


def _fold(value: Any) -> Any:
    """Return a text without what the collation of a database may ignore: case, accents, blanks at the end."""
    if not isinstance(value, str):
        return value
    letters = unicodedata.normalize("NFKD", value.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).rstrip()


def _is_primary_key(model: type[models.Model], name: str) -> bool:
    return name == model._meta.pk.name  # type: ignore[union-attr]


def _insert_new(table: models.QuerySet[Any], objects: Sequence[models.Model]) -> None:
    """Insert the objects whose primary key is new. IGNORE would ignore other errors too, such as a missing parent."""
    by_key = {each.pk: each for each in objects}
    existing = set(table.filter(pk__in=list(by_key)).values_list("pk", flat=True))
    table.bulk_create([each for key, each in by_key.items() if key not in existing], batch_size=_BATCH_ROWS)


def check_fields(model: type[models.Model], fields: Sequence[str]) -> None:
    """Raise ValueError unless these are columns of the model that can be written."""
    known = {field.name for field in model._meta.concrete_fields if field.editable and not field.auto_created}
    if unknown := [name for name in fields if name not in known]:
        raise ValueError(f"fields has {unknown[0]!r}; accepted: {', '.join(sorted(known))}")


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
