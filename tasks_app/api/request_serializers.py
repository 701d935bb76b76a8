"""What requests may say: bodies, query parameters and headers. The API's contract for input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Final

from django.conf import settings
from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from tasks_app.api.json_limits import PARAMS_LEVELS, BeyondLimits, measure
from tasks_app.api.strict_validation import get_reader
from tasks_app.domain import priorities
from tasks_app.errors import UnknownTaskType
from tasks_app.queues import enqueue
from tasks_app.queues.snapshot_stream import STATUSES
from tasks_app.services.change_tasks import NewTask
from tasks_app.task_types import get_task_type
from tasks_app.task_types.task_params import encode_params
from tasks_app.webhooks import callback_addresses

BULK_TASKS: Final = 1000
PAGE_TASKS: Final = 200
WAIT_SECONDS: Final = 60
_UNKNOWN_FIELDS: Final = 100  # that the errors of a bulk name
_PREFER_CHARACTERS: Final = 1024
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}\Z")


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ParamsField(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A JSON object, handed on as it is: the task type's own serializer reads it. `read_params` bounds its depth."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid": "Must be an object."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if type(data) is not dict:
            self.fail("invalid")
        return data  # type: ignore[no-any-return]

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


_PRIORITY_SCHEMA: Final = {
    "oneOf": [
        {"type": "string", "enum": list(priorities.NAMES)},
        {"type": "integer", "minimum": priorities.FIRST, "maximum": priorities.LAST},
    ]
}


@extend_schema_field(_PRIORITY_SCHEMA)
class PriorityField(serializers.Field[Any, Any, Any, Any]):
    """`high`, `low`, or a number from 1 to 10. No text of digits, no boolean; 5.0 is an integer in JSON Schema."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": "Must be high, low or an integer from {first} to {last}."
    }

    def to_internal_value(self, data: Any) -> str | int:
        if type(data) is float and data.is_integer():
            data = int(data)
        if not (priorities.is_urgency(data) or (type(data) is str and data in priorities.NAMES)):
            self.fail("invalid", first=priorities.FIRST, last=priorities.LAST)
        return data  # type: ignore[no-any-return]

    def to_representation(self, value: str | int) -> str | int:
        return value


class PriorityQueryField(PriorityField):
    """The same in a query, where a number is a text of its digits."""

    def to_internal_value(self, data: Any) -> str | int:
        return super().to_internal_value(priorities.read_priority(data))


_CALLBACK_PATTERN: Final = callback_addresses.public_pattern("|".join(map(str, settings.LONGTASKS.webhook_ports)))


@extend_schema_field({"type": "string", "maxLength": callback_addresses.CHARACTERS, "pattern": _CALLBACK_PATTERN})
class CallbackField(serializers.CharField):
    """An address to tell of the task's end. Where its host leads is looked at when it is told."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "off": "Webhooks are not set up here: WEBHOOK_SECRET is empty.",
        "address": "Must be http:// or https:// with the name of a public host, without user and fragment.",
        "port": "The port is {port}. It must be one of {ports}, which WEBHOOK_PORTS names.",
    }

    def to_internal_value(self, data: Any) -> str:
        url: str = super().to_internal_value(data)
        allow_private, ports = settings.LONGTASKS.webhook_allow_private, settings.LONGTASKS.webhook_ports
        if not callback_addresses.is_acceptable(url, allow_private=allow_private):
            self.fail("address")
        target = callback_addresses.parse(url)
        if not callback_addresses.is_allowed_port(target, allow_private=allow_private, ports=ports):
            self.fail("port", port=target.port, ports=", ".join(map(str, ports)))
        if not settings.LONGTASKS.webhook_secret:
            self.fail("off")
        return url


class NewTaskSerializer(serializers.Serializer[NewTask]):
    """A task to start. Only `name` is required; which `params` there are, the task type says."""

    name = serializers.CharField(max_length=64, trim_whitespace=False, help_text="The task type.")
    description = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=255,
        trim_whitespace=False,
        help_text="Free text, shown with the task.",
    )
    params = ParamsField(required=False, help_text="The task type's parameters.")
    callbackUrl = CallbackField(
        source="callback_url",
        required=False,
        max_length=callback_addresses.CHARACTERS,
        trim_whitespace=False,
        help_text="Gets the task by a signed POST when it has ended. A public host; redirects are not followed.",
    )
    priority = PriorityField(
        required=False,
        help_text="`high`, `low`, or a number from 1 (critical) to 10, 5 being normal: 1 to 3 are `high`. Workers take "
        "`high` first; other tasks wait in the queue of their type. Default: `low`.",
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Read the fields and, with the task type's serializer, the params; report the errors of both at once."""
        try:
            value: dict[str, Any] = super().to_internal_value(data)
            wrong: dict[str, Any] = {}
        except ValidationError as error:
            value, wrong = {}, dict(error.detail)  # type: ignore[arg-type]
        if "name" not in wrong and "params" not in wrong:
            try:
                value["params"] = read_params(name=data["name"], params=data.get("params", {}))
            except UnknownTaskType as error:
                wrong["name"] = [ErrorDetail(str(error)[:400], code="unknown")]
            except ValidationError as error:
                wrong["params"] = error.detail
        if wrong:
            raise ValidationError(wrong)
        return value


def read_params(*, name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the validated and encoded params of a task type, or raise UnknownTaskType or ValidationError."""
    try:
        measure(params, levels=PARAMS_LEVELS)
    except BeyondLimits as error:
        raise ValidationError(error.as_detail()) from None
    return encode_params(get_reader(get_task_type(name).params_serializer).read(params))


def read_new_task(data: Any) -> NewTask:
    """Return the task that a body of POST /tasks asks for."""
    return NewTask(**get_reader(NewTaskSerializer).read(data))


class BulkSerializer(serializers.Serializer[Any]):
    """Many tasks to start at once: all or none."""

    tasks = serializers.ListField(
        child=NewTaskSerializer(), min_length=1, max_length=BULK_TASKS, help_text="In the order of the answer."
    )


def read_bulk(data: Any) -> list[NewTask]:
    """Return the tasks that a body of POST /tasks/bulk asks for.

    Reads the items itself: so an item's errors carry its index, and its reading is as strict as that of one task.
    """
    if type(data) is not dict:
        raise ValidationError(["The body must be a JSON object."])
    unknown = islice((name for name in data if name != "tasks"), _UNKNOWN_FIELDS)
    wrong: dict[str, Any] = {name[:64]: ["Unknown field. Known: tasks."] for name in unknown}
    items = data.get("tasks")
    tasks: list[NewTask] = []
    if type(items) is not list or not 1 <= len(items) <= BULK_TASKS:
        wrong["tasks"] = [f"Must be a list of 1 to {BULK_TASKS} tasks."]
    else:
        wrong_items: dict[str, Any] = {}
        for index, item in enumerate(items):
            try:
                if type(item) is not dict:
                    raise ValidationError(["Must be an object."])
                tasks.append(read_new_task(item))
            except ValidationError as error:
                wrong_items[str(index)] = error.detail
        if wrong_items:
            wrong["tasks"] = wrong_items
    if wrong:
        raise ValidationError(wrong)
    return tasks


class PauseSerializer(serializers.Serializer[Any]):
    """Why a queue is paused."""

    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=255, default="", help_text="Shown to all."
    )


class StreamTicketSerializer(serializers.Serializer[Any]):
    """What a ticket for the live stream is for."""

    taskId = serializers.UUIDField(
        source="task_id",
        required=False,
        help_text="The one task that it may watch. Default: all that the token may see.",
    )


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
        help_text="Only tasks of this priority: `high` and `low` whichever number was given, a number only where it was.",
    )
    queue = serializers.ChoiceField(choices=enqueue.QUEUES, required=False, help_text="Only tasks in this queue.")
    createdAfter = serializers.DateTimeField(required=False, help_text="Only tasks created at this time or later.")
    createdBefore = serializers.DateTimeField(required=False, help_text="Only tasks created before this time.")
    cursor = serializers.RegexField(
        r"^[0-9a-f]{32}$", required=False, trim_whitespace=False, help_text="From `next` of the page before."
    )
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=PAGE_TASKS, default=50, help_text="Tasks on a page."
    )


class WaitQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of POST /tasks and GET /tasks/{id}."""

    wait = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=WAIT_SECONDS,
        help_text="Answer as soon as the task ends, after this many seconds at the latest.",
    )


class NoQuerySerializer(serializers.Serializer[Any]):
    """No query parameter at all."""


def read_query(query: Any, serializer_class: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the validated query parameters, or raise ValidationError for an unknown, wrong or repeated one."""
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


def read_idempotency_key(meta: dict[str, Any]) -> str:
    """Return the Idempotency-Key header, empty without one; raise ValidationError for an unusable one."""
    key: str | None = meta.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return ""
    if not _KEY.match(key):
        raise ValidationError({"Idempotency-Key": ["Must be 1 to 255 visible ASCII characters."]})
    return key


@dataclass(frozen=True, slots=True)
class WantedWait:
    """How long a request is ready to wait, and what Preference-Applied says of it: None where no header asked."""

    seconds: float = 0.0
    preference: str | None = None


def read_wait(meta: Mapping[str, Any], query: QueryDict) -> WantedWait:
    """Return the wait that `?wait=` asks for, which wins, or `Prefer: wait=S`; raise ValidationError for a wrong `?wait=`.

    A preference that is no number is passed over, as are other query parameters.
    """
    if "wait" in query:
        asked = QueryDict(mutable=True)
        asked.setlist("wait", query.getlist("wait"))
        return WantedWait(read_query(asked, WaitQuerySerializer)["wait"])
    for preference in meta.get("HTTP_PREFER", "")[:_PREFER_CHARACTERS].split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isdecimal():
            seconds = min(int(value[:6]), WAIT_SECONDS)
            return WantedWait(seconds, f"wait={seconds}")
    return WantedWait()
