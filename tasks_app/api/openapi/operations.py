"""The descriptions of the operations in the OpenAPI document: one decorator for each endpoint.

Owns their wording. Must not change behaviour: the serializers define what the endpoints accept and return.
"""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from tasks_app.api import (
    file_serializers,
    prefer_wait,
    query_parameters,
    request_serializers,
    response_serializers,
    validation_serializers,
)
from tasks_app.api.authentication import PUBLIC
from tasks_app.api.openapi.examples import (
    EVENT,
    FINISHED_TASK,
    SCHEDULED_TASK,
    SHOWN_TASK,
    STARTED_TASK,
    TASK,
    TASK_ID,
    TASK_TYPE,
    VALID_TASK,
    VALIDATED_TASK,
)
from tasks_app.api.openapi.operation_parts import (
    BODY_STATUSES,
    ID,
    IDEMPOTENCY_KEY,
    LOCATION,
    PREFER,
    RETRY_AFTER,
    SOURCE,
    describe,
    ok,
    operation,
    problems,
    request_header,
    response_header,
)
from tasks_app.auth.api_tokens import WRITE

start = operation(
    "startTask",
    "tasks",
    "Start a task",
    needs=WRITE,
    description="Accepts the task and responds at once; a worker runs the task later. With `wait`, the response comes when "
    "the task ends, after that time, or at once when too many requests wait. The status is 201 even if the task failed.",
    parameters=[
        prefer_wait.WaitQuerySerializer,
        PREFER,
        *IDEMPOTENCY_KEY,
        LOCATION,
        response_header("Preference-Applied", "Present if `Prefer: wait` was applied.", 201),
        RETRY_AFTER,
    ],
    request={"application/json": request_serializers.StartSerializer},
    examples=[
        OpenApiExample(
            "upload",
            value={"name": "upload", "description": "user upload", "params": {"numRecords": 100}, "priority": "low"},
            request_only=True,
        ),
        OpenApiExample(
            "later",
            value={"name": "upload", "params": {"numRecords": 100}, "startAt": "2026-02-01T03:00:00+01:00"},
            request_only=True,
        ),
    ],
    responses={
        200: ok(
            validation_serializers.ValidationAnswerSerializer,
            "Valid; nothing was started (`validateOnly`).",
            VALIDATED_TASK,
        ),
        201: ok(response_serializers.StartedTaskSerializer, "Accepted.", STARTED_TASK, 201),
        **problems(400, 404, 406, *BODY_STATUSES, 422, 503),
    },
)
bulk = operation(
    "startTasks",
    "tasks",
    "Start many tasks",
    needs=WRITE,
    description="Starts up to 1,000 tasks, all or none. The body may have at most 4 MiB.",
    parameters=[*IDEMPOTENCY_KEY, RETRY_AFTER],
    request={"application/json": request_serializers.BulkSerializer},
    examples=[OpenApiExample("two", value={"tasks": [{"name": "upload"}, {"name": "upload"}]}, request_only=True)],
    responses={
        200: ok(
            validation_serializers.BulkValidationAnswerSerializer,
            "Valid; nothing was started (`validateOnly`).",
            {"success": True, "validateOnly": True, "tasks": [VALID_TASK]},
        ),
        201: ok(response_serializers.BulkAnswerSerializer, "All accepted.", {"success": True, "tasks": [TASK]}, 201),
        **problems(400, 404, 406, *BODY_STATUSES, 422, 503),
    },
)
list_ = operation(
    "listTasks",
    "tasks",
    "List tasks, newest first",
    description="Applies all filters together, in bounded time: a page may be short or empty and still have a `next`; "
    "follow `next` until it is null.",
    parameters=[query_parameters.ListQuerySerializer, RETRY_AFTER],
    responses={
        200: ok(
            response_serializers.PageSerializer, "A page.", {"tasks": [FINISHED_TASK], "next": None, "searchedTo": None}
        ),
        **problems(400, 406, 503),
    },
)
show = operation(
    "showTask",
    "tasks",
    "Show a task",
    description="With `wait`, the response comes when the task ends, after that time, or at once when too many requests wait.",
    parameters=[
        prefer_wait.WaitQuerySerializer,
        ID,
        PREFER,
        request_header("If-None-Match", "The ETag of an earlier response."),
        response_header("ETag", "Identifies this version of the response.", 200, 304),
        SOURCE,
        response_header("Preference-Applied", "Present if `Prefer: wait` was applied.", 200, 304),
        response_header(
            "Retry-After",
            "Seconds to wait before the next request; absent for an ended task.",
            200,
            304,
            429,
            503,
            kind=int,
        ),
    ],
    responses={
        200: ok(file_serializers.ShownTaskSerializer, "The task.", SHOWN_TASK),
        304: OpenApiResponse(description="Not changed since the response that If-None-Match identifies."),
        **problems(400, 404, 406, 503),
    },
)
cancel = operation(
    "cancelTask",
    "tasks",
    "Cancel a task",
    needs=WRITE,
    description="Committed chunks remain; the running chunk is rolled back.",
    parameters=[ID, RETRY_AFTER],
    request=None,
    responses={
        200: ok(
            response_serializers.StartedTaskSerializer, "The task is canceled.", {**STARTED_TASK, "status": "canceled"}
        ),
        202: ok(
            response_serializers.StartedTaskSerializer,
            "The task is stopping.",
            {**STARTED_TASK, "status": "started"},
            202,
        ),
        **problems(404, 406, 409, 415, 503),
    },
)
retry = operation(
    "retryTask",
    "tasks",
    "Retry a failed, stopped or canceled task",
    needs=WRITE,
    description="The task resumes from its checkpoint: nothing is inserted twice.",
    parameters=[ID, LOCATION, RETRY_AFTER],
    request=None,
    responses={
        202: ok(response_serializers.StartedTaskSerializer, "The task is queued again.", STARTED_TASK, 202),
        **problems(404, 406, 409, 415, 503),
    },
)
reschedule = operation(
    "rescheduleTask",
    "tasks",
    "Change when a task begins",
    needs=WRITE,
    description="For a task that has not begun: one that waits for its `startAt`, or in its queue. 409 once it has begun.",
    parameters=[ID, RETRY_AFTER],
    request={"application/json": request_serializers.RescheduleSerializer},
    examples=[
        OpenApiExample("later", value={"startAt": "2026-02-01T03:00:00+01:00"}, request_only=True),
        OpenApiExample("at once", value={"startAt": None}, request_only=True),
    ],
    responses={
        200: ok(
            response_serializers.StartedTaskSerializer,
            "The task, `scheduled` or `queued`.",
            {"success": True, **SCHEDULED_TASK},
        ),
        **problems(400, 404, 406, 409, *BODY_STATUSES, 503),
    },
)
history = operation(
    "listTaskEvents",
    "tasks",
    "Show a task's history",
    parameters=[ID, RETRY_AFTER],
    responses={
        200: ok(response_serializers.HistorySerializer, "Every change, oldest first.", {"events": [EVENT]}),
        **problems(400, 404, 406, 503),
    },
)
task_types = operation(
    "listTaskTypes",
    "tasks",
    "List the task types",
    description="The task types that can be started, each with its parameters as JSON Schema, for example to build a form.",
    parameters=[
        request_header("If-None-Match", "The ETag of an earlier response."),
        response_header("ETag", "Identifies this version of the response.", 200, 304),
        RETRY_AFTER,
    ],
    responses={
        200: ok(response_serializers.TaskTypesSerializer, "The task types.", {"taskTypes": [TASK_TYPE]}),
        304: OpenApiResponse(description="Not changed since the response that If-None-Match identifies."),
        **problems(400, 406),
    },
)
ticket = operation(
    "createStreamTicket",
    "tasks",
    "Create a ticket for the live stream",
    description="For an EventSource in a browser, which cannot send `Authorization`: append `?ticket=…` to the URL "
    "of the stream. A ticket opens one stream, within 30 seconds. The stream ends when the token is revoked or expires.",
    parameters=[RETRY_AFTER, response_header("Cache-Control", "`no-store`: the ticket is a secret.", 201)],
    request={"application/json": request_serializers.StreamTicketSerializer},
    examples=[OpenApiExample("one task", value={"taskId": TASK_ID}, request_only=True)],
    responses={
        201: ok(
            response_serializers.TicketSerializer,
            "A new ticket.",
            {"ticket": "ltt_" + "A" * 43, "expiresAt": "2026-01-31T12:00:30.000000Z"},
            201,
        ),
        **problems(400, 404, 406, *BODY_STATUSES, 503),
    },
)
live = operation(
    "isLive",
    "health",
    "Check that the process responds",
    needs=PUBLIC,
    parameters=[],
    responses={
        200: ok(response_serializers.HealthSerializer, "The process responds.", {"status": "ok"}),
        **problems(406),
    },
)
ready = operation(
    "isReady",
    "health",
    "Check that the queue and the database are available",
    needs=PUBLIC,
    parameters=[RETRY_AFTER],
    responses={
        200: ok(response_serializers.HealthSerializer, "Both are available.", {"status": "ok"}),
        **problems(406, 503),
    },
)
schema = describe(exclude=True)
