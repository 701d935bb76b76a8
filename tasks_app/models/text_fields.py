"""The two kinds of short text in a table: text that identifies something, and free text.

Owns how each is compared. IdentityField: byte by byte on every database, trailing spaces included. FreeTextField: as
the database likes, for nothing depends on it. A TextField is free text too. Must not know any model.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import IContains
from django.db.models.sql.compiler import SQLCompiler

# utf8mb4_bin exists on both, but it pads: 'ana' = 'ana ' there. MySQL has its collation since 8.0.17.
MARIADB_COLLATION: Final = "utf8mb4_nopad_bin"
MYSQL_COLLATION: Final = "utf8mb4_0900_bin"
SEARCH_COLLATION: Final = "utf8mb4_general_ci"  # which both have


def get_identity_collation(connection: BaseDatabaseWrapper) -> str | None:
    """Return the collation that compares bytes; None on SQLite, which always does."""
    if connection.vendor != "mysql":
        return None
    return MARIADB_COLLATION if connection.mysql_is_mariadb else MYSQL_COLLATION  # type: ignore[attr-defined]


class IdentityField(models.CharField):
    """Text that is compared: who, which, of what state. `ana`, `Ana`, `Aná` and `ana ` are four values."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Return the column's parameters with the collation of this connection's server."""
        return {**super().db_parameters(connection), "collation": get_identity_collation(connection)}


class FreeTextField(models.CharField):
    """Text that people read. It is searched at most: whether a search minds case and accents is the database's affair."""

    def deconstruct(self) -> Any:
        """Return Django's own field for migrations: the column is no other."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


@IdentityField.register_lookup
class SearchIdentity(IContains):
    """The search boxes of the admin: they search, so they ignore case here as they do in free text."""

    def process_lhs(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, lhs: Any = None) -> Any:
        """Return the column, on MySQL and MariaDB compared without case."""
        sql, parameters = super().process_lhs(compiler, connection, lhs)
        return (f"{sql} COLLATE {SEARCH_COLLATION}" if connection.vendor == "mysql" else sql), parameters
