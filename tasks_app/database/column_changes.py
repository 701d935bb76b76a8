"""Changes many columns by one ALTER TABLE, for migrations and for the statements that the doctor prints.

Owns the SQL of such a statement, and the migration operation that runs it. One AlterField per column would copy the table
once per column. On SQLite nothing changes, because its columns always compare bytes. Must not know any model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState


def to_clauses(fields: Iterable[models.Field[Any, Any]], *, connection: BaseDatabaseWrapper) -> list[str]:
    """Return the clauses of an ALTER TABLE (MySQL, MariaDB) that give these columns their type and collation."""
    clauses = []
    for field in fields:
        parameters: dict[str, Any] = field.db_parameters(connection)  # type: ignore[assignment]
        collation = f" COLLATE {parameters['collation']}" if parameters.get("collation") else ""
        null = "NULL" if field.null else "NOT NULL"
        name = connection.ops.quote_name(field.column or "")
        clauses.append(f"MODIFY {name} {parameters['type']}{collation} {null}")
    return clauses


def to_statement(table: str, clauses: Sequence[str], *, connection: BaseDatabaseWrapper) -> str:
    """Return one statement with all clauses."""
    return f"ALTER TABLE {connection.ops.quote_name(table)} {', '.join(clauses)}"


class AlterFieldsTogether(Operation):
    """Alters type and collation of several fields of a model by one statement."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, *, model_name: str, fields: list[tuple[str, models.Field[Any, Any]]]) -> None:
        self.model_name = model_name
        self.fields = fields

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Give the model its new fields."""
        for name, field in self.fields:
            state.alter_field(app_label, self.model_name.lower(), name, field, preserve_default=True)

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Change the columns."""
        connection = schema_editor.connection
        model = to_state.apps.get_model(app_label, self.model_name)
        if connection.vendor != "mysql" or not self.allow_migrate_model(connection.alias, model):
            return
        clauses = to_clauses((model._meta.get_field(name) for name, _ in self.fields), connection=connection)
        with _without_read_timeout(connection):
            schema_editor.execute(to_statement(model._meta.db_table, clauses, connection=connection))

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Restore the columns."""
        self.database_forwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        """Return what `migrate --plan` shows."""
        return f"Alter fields {', '.join(name for name, _ in self.fields)} of {self.model_name} together"


@contextmanager
def _without_read_timeout(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Reconnect without read_timeout, because altering a large table may take much longer."""
    options = connection.settings_dict["OPTIONS"]
    if "read_timeout" not in options:
        yield
        return
    connection.close()
    connection.settings_dict["OPTIONS"] = {name: value for name, value in options.items() if name != "read_timeout"}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["OPTIONS"] = options
