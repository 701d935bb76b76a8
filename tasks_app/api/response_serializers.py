"""The serializers of responses: tasks, events, queues and problems.

Owns the API's contract for output. Must not read a store.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from tasks_app.api.params_schema import describe_params
from tasks_app.api.request_fields import MaxFailuresField, PriorityField
from tasks_app.domain import error_text
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.domain.task_status import STATUSES
from tasks_app.task_types import TaskType


class OutputSerializer(serializers.Serializer[Any]):
    """A serializer for output that leaves plain values to orjson, which writes datetimes and UUIDs itself.

    One shared instance serves all threads: it is filled once and then only read.
    """

    @cached_property
    def _plan(self) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]], tuple[Any, ...]]:
        plain = [field.source for field in self.fields.values() if field.source != "*"]
        # A field made of the whole instance gets a placeholder, to keep its place in the order.
        sources = [plain[0] if field.source == "*" else field.source for field in self.fields.values()]
        own = tuple((name, field) for name, field in self.fields.items() if field.source == "*")
        # A second source makes attrgetter return a tuple also for a single field.
        return tuple(self.fields), attrgetter(*map(str, sources), str(plain[0])), own

    def to_representation(self, instance: Any) -> dict[str, Any]:
        names, getter, own = self._plan
        data = dict(zip(names, getter(instance), strict=False))
        for name, field in own:
            data[name] = field.to_representation(instance)
        return data


class ProgressSerializer(OutputSerializer):
    """How far a task has come, in committed records."""

    done = serializers.IntegerField(min_value=0)
    total = serializers.IntegerField(min_value=0, allow_null=True, help_text="null: unknown until the task ends.")
    isEstimate = serializers.BooleanField(
        source="total_is_estimate", help_text="The total is an estimate; a finished task has the exact one."
    )


class TaskSerializer(OutputSerializer):
    """A task."""

    id = serializers.UUIDField()
    name = serializers.CharField(help_text="The task type.")
    description = serializers.CharField(allow_blank=True)
    params = serializers.DictField(help_text="The validated parameters, with defaults.")
    priority = PriorityField(source="given_priority", help_text="The priority from the request.")
    queue = serializers.CharField(source="priority", help_text="The task's queue.")
    status = serializers.ChoiceField(choices=STATUSES)
    counts = serializers.DictField(
        child=serializers.IntegerField(min_value=0),
        help_text="What the committed chunks have counted, such as rows by table.",
    )
    insertedRecords = serializers.DictField(
        source="counts", child=serializers.IntegerField(min_value=0), help_text="The same as `counts`."
    )
    progress = ProgressSerializer(source="*")
    failedRecords = serializers.IntegerField(
        source="failed_records",
        min_value=0,
        help_text="Records that failed and were left out; part of `progress.done`.",
    )
    maxFailures = MaxFailuresField(
        source="given_max_failures", help_text="How many records may fail, from the request."
    )
    dryRun = serializers.BooleanField(source="dry_run", help_text="Every chunk is rolled back: no row changes.")
    attempts = serializers.IntegerField(min_value=0)
    error = serializers.SerializerMethodField(help_text="Why the last attempt failed.")
    createdAt = serializers.DateTimeField(source="created_at")
    startedAt = serializers.DateTimeField(source="started_at", allow_null=True)
    endedAt = serializers.DateTimeField(source="ended_at", allow_null=True)
    nextAttemptAt = serializers.DateTimeField(
        source="next_attempt_at",
        allow_null=True,
        help_text="While `scheduled`: when the next attempt begins, or the first.",
    )

    startAt = serializers.DateTimeField(
        source="start_at",
        allow_null=True,
        help_text="The requested start. null: it was to begin at once, or was retried since.",
    )

    def get_error(self, instance: Snapshot) -> str | None:
        return summarize_error(instance.error)


class StartedTaskSerializer(TaskSerializer):
    """A task, in the response to a POST."""

    success = serializers.BooleanField(default=True)


class BulkAnswerSerializer(serializers.Serializer[Any]):
    """The started tasks, in the order of the request."""

    success = serializers.BooleanField()
    tasks = TaskSerializer(many=True)


@extend_schema_serializer(many=False)
class PageSerializer(serializers.Serializer[Any]):
    """A page of tasks, newest first."""

    tasks = TaskSerializer(many=True)
    next = serializers.CharField(
        allow_null=True,
        help_text="The address of the next page, also after a short or empty page; null on the last page.",
    )
    searchedTo = serializers.DateTimeField(
        allow_null=True,
        help_text="Set if the search took too long for one page: tasks created before this time are not searched yet; "
        "`next` continues. Otherwise null.",
    )


class EventSerializer(OutputSerializer):
    """One change of a task."""

    at = serializers.DateTimeField()
    status = serializers.ChoiceField(choices=STATUSES)
    cause = serializers.CharField(allow_blank=True, help_text="start, take, progress, yield, rescue, retry, …")
    worker = serializers.CharField(allow_blank=True)
    actor = serializers.CharField(allow_blank=True)
    attempt = serializers.IntegerField(min_value=0)
    done = serializers.IntegerField(min_value=0)
    error = serializers.SerializerMethodField()

    def get_error(self, instance: Any) -> str | None:
        return summarize_error(instance.error)


class HistorySerializer(serializers.Serializer[Any]):
    """The history of a task, oldest first."""

    events = EventSerializer(many=True)


class TicketSerializer(serializers.Serializer[Any]):
    """A ticket for the live stream."""

    ticket = serializers.CharField(help_text="For `?ticket=` of one request.")
    expiresAt = serializers.DateTimeField(help_text="The request must arrive before this time.")


class QueueSerializer(OutputSerializer):
    """A queue."""

    name = serializers.CharField()
    depth = serializers.IntegerField(min_value=0, help_text="Waiting tasks.")
    started = serializers.IntegerField(min_value=0, help_text="Running tasks.")
    oldestWaitSeconds = serializers.FloatField(
        source="oldest_wait_seconds", allow_null=True, help_text="Waiting time of the task at the head of the queue."
    )
    scheduled = serializers.IntegerField(
        min_value=0, help_text="Tasks that wait for their start or their next attempt."
    )
    endedPerSecond = serializers.FloatField(source="ended_per_second", help_text="Over the last seconds.")
    workers = serializers.SerializerMethodField(help_text="Live workers that serve the queue.")
    pausedAt = serializers.DateTimeField(source="paused_at", allow_null=True)
    pausedBy = serializers.CharField(
        source="paused_by", allow_blank=True, help_text="Empty for a token that is not of scope `admin`."
    )
    reason = serializers.CharField(allow_blank=True, help_text="Why it is paused.")
    suspended = serializers.BooleanField(
        source="is_suspended", help_text="True while `rq suspend` pauses all queues; `rq resume` ends it."
    )

    def get_workers(self, instance: Any) -> int:
        return len(instance.workers)


@extend_schema_serializer(many=False)
class QueuesSerializer(serializers.Serializer[Any]):
    """All queues, in the order in which workers serve them."""

    queues = QueueSerializer(many=True)


class TaskTypeSerializer(serializers.Serializer[Any]):
    """A task type."""

    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True, help_text="What its tasks do.")
    queue = serializers.CharField(help_text="Where its tasks wait, unless their priority is `high` or 1 to 3.")
    counts = serializers.ListField(
        child=serializers.CharField(), help_text="The names under which its tasks count, as far as they are declared."
    )
    insertedRecords = serializers.ListField(child=serializers.CharField(), help_text="The same as `counts`.")
    supportsDryRun = serializers.BooleanField(help_text="May its tasks be started with `dryRun`?")
    params = serializers.DictField(help_text="The parameters, as JSON Schema (2020-12).")


@extend_schema_serializer(many=False)
class TaskTypesSerializer(serializers.Serializer[Any]):
    """All task types, by name."""

    taskTypes = TaskTypeSerializer(many=True)


class HealthSerializer(serializers.Serializer[Any]):
    """The service is healthy; otherwise the response is a problem."""

    status = serializers.CharField(help_text="Always `ok`.")


class FieldErrorSerializer(serializers.Serializer[Any]):
    """The error of one field."""

    field = serializers.CharField(
        help_text="The path of the field, such as `params.numRecords`; `body` for the whole body."
    )
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem (RFC 9457)."""

    type = serializers.CharField(help_text="A stable URN to branch on, or about:blank.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = FieldErrorSerializer(  # type: ignore[assignment]
        many=True,
        required=False,
        help_text="With status 400: every invalid field. With 403 and 404: the parameters concerned.",
    )


_task, _event, _queue = TaskSerializer(), EventSerializer(), QueueSerializer()


def task_data(snapshot: Snapshot) -> dict[str, Any]:
    """Return a task as GET shows it."""
    return _task.to_representation(snapshot)


def started_data(snapshot: Snapshot) -> dict[str, Any]:
    """Return a task as a POST shows it."""
    return {"success": True, **_task.to_representation(snapshot)}


def event_data(event: Any) -> dict[str, Any]:
    """Return one event of a task's history."""
    return _event.to_representation(event)


def queue_data(queue: Any) -> dict[str, Any]:
    """Return one queue."""
    return _queue.to_representation(queue)


def task_type_data(task_type: TaskType) -> dict[str, Any]:
    """Return one task type."""
    return {
        "name": task_type.name,
        "description": task_type.description,
        "queue": task_type.queue,
        "counts": task_type.count_names,
        "insertedRecords": task_type.count_names,
        "supportsDryRun": task_type.supports_dry_run,
        "params": describe_params(task_type.params_serializer),
    }


def summarize_error(error: str | None) -> str | None:
    """Return the error without its traceback, which only the admin shows."""
    return error_text.summarize_error(error) if error else None
