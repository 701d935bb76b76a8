"""The rows of an import: records that a serializer has accepted, or the reason why it has not.

Owns what an empty field means, and the text of a refusal. Must not read files or write rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tasks_app.domain import csv_cells
from tasks_app.domain.error_text import describe_value
from tasks_app.record_files import Columns, Fault, Record
from tasks_app.task_types.failed_record import FAILURE_COLUMNS, INCOMPLETE, RecordRefused

_LISTED: Final = 5  # faults of one row in the text of an error
_SHOWN_CHARACTERS: Final = 100  # of a value


class ImportRow(NamedTuple):
    """One record that is accepted."""

    values: dict[str, Any]  # validated, by the serializer's sources
    original: Mapping[str, Any]  # as the file has them, by column
    line: int  # of the file, from 1
    position: int  # of the record in the task, from 0


class RowRefused(RecordRefused):
    """A record of the file is not accepted: its place, the columns that are wrong, and its values."""

    def __init__(self, *, line: int, position: int, faults: list[Fault], original: Mapping[str, Any]) -> None:
        self.line, self.faults, self.original = line, tuple(faults), original
        more = len(faults) - _LISTED
        super().__init__(
            " ".join(str(fault) for fault in faults[:_LISTED]) + (f" And {more} more." if more > 0 else ""),
            position=position,
        )


class RowReader:
    """Makes rows of records whose columns are known. Does not validate their values."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._accepted = columns.ignored | set(columns.known)

    def read(self, record: Record, *, position: int, is_text: bool) -> ImportRow:
        """Return the row of a record. `is_text`: its values are the texts of a CSV file. Raises RowRefused."""
        if record.fault is not None:
            raise RowRefused(line=record.line, position=position, faults=[record.fault], original=record.values)
        if is_text and record.values.get(INCOMPLETE):
            faults = [_make_incomplete_fault(record)]
            raise RowRefused(line=record.line, position=position, faults=faults, original=record.values)
        original = self.get_original(record, is_text=is_text)
        if not is_text and not original.keys() <= self._accepted:
            unknown = [name for name in original if name not in self._accepted]
            shown = ", ".join(describe_value(name, characters=_SHOWN_CHARACTERS) for name in unknown[:_LISTED])
            faults = [Fault(f"unknown keys: {shown}", record.line)]
            raise RowRefused(line=record.line, position=position, faults=faults, original=original)
        try:
            values = self.validate(original, is_text=is_text)
        except ValidationError as error:
            faults = list(find_faults(error.detail, original=original, line=record.line, names=record.values))
            raise RowRefused(line=record.line, position=position, faults=faults, original=original) from error
        return ImportRow(values, original, record.line, position)

    def validate(self, original: Mapping[str, Any], *, is_text: bool) -> dict[str, Any]:
        """Return the values of a row. Raises ValidationError of DRF."""
        return {name: value for name, value in original.items() if name not in self.columns.ignored}

    def get_original(self, record: Record, *, is_text: bool) -> Mapping[str, Any]:
        """Return a record's values as the file has them; of a list of failed records, as their own file had them."""
        if not is_text or self.columns.ignored.isdisjoint(record.values):
            return record.values
        return {
            name: csv_cells.restore(value) for name, value in record.values.items() if name not in self.columns.ignored
        }


class RowSchema(RowReader):
    """Validates rows by one serializer. It is made once, and runs as the child of a ListSerializer does."""

    def __init__(self, serializer: serializers.Serializer[Any]) -> None:
        self._serializer = serializer
        fields: dict[str, Any] = {
            str(name): field
            for name, field in serializer.fields.items()
            if not field.read_only and not isinstance(field, serializers.HiddenField)
        }
        super().__init__(
            Columns(
                known=tuple(fields),
                required=frozenset(name for name, field in fields.items() if field.required),
                ignored=frozenset(FAILURE_COLUMNS),  # a corrected list of failed records is imported as it is
            )
        )
        not_blank = {name: field for name, field in fields.items() if not getattr(field, "allow_blank", False)}
        self._null_if_empty = {name for name, field in not_blank.items() if field.allow_null}
        self._left_out_if_empty = {
            name for name, field in not_blank.items() if not field.required and not field.allow_null
        }

    def validate(self, original: Mapping[str, Any], *, is_text: bool) -> dict[str, Any]:
        values = self._without_empty(original) if is_text and "" in original.values() else original
        valid: dict[str, Any] = self._serializer.run_validation(values)
        return valid

    def _without_empty(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: None if value == "" and name in self._null_if_empty else value
            for name, value in values.items()
            if value != "" or name not in self._left_out_if_empty
        }


def _make_incomplete_fault(record: Record) -> Fault:
    return Fault(
        "The list of failed records has not all of this record's values. Copy them from its own file, and empty the field "
        f"{INCOMPLETE}.",
        record.line,
        list(record.values).index(INCOMPLETE) + 1,
    )


def find_faults(
    detail: Any, *, original: Mapping[str, Any], line: int, names: Iterable[str] | None = None
) -> Iterator[Fault]:
    """Yield a fault for each message of a validation error, with the column and its value.

    `names` are all columns of the file, if the row has not the values of all.
    """
    columns = {name: number for number, name in enumerate(original if names is None else names, start=1)}
    for name, messages in detail.items() if isinstance(detail, Mapping) else [("", detail)]:
        text = " ".join(str(message) for message in messages) if isinstance(messages, list) else str(messages)
        if name not in columns or name not in original:
            yield Fault(f"{name}: {text}" if name and name != "non_field_errors" else text, line)
            continue
        value = describe_value(original[name], characters=_SHOWN_CHARACTERS)
        yield Fault(f"{name}: {text} The value is {value}.", line, columns[name])
