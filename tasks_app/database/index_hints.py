"""Forces the index of a query if the database's own choice would take seconds.

Owns the SQL of these hints. Without a hint, MariaDB and MySQL intersect two indexes and sort, or read the primary key
backwards until enough rows match. Must not know any query.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.datastructures import BaseTable

AnyModel = TypeVar("AnyModel", bound=Model)
AnyRow = TypeVar("AnyRow")
PRIMARY: Final = "PRIMARY"  # the index of the primary key
# Both databases refuse a query that names a missing index.
_HINTS: Final = {"mysql": "FORCE INDEX ({})", "sqlite": "INDEXED BY {}"}


class _TableAlong(BaseTable):
    """The table in FROM, followed by the index hint."""

    def __init__(self, table_name: str, alias: str | None, index: str) -> None:
        super().__init__(table_name, alias)
        self._index = index

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        sql, parameters = super().as_sql(compiler, connection)
        name = self._index
        if name == PRIMARY and connection.vendor == "sqlite":
            name = f"sqlite_autoindex_{self.table_name}_1"  # SQLite's index of a primary key that is not an integer
        hint = _HINTS.get(connection.vendor)
        return (f"{sql} {hint.format(connection.ops.quote_name(name))}" if hint else sql), parameters


def along(rows: QuerySet[AnyModel, AnyRow], index: str) -> QuerySet[AnyModel, AnyRow]:
    """Return the same query with a hint to read along this index. For queries of one table."""
    hinted = rows.all()
    alias = hinted.query.get_initial_alias()
    table = hinted.query.alias_map[alias]
    hinted.query.alias_map[alias] = _TableAlong(str(table.table_name), table.table_alias, index)
    return hinted
