"""The rows of tables: read, restored, and compared between two runs of a task.

Owns which tables are watched, and which of their columns no run can repeat. Values are those of the driver, and foreign
keys are not checked meanwhile, so a restored row is the row that was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.apps import apps
from django.db import connections, models, router, transaction

from tasks_app.models import TaskCheckpoint

SHOWN_ROWS: Final = 5  # of each table in the text of an error
_SHOWN_CHARACTERS: Final = 300  # of a row
_OWN_APP: Final = "tasks_app"
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its columns."""

    name: str
    key: str  # the column of the primary key; "" if it has several
    has_generated_key: bool  # a row that a run inserts gets another key in each run
    columns: tuple[str, ...]
    compared: tuple[str, ...]


@dataclass(slots=True)
class TableRows:
    """The rows of the watched tables at one moment."""

    rows: dict[str, list[Row]] = field(default_factory=dict)


class WatchedTables:
    """The tables of some models, in the database of tasks."""

    def __init__(self, watched: Sequence[type[models.Model]] | None, *, ignore: Collection[str]) -> None:
        """`watched` None: all but the service's own. Raises ValueError for an ignored column that no table has."""
        self._alias = router.db_for_write(TaskCheckpoint)
        self._connection = connections[self._alias]
        known = set(self._connection.introspection.table_names())
        tables = [_describe(model, ignore) for model in self._list_models(watched)]
        self.tables = list({table.name: table for table in tables if table.name in known}.values())
        columns = {name for table in self.tables for name in table.columns}
        columns |= {f"{table.name}.{name}" for table in self.tables for name in table.columns}
        if unknown := sorted(set(ignore) - columns):
            raise ValueError(
                f"ignore names {', '.join(unknown)}, and no watched table has that column. Write a column, or table.column; "
                f"the tables are: {', '.join(table.name for table in self.tables)}."
            )

    def read(self) -> TableRows:
        """Return all rows."""
        return TableRows({table.name: self._read(table) for table in self.tables})

    def restore(self, before: TableRows) -> None:
        """Give each table the rows that it had."""
        changed = [table for table in self.tables if Counter(self._read(table)) != Counter(before.rows[table.name])]
        if not changed:
            return
        connection = self._connection
        with (
            connection.constraint_checks_disabled(),
            transaction.atomic(using=self._alias),
            connection.cursor() as cursor,
        ):
            for table in changed:
                name, columns = self._quote(table.name), self._list_columns(table)
                cursor.execute(f"DELETE FROM {name}")  # noqa: S608 (names of the models)
                if rows := before.rows[table.name]:
                    places = ", ".join(["%s"] * len(table.columns))
                    cursor.executemany(f"INSERT INTO {name} ({columns}) VALUES ({places})", rows)  # noqa: S608 (the same)

    def compare(self, *, before: TableRows, wanted: TableRows, found: TableRows) -> Iterator[str]:
        """Yield a line for each difference between what two runs have made of the rows `before`."""
        for table in self.tables:
            keys = {row.get(table.key) for row in _name_values(table, before.rows[table.name])}
            lines = list(_compare(table, keys, wanted.rows[table.name], found.rows[table.name]))
            yield from lines[:SHOWN_ROWS]
            if len(lines) > SHOWN_ROWS:
                yield f"{table.name}: and {len(lines) - SHOWN_ROWS} more differences"

    def _list_models(self, watched: Sequence[type[models.Model]] | None) -> list[type[models.Model]]:
        found = apps.get_models(include_auto_created=True) if watched is None else list(watched)
        if watched is None:
            found = [model for model in found if model._meta.app_label != _OWN_APP and model._meta.managed]
        return [model for model in found if not model._meta.proxy and router.db_for_write(model) == self._alias]

    def _read(self, table: Table) -> list[Row]:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT {self._list_columns(table)} FROM {self._quote(table.name)}")  # noqa: S608 (names of the models)
            return [tuple(row) for row in cursor.fetchall()]

    def _list_columns(self, table: Table) -> str:
        return ", ".join(self._quote(name) for name in table.columns)

    def _quote(self, name: str) -> str:
        return self._connection.ops.quote_name(name)


def _describe(model: type[models.Model], ignore: Collection[str]) -> Table:
    meta = model._meta
    stored = [each for each in meta.concrete_fields if not getattr(each, "generated", False) and each.column]
    return Table(
        name=meta.db_table,
        key=str(meta.pk.column or ""),
        has_generated_key=isinstance(meta.pk, models.AutoField) or meta.pk.has_default() or meta.pk.has_db_default(),
        columns=tuple(str(each.column) for each in stored),
        compared=tuple(
            str(each.column)
            for each in stored
            if not getattr(each, "auto_now", False)
            and not getattr(each, "auto_now_add", False)
            and each.column not in ignore
            and f"{meta.db_table}.{each.column}" not in ignore
        ),
    )


def _name_values(table: Table, rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in rows]


def _compare(table: Table, old_keys: set[Any], wanted: Sequence[Row], found: Sequence[Row]) -> Iterator[str]:
    """Yield the differences: rows with a lasting key by that key, others by what they hold."""
    has_keys = table.key in table.compared
    sides: list[tuple[dict[Any, Mapping[str, Any]], Counter[str]]] = []
    for rows in (wanted, found):
        keyed: dict[Any, Mapping[str, Any]] = {}
        others: Counter[str] = Counter()
        for row in _name_values(table, rows):
            if has_keys and (row[table.key] in old_keys or not table.has_generated_key):
                keyed[row[table.key]] = row
            else:
                names = [name for name in table.compared if name != table.key or not table.has_generated_key]
                others[_show({name: row[name] for name in names})] += 1
        sides.append((keyed, others))
    (wanted_keyed, wanted_others), (found_keyed, found_others) = sides
    for key in sorted(wanted_keyed.keys() | found_keyed.keys(), key=str):
        where = f"{table.name}: the row with {table.key} {key!r}"
        if key not in found_keyed:
            yield f"{where} is missing"
        elif key not in wanted_keyed:
            yield f"{where} is one too many: {_show(found_keyed[key]):.{_SHOWN_CHARACTERS}}"
        else:
            for name in table.compared:
                if found_keyed[key][name] != wanted_keyed[key][name]:
                    yield f"{where} has {name} {found_keyed[key][name]!r:.100} instead of {wanted_keyed[key][name]!r:.100}"
    for shown in (wanted_others - found_others).elements():
        yield f"{table.name}: a row is missing: {shown:.{_SHOWN_CHARACTERS}}"
    for shown in (found_others - wanted_others).elements():
        yield f"{table.name}: a row is one too many: {shown:.{_SHOWN_CHARACTERS}}"


def _show(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in row.items())
