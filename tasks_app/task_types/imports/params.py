"""The parameters of an import: the file, and how it is read.

Owns their names. Must not read the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rest_framework import serializers

from tasks_app.record_files import DELIMITERS, ENCODINGS, FORMATS, ReadOptions
from tasks_app.task_types.task_file_field import TaskFileField

FILE: Final = "file"
_JSON_LINES_NAMES: Final = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")


class ImportParams(serializers.Serializer[Any]):
    """Subclass it to add parameters of your own."""

    file = TaskFileField()
    format = serializers.ChoiceField(choices=FORMATS, required=False)
    encoding = serializers.ChoiceField(choices=list(ENCODINGS), required=False)
    delimiter = serializers.ChoiceField(choices=list(DELIMITERS), required=False)


def get_options(params: Mapping[str, Any], *, file_name: str) -> ReadOptions:
    """Return how the file is read. Without a declared format its name decides."""
    named = "jsonl" if file_name.lower().endswith(_JSON_LINES_NAMES) else "csv"
    return ReadOptions(
        format=params.get("format") or named,
        encoding=params.get("encoding") or "",
        delimiter=params.get("delimiter") or "",
    )
