"""The serializers of files, and of what a task has left.

Owns the API's contract for them. Must not read a store.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from rest_framework import serializers

from tasks_app.api.response_serializers import OutputSerializer, TaskSerializer
from tasks_app.files.links import make_link
from tasks_app.files.uploads import FoundFile
from tasks_app.http import url_prefix
from tasks_app.models import TaskFile
from tasks_app.read_model.task_results import TaskResults


class FileSerializer(serializers.Serializer[Any]):
    """A file. Its bytes are at `/files/{id}/content`."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    size = serializers.IntegerField(min_value=0, help_text="Bytes.")
    sha256 = serializers.CharField(help_text="The SHA-256 of the bytes, in hexadecimal digits.")
    contentType = serializers.CharField()
    createdAt = serializers.DateTimeField()
    expiresAt = serializers.DateTimeField(
        allow_null=True,
        help_text="When the file is deleted; null while a task names it: it is kept as long as the task.",
    )


class ArtifactSerializer(serializers.Serializer[Any]):
    """A file that a task has left."""

    id = serializers.UUIDField(help_text="For `/files/{id}`.")
    name = serializers.CharField()
    size = serializers.IntegerField(min_value=0, help_text="Bytes.")
    sha256 = serializers.CharField(help_text="The SHA-256 of the bytes, in hexadecimal digits.")
    contentType = serializers.CharField()
    url = serializers.CharField(help_text="Where the file can be downloaded without a token, until `expiresAt`.")
    expiresAt = serializers.DateTimeField(help_text="When `url` expires. Request the task again for a new one.")


class RowChangeSerializer(OutputSerializer):
    """A row that a dry run has changed before it was rolled back."""

    position = serializers.IntegerField(min_value=0, help_text="Number of the record in the task, from 0.")
    line = serializers.IntegerField(min_value=0, allow_null=True, help_text="Line of the file, if there is one.")
    model = serializers.CharField(allow_blank=True, help_text="The row's model, such as `catalog.User`.")
    key = serializers.CharField(allow_blank=True, help_text="The row's primary key; empty if unknown.")
    before = serializers.DictField(allow_null=True, help_text="Values by column; null: the row was inserted.")
    after = serializers.DictField(allow_null=True, help_text="Values by column; null: the row was deleted.")
    valuesAreExact = serializers.BooleanField(
        source="values_are_exact", help_text="false: a value was shortened, changed or left out."
    )


class ShownTaskSerializer(TaskSerializer):
    """A task with what it has left."""

    # Not allow_null: that gives oneOf of "any value" and null, which null matches twice.
    result = serializers.JSONField(help_text="What the task type has returned; or null.")
    artifacts = ArtifactSerializer(
        many=True,
        allow_null=True,
        help_text="The files that the task has left; null while the database is unavailable.",
    )
    changes = RowChangeSerializer(
        many=True,
        allow_null=True,
        help_text="Of a dry run: the first 20 rows that it has changed. Otherwise null, also while the database is "
        "unavailable.",
    )


_change = RowChangeSerializer()


# While the database is unavailable.
UNKNOWN_RESULTS: Final[dict[str, Any]] = {"result": None, "artifacts": None, "changes": None}


def file_data(found: FoundFile) -> dict[str, Any]:
    """Return a file as its owner sees it."""
    row = found.row
    return {
        "id": row.id,
        "name": row.name,
        "size": row.size,
        "sha256": row.sha256,
        "contentType": row.content_type,
        "createdAt": row.created_at,
        "expiresAt": found.expires_at,
    }


def results_data(results: TaskResults) -> dict[str, Any]:
    """Return what a task has left, with new links to its files."""
    return {
        "result": results.result,
        "artifacts": [_artifact_data(row) for row in results.artifacts],
        "changes": None if results.changes is None else [_change.to_representation(each) for each in results.changes],
    }


def _artifact_data(row: TaskFile) -> dict[str, Any]:
    link, expires = make_link(row.id)
    return {
        "id": row.id,
        "name": row.name,
        "size": row.size,
        "sha256": row.sha256,
        "contentType": row.content_type,
        "url": url_prefix.add(f"/downloads/{link}"),
        "expiresAt": datetime.fromtimestamp(expires, tz=UTC),
    }
