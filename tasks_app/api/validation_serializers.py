"""The answers to starts that are only validated: the tasks as they would be started.

Owns the API's contract for them. Must not read a store.
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from tasks_app.api.request_fields import MaxFailuresField, PriorityField
from tasks_app.api.response_serializers import OutputSerializer, ProgressSerializer
from tasks_app.domain.task_snapshot import Snapshot


class ValidTaskSerializer(OutputSerializer):
    """A task that would be started."""

    name = serializers.CharField(help_text="The task type.")
    description = serializers.CharField(allow_blank=True)
    params = serializers.DictField(help_text="The validated parameters, with defaults.")
    priority = PriorityField(source="given_priority")
    queue = serializers.CharField(source="priority", help_text="Where it would wait.")
    progress = ProgressSerializer(source="*")
    maxFailures = MaxFailuresField(source="given_max_failures")
    dryRun = serializers.BooleanField(source="dry_run")
    startAt = serializers.DateTimeField(source="start_at", allow_null=True, help_text="null: it would begin at once.")
    callbackUrl = serializers.CharField(source="callback_url", allow_blank=True)


class ValidationAnswerSerializer(ValidTaskSerializer):
    """A task that would be started, in the response to a POST."""

    success = serializers.BooleanField()
    validateOnly = serializers.BooleanField(help_text="Always true: nothing was started or stored.")


class BulkValidationAnswerSerializer(serializers.Serializer[Any]):
    """The tasks that would be started, in the order of the request."""

    success = serializers.BooleanField()
    validateOnly = serializers.BooleanField(help_text="Always true: nothing was started or stored.")
    tasks = ValidTaskSerializer(many=True)


_task = ValidTaskSerializer()
_MARKS = {"success": True, "validateOnly": True}


def validated_data(snapshot: Snapshot) -> dict[str, Any]:
    """Return the answer for one task."""
    return {**_MARKS, **_task.to_representation(snapshot)}


def bulk_validated_data(snapshots: list[Snapshot]) -> dict[str, Any]:
    """Return the answer for many tasks."""
    return {**_MARKS, "tasks": [_task.to_representation(snapshot) for snapshot in snapshots]}
