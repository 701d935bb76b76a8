"""The query parameters of the endpoints.

Owns the API's contract for them; request_serializers has the one for bodies and headers. Must not query anything.
"""

from __future__ import annotations

from typing import Any, Final

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tasks_app.api.request_fields import PriorityQueryField
from tasks_app.api.strict_validation import get_reader
from tasks_app.domain.task_status import STATUSES
from tasks_app.queues import queue_names

PAGE_TASKS: Final = 200


class StreamQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of GET /stream and GET /tasks/{id}/stream, for EventSource, which sends no headers."""

    ticket = serializers.CharField(required=False, max_length=64, trim_whitespace=False)
    lastEventId = serializers.CharField(required=False, max_length=18, trim_whitespace=False)


class ListQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of GET /tasks."""

    status = serializers.ChoiceField(choices=STATUSES, required=False, help_text="Only tasks of this status.")
    name = serializers.CharField(
        required=False, max_length=64, trim_whitespace=False, help_text="Only tasks of this type."
    )
    priority = PriorityQueryField(
        required=False,
        help_text="Only tasks of this priority: `high` and `low` include tasks with a number; a number matches itself only.",
    )
    queue = serializers.ChoiceField(choices=queue_names.QUEUES, required=False, help_text="Only tasks in this queue.")
    createdAfter = serializers.DateTimeField(required=False, help_text="Only tasks created at this time or later.")
    createdBefore = serializers.DateTimeField(required=False, help_text="Only tasks created before this time.")
    cursor = serializers.RegexField(
        r"^[0-9a-f]{32}$", required=False, trim_whitespace=False, help_text="From `next` of the page before."
    )
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=PAGE_TASKS, default=50, help_text="Tasks on a page."
    )


class NoQuerySerializer(serializers.Serializer[Any]):
    """Endpoints without query parameters."""


def read_query(query: Any, serializer_class: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the validated query parameters. Raises ValidationError for an unknown, invalid or repeated one."""
    if not query:
        return dict(get_reader(serializer_class).defaults)
    serializer = get_reader(serializer_class).serializer
    wrong: dict[str, Any] = {}
    for name, values in query.lists():
        if name not in serializer.fields:
            known = ", ".join(serializer.fields) or "none"
            wrong[name[:64]] = [f"Unknown query parameter. Known: {known}."]
        elif len(values) > 1:
            wrong[name] = ["Given more than once."]
    try:
        value: dict[str, Any] = serializer.run_validation(query.dict())
    except ValidationError as error:
        raise ValidationError({**error.detail, **wrong}) from None  # type: ignore[dict-item]
    if wrong:
        raise ValidationError(wrong)
    return value
