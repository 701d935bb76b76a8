"""The two kinds of short text in a table: text that identifies something, and free text.

Owns how each is compared. IdentityField: byte by byte on every database, trailing spaces included. FreeTextField: by the
database's default collation, because nothing depends on it. A TextField is free text too. Must not know any model.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import IContains
from django.db.models.sql.compiler import SQLCompiler

# utf8mb4_bin exists on both, but ignores trailing spaces: 'ana' = 'ana '. MYSQL_COLLATION needs MySQL 8.0.17 or newer.
MARIADB_COLLATION: Final = "utf8mb4_nopad_bin"
MYSQL_COLLATION: Final = "utf8mb4_0900_bin"
SEARCH_COLLATION: Final = "utf8mb4_general_ci"  # exists on both


def get_identity_collation(connection: BaseDatabaseWrapper) -> str | None:
    """Return the collation that compares bytes; None on SQLite, which always does."""
    if connection.vendor != "mysql":
        return None
    return MARIADB_COLLATION if connection.mysql_is_mariadb else MYSQL_COLLATION  # type: ignore[attr-defined]


class IdentityField(models.CharField):
    """Text that is compared: owners, names, states. `ana`, `Ana`, `Aná` and `ana ` are four values."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Return the column's parameters with the collation of this connection's server."""
        return {**super().db_parameters(connection), "collation": get_identity_collation(connection)}


class FreeTextField(models.CharField):
    """Text that people read and search. The database's collation decides whether a search ignores case and accents."""

    def deconstruct(self) -> Any:
        """Return Django's own field for migrations, because the column is the same."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


@IdentityField.register_lookup
class SearchIdentity(IContains):
    """The lookup of the admin's search boxes, which ignore case in identity columns as in free text."""

    def process_lhs(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, lhs: Any = None) -> Any:
        """Return the column's SQL; on MySQL and MariaDB with a collation that ignores case."""
        sql, parameters = super().process_lhs(compiler, connection, lhs)
        return (f"{sql} COLLATE {SEARCH_COLLATION}" if connection.vendor == "mysql" else sql), parameters
