"""The parameter that names an uploaded file. Must not know whose file it is (services/authorization checks that)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework import serializers

from tasks_app.task_types.named_ids import find_ids, has_ids


class TaskFileField(serializers.UUIDField):
    """The id of one of the caller's files, from `POST /files`. `open_file(chunk.params[…])` opens it in a worker.

    As with `TaskIdField`, the owner is checked at the start: another caller's file, or one that has expired, is refused
    like one that does not exist. From then on the file is kept as long as the task. `manage.py task start --file` and
    the form in the admin store a file and put its id here; they need exactly one such field, not inside another one.
    """


def find_file_ids(
    params_serializer: type[serializers.Serializer[Any]], params: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of every file id that params name: `fileId`, `files.0`."""
    return find_ids(params_serializer, params, kind=TaskFileField)


def may_name_files(params_serializer: type[serializers.Serializer[Any]]) -> bool:
    """Return whether params of this serializer may name files."""
    return has_ids(params_serializer, kind=TaskFileField)


def list_file_fields(params_serializer: type[serializers.Serializer[Any]]) -> list[str]:
    """Return the names of the params that are files, without those inside lists and nested serializers."""
    return [str(name) for name, field in params_serializer().fields.items() if isinstance(field, TaskFileField)]
