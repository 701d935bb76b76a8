"""The bodies and headers of requests.

Owns the API's contract for them; query_parameters has the one for queries. Must not start or change a task.
"""

from __future__ import annotations

import re
from datetime import datetime
from itertools import islice
from typing import Any, Final

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from tasks_app.api.flat_serializer import FlatSerializer
from tasks_app.api.request_fields import CallbackField, MaxFailuresField, ParamsField, PriorityField, StartAtField
from tasks_app.api.strict_validation import get_reader
from tasks_app.domain.json_limits import PARAMS_LEVELS, BeyondLimits, measure
from tasks_app.errors import UnknownTaskType
from tasks_app.services.start_tasks import NO_DRY_RUN, NewTask
from tasks_app.task_types import get_startable_type, get_task_type
from tasks_app.task_types.task_params import encode_params
from tasks_app.webhooks import callback_addresses

BULK_TASKS: Final = 1000
NOT_ISOLATED: Final = "Must be 0: this task type cannot leave out failing records."
VALIDATE_ONLY: Final = "Check the request as a start does, answer what would be started with 200, and store nothing."
_BULK_FIELDS: Final = ("tasks", "validateOnly")
_UNKNOWN_FIELDS: Final = 100  # the most that the errors of a bulk request name
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}\Z")


class NewTaskSerializer(FlatSerializer):
    """A task of many to start. Only `name` is required; the task type defines the `params`."""

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
        help_text="Receives the task in a signed POST when it has ended. A public host; redirects are not followed.",
    )
    priority = PriorityField(
        required=False,
        help_text="`high`, `low`, or a number from 1 (critical) to 10; 5 is normal, and 1 to 3 are `high`. Workers run "
        "`high` first; other tasks wait in the queue of their type. Default: `low`.",
    )
    maxFailures = MaxFailuresField(
        source="max_failures",
        required=False,
        help_text="How many records may fail: those are left out and listed, and the task continues. A number, or a share "
        'of the records done so far, such as `"0.5%"`. Only for task types that isolate failures. Default: 0.',
    )
    dryRun = serializers.BooleanField(
        source="dry_run",
        required=False,
        help_text="Run every chunk and roll it back: the task shows its counts, its failed records and its first changes, "
        "and no row changes. Only for task types with `supportsDryRun`. Default: false.",
    )

    startAt = StartAtField(
        source="start_at",
        required=False,
        help_text="When the task begins, with a time zone and at most a year ahead; until then it is `scheduled`. A time "
        "that has come: at once, which is the default.",
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
            else:
                task_type = get_task_type(data["name"])
                if value.get("max_failures") and not task_type.isolates_failures:
                    wrong["maxFailures"] = [ErrorDetail(NOT_ISOLATED, code="unsupported")]
                if value.get("dry_run") and not task_type.supports_dry_run:
                    wrong["dryRun"] = [ErrorDetail(NO_DRY_RUN, code="unsupported")]
        if wrong:
            raise ValidationError(wrong)
        return value


class StartSerializer(NewTaskSerializer):
    """A task to start, or to validate. Only `name` is required; the task type defines the `params`."""

    validateOnly = serializers.BooleanField(
        source="validate_only", required=False, help_text=f"{VALIDATE_ONLY} Default: false."
    )


def read_params(*, name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the validated and encoded params of a task type, or raise UnknownTaskType or ValidationError."""
    try:
        measure(params, levels=PARAMS_LEVELS)
    except BeyondLimits as error:
        raise ValidationError(error.as_detail()) from None
    return encode_params(get_reader(get_startable_type(name).params_serializer).read(params))


def read_new_task(data: Any) -> NewTask:
    """Return the task that an item of POST /tasks/bulk describes."""
    return NewTask(**get_reader(NewTaskSerializer).read(data))


def read_start(data: Any) -> tuple[NewTask, bool]:
    """Return the task that a body of POST /tasks describes, and whether it is only to be validated."""
    value = get_reader(StartSerializer).read(data)
    validate_only = bool(value.pop("validate_only", False))
    return NewTask(**value), validate_only


class BulkSerializer(serializers.Serializer[Any]):
    """Many tasks to start at once: all or none."""

    tasks = serializers.ListField(
        child=NewTaskSerializer(), min_length=1, max_length=BULK_TASKS, help_text="The response has the same order."
    )
    validateOnly = serializers.BooleanField(required=False, help_text=f"{VALIDATE_ONLY} Default: false.")


def read_bulk(data: Any) -> tuple[list[NewTask], bool]:
    """Return the tasks that a body of POST /tasks/bulk describes, and whether they are only to be validated.

    Reads each item as POST /tasks does, so that it is as strict, and puts the item's index before its errors.
    """
    if type(data) is not dict:
        raise ValidationError(["The body must be a JSON object."])
    unknown = islice((name for name in data if name not in _BULK_FIELDS), _UNKNOWN_FIELDS)
    wrong: dict[str, Any] = {name[:64]: [f"Unknown field. Known: {', '.join(_BULK_FIELDS)}."] for name in unknown}
    items, validate_only = data.get("tasks"), data.get("validateOnly", False)
    if type(validate_only) is not bool:
        wrong["validateOnly"] = ["Must be true or false."]
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
    return tasks, bool(validate_only)


class RescheduleSerializer(serializers.Serializer[Any]):
    """When a task begins that has not begun."""

    startAt = StartAtField(
        source="start_at", allow_null=True, help_text="The new start, as in POST /tasks; null: at once."
    )


def read_reschedule(data: Any) -> datetime | None:
    """Return the start that a body of POST /tasks/{id}/reschedule names; None: at once."""
    start_at: datetime | None = get_reader(RescheduleSerializer).read(data)["start_at"]
    return start_at


class PauseSerializer(serializers.Serializer[Any]):
    """Why a queue is paused."""

    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=255, default="", help_text="Shown to all."
    )


class StreamTicketSerializer(serializers.Serializer[Any]):
    """A ticket for the live stream."""

    taskId = serializers.UUIDField(
        source="task_id",
        required=False,
        help_text="The only task whose stream it opens. Default: all tasks that the token may see.",
    )


def read_idempotency_key(meta: dict[str, Any]) -> str:
    """Return the Idempotency-Key header; empty without one. Raises ValidationError if it is not valid."""
    key: str | None = meta.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return ""
    if not _KEY.match(key):
        raise ValidationError({"Idempotency-Key": ["Must be 1 to 255 visible ASCII characters."]})
    return key
