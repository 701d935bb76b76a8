"""The base class of imports whose rows a Resource of django-import-export validates and saves.

Owns how a chunk passes a Resource inside the chunk's transaction, and which of its rows is refused. Needs the optional
package (the extra import-export); nothing else of the product imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from django.core.exceptions import NON_FIELD_ERRORS, ImproperlyConfigured, ObjectDoesNotExist, ValidationError
from django.db import DEFAULT_DB_ALIAS, DataError, IntegrityError

from tasks_app.domain.error_text import error_line
from tasks_app.errors import HopelessError
from tasks_app.record_files import Columns
from tasks_app.task_types.failed_record import FAILURE_COLUMNS
from tasks_app.task_types.imports.import_type import Import, ImportRun
from tasks_app.task_types.imports.rows import ImportRow, RowReader, RowRefused, find_faults

try:
    from import_export.resources import Resource
    from tablib import Dataset
except ImportError as error:
    raise ImproperlyConfigured(
        f"ResourceImport needs django-import-export ({error}): install the extra import-export (docs/install.md)."
    ) from error

# Of one row. All other errors are those of the database, the machine or the code: the engine gets them as they are.
_OF_A_ROW: Final = (
    ValidationError,
    IntegrityError,
    DataError,
    ObjectDoesNotExist,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
)
# Names of the counts by those of import_export.results.RowResult.
_COUNTS: Final = {"new": "created", "update": "updated", "delete": "deleted", "skip": "skipped"}


class ResourceImport(Import):
    """A task type that passes each record to a Resource (docs/imports.md). Subclass it with a `resource_class`."""

    count_names: ClassVar[tuple[str, ...]] = tuple(_COUNTS.values())
    max_limit = 5_000  # the Resource keeps a result for each row of a chunk
    resource_class: ClassVar[type[Resource]]
    extra_columns: ClassVar[tuple[str, ...]] = ()  # that the Resource's own methods read, beside those of its fields

    def make_resource(self, params: Mapping[str, Any]) -> Resource:
        """Return the Resource of one chunk."""
        return self.resource_class()

    def check_declaration(self) -> None:
        if not issubclass(getattr(self, "resource_class", type(None)), Resource):
            raise ValueError(f"task type {type(self).__qualname__}: set resource_class to a Resource.")
        alias = self.resource_class().get_db_connection_name()
        if alias != DEFAULT_DB_ALIAS:
            raise ValueError(
                f"task type {type(self).__qualname__}: its Resource writes to the database {alias!r}; accepted: "
                f"{DEFAULT_DB_ALIAS!r}, because its rows must commit together with the position in the file."
            )

    def make_reader(self) -> RowReader:
        resource = self.resource_class()
        fields = resource.fields
        columns = [field.column_name for field in resource.get_import_fields() if not field.readonly]
        ids = resource.get_import_id_fields()
        # As the Resource itself: a file without the default id has new rows only.
        required = [] if ids == ["id"] else [fields[name].column_name for name in ids if name in fields]
        known = tuple(dict.fromkeys([*columns, *required, *self.extra_columns]))
        return RowReader(Columns(known=known, required=frozenset(required), ignored=frozenset(FAILURE_COLUMNS)))

    def process_rows(self, rows: Sequence[ImportRow], run: ImportRun) -> tuple[int, Mapping[str, int]]:
        """Pass rows to the Resource. If it refuses one, only those before it, so that the next chunk begins with it.

        Raises RowRefused if it refuses the first one, and an error that cannot be attributed to a row.
        """
        resource = self.make_resource(run.params)
        result = self._import(resource, rows, run)
        refused = _find_refused(resource, result, rows)
        if refused is not None:
            number, reason = refused
            if not number:
                raise reason
            # The Resource has rolled back all of them.
            rows = rows[:number]
            resource = self.make_resource(run.params)
            result = self._import(resource, rows, run)
            if again := _find_refused(resource, result, rows):
                raise again[1]
        return len(rows), {ours: result.totals.get(theirs, 0) for theirs, ours in _COUNTS.items()}

    @staticmethod
    def _import(resource: Resource, rows: Sequence[ImportRow], run: ImportRun) -> Any:
        headers = list(dict.fromkeys(name for row in rows for name in row.values))
        dataset = Dataset(*([row.values.get(name, "") for name in headers] for row in rows), headers=headers)
        result = resource.import_data(
            dataset,
            dry_run=run.is_dry_run,
            use_transactions=True,  # a savepoint; it is rolled back after an error
            rollback_on_validation_errors=True,
            task_id=run.task_id,
            owner=run.owner,
        )
        if result.total_rows != len(rows):
            raise HopelessError(
                f"The Resource has made {result.total_rows} rows of {len(rows)} records in before_import: an import needs "
                "one row for each record. Skip rows in skip_row instead."
            )
        return result


def _find_refused(resource: Resource, result: Any, rows: Sequence[ImportRow]) -> tuple[int, RowRefused] | None:
    """Return the number and the refusal of the first row that has an error. Raises an error that is of no row.

    In bulk mode the errors of the database are of no row.
    """
    for base in result.base_errors:
        raise base.error
    found = {row.number: row.errors[0].error for row in result.error_rows}
    found |= {row.number: row.error for row in result.invalid_rows}
    if not found:
        return None
    for number in sorted(found):
        if not isinstance(found[number], _OF_A_ROW):
            raise found[number]
    number = min(found)
    row, error = rows[number - 1], found[number]
    detail = _by_column(resource, error) if isinstance(error, ValidationError) else _find_column(resource, row, error)
    faults = list(find_faults(detail, original=row.original, line=row.line))
    refused = RowRefused(line=row.line, position=row.position, faults=faults, original=row.original)
    refused.__cause__ = error
    return number - 1, refused


def _find_column(resource: Resource, row: ImportRow, error: BaseException) -> Any:
    """Return the message of an error by the column whose value raises it; without a column if none does."""
    line = error_line(error)
    if isinstance(error, (ArithmeticError, TypeError, LookupError, ObjectDoesNotExist)):
        for field in resource.get_import_fields():
            try:
                if field.column_name in row.values:
                    field.clean(row.values)
            except type(error):
                line = "A valid number is required." if isinstance(error, ArithmeticError) else line
                return {field.column_name: [line]}
    return line


def _by_column(resource: Resource, error: ValidationError) -> Any:
    """Return the messages of an error by the columns of the file; it has them by the attributes of the model."""
    if not hasattr(error, "error_dict"):
        return list(error.messages)
    columns = {field.attribute: field.column_name for field in resource.get_import_fields()}
    return {
        columns.get(name, "" if name == NON_FIELD_ERRORS else name): messages
        for name, messages in error.message_dict.items()
    }
