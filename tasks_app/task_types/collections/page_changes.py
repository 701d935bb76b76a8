"""The rows of a page that differ after a chunk of a dry run: the table is read before and after, in its transaction.

Owns the comparison. Must not know what was done with the page.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import router
from django.db.models import Model, QuerySet

from tasks_app.task_types.row_changes import RowChange

Describe = Callable[[Any], Mapping[str, Any]]


class PageChanges:
    """A page of rows as it was before a chunk has processed it."""

    def __init__(self, rows: Sequence[Model], *, describe: Describe) -> None:
        """Remember the rows. `describe` decides which values are shown, and how (`describe_row`)."""
        self._model = type(rows[0])
        self._describe = describe
        # Copies, because the chunk may change the instances. They keep annotations, which `describe` may read.
        self._copies = [(row.pk, copy.copy(row)) for row in rows]
        self._before = self._read()

    def list_changes(self, *, most: int) -> list[RowChange]:
        """Return the first rows that were changed or deleted since, in the order of the page."""
        after = self._read()
        changes: list[RowChange] = []
        for offset, (key, row) in enumerate(self._copies):
            if len(changes) >= most:
                break
            old, new = self._before.get(key), after.get(key)
            if old is None or old == new:
                continue
            before, now = self._show(row, old), None if new is None else self._show(row, new)
            if now is not None:
                names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
                before = {name: before.get(name) for name in names}
                now = {name: now.get(name) for name in names}
            changes.append(RowChange(before, now, model=self._model._meta.label, key=key, offset=offset))
        return changes

    def _read(self) -> dict[Any, dict[str, Any]]:
        """Return the values of the rows that the table has now, whatever the model's managers leave out."""
        rows: QuerySet[Any] = QuerySet(self._model, using=router.db_for_write(self._model))
        names = [field.attname for field in self._model._meta.concrete_fields]
        found = rows.filter(pk__in=[key for key, _ in self._copies])
        return {row.pk: {name: getattr(row, name) for name in names} for row in found}

    def _show(self, row: Any, values: Mapping[str, Any]) -> dict[str, Any]:
        shown = copy.copy(row)
        for name, value in values.items():
            setattr(shown, name, value)
        return dict(self._describe(shown))
