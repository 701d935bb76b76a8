"""The header of a CSV file: its columns, its delimiter, and whether they are the expected ones.

Owns the rules of headers, which also hold for the keys of the first JSON record. Must not read files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks_app.record_files.errors import HeaderRefused, describe_name, list_names
from tasks_app.record_files.records import MOST_COLUMNS


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a file may have; those that it must have are `required`. Others that are accepted are `ignored`."""

    known: tuple[str, ...]
    required: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()


def check_header(names: Sequence[str], *, line: int, columns: Columns) -> None:
    """Raise HeaderRefused for a column that is empty, doubled, unknown or missing."""
    if len(names) > MOST_COLUMNS:
        raise HeaderRefused(f"the header has {len(names)} columns; at most {MOST_COLUMNS} are read", line=line)
    known = f"Known columns: {list_names(list(columns.known))}."
    first: dict[str, int] = {}
    for column, name in enumerate(names, start=1):
        if not name:
            raise HeaderRefused(f"the column has no name. {known}", line=line, column=column)
        if name in first:
            raise HeaderRefused(
                f"the column {describe_name(name)} occurs twice, first as column {first[name]}",
                line=line,
                column=column,
            )
        first[name] = column
        if name not in columns.known and name not in columns.ignored:
            raise HeaderRefused(f"unknown column {describe_name(name)}. {known}", line=line, column=column)
    if missing := [name for name in columns.known if name in columns.required and name not in first]:
        raise HeaderRefused(
            f"missing column{'s' if len(missing) > 1 else ''}: {list_names(missing)}. {known}", line=line
        )


def count_known(names: Sequence[str], columns: Columns) -> tuple[int, int]:
    """Return how well a header fits: the number of known columns, then of all."""
    return sum(name in columns.known for name in names), len(names)
