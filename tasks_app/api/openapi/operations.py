"""What OpenAPI says of each operation: codes, headers, errors, examples. One decorator per endpoint.

Owns words for readers. Must not change behaviour: what the endpoints take and answer, the serializers say.
"""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from tasks_app.api import query_parameters, request_serializers, response_serializers, wanted_wait
from tasks_app.api.authentication import ANYBODY
from tasks_app.api.json_rendering import SOURCE_HEADER
from tasks_app.api.openapi.examples import EVENT, FINISHED_TASK, PROBLEMS, QUEUE, STARTED_TASK, TASK, TASK_ID, TITLES
from tasks_app.auth.api_tokens import ADMIN, READ, WRITE
from tasks_app.queues.queue_names import QUEUES

_TASK_TYPE: Final = {
    "name": "upload",
    "description": "Inserts users, products and order items.",
    "queue": "low",
    "insertedRecords": ["users", "products", "order_items"],
    "params": {
        "type": "object",
        "properties": {"numRecords": {"type": "integer", "minimum": 1, "maximum": 10_000_000, "default": 100}},
        "required": [],
        "additionalProperties": False,
    },
}

_BODY: Final = (411, 413, 415)


def _problems(*statuses: int) -> dict[Any, OpenApiResponse]:
    responses: dict[Any, OpenApiResponse] = {}
    for status in statuses:
        meaning, kind, detail, errors = PROBLEMS[status]
        value: dict[str, Any] = {"type": kind, "title": TITLES[status], "status": status, "detail": detail}
        if errors is not None:
            value["errors"] = errors
        example = OpenApiExample(TITLES[status], value=value, response_only=True, status_codes=[str(status)])
        responses[(status, "application/problem+json")] = OpenApiResponse(
            response_serializers.ProblemSerializer, description=meaning, examples=[example]
        )
    return responses


def _ok(serializer: Any, description: str, value: Any, status: int = 200) -> OpenApiResponse:
    example = OpenApiExample(description, value=value, response_only=True, status_codes=[str(status)])
    return OpenApiResponse(serializer, description=description, examples=[example])


def _answers_with(name: str, description: str, *statuses: int, kind: Any = str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, response=list(statuses))


def _takes(name: str, description: str, **schema: Any) -> OpenApiParameter:
    return OpenApiParameter(name, {"type": "string", **schema}, OpenApiParameter.HEADER, description=description)


_REQUEST_ID: Final = [
    _takes("X-Request-ID", "Taken over into answer, logs and task when it is sane (64 of A-Za-z0-9._:-), else made."),
    OpenApiParameter("X-Request-ID", str, OpenApiParameter.HEADER, description="The request's id.", response=True),
]
_KEY: Final = [
    _takes(
        "Idempotency-Key",
        "The same key with the same body answers with the first answer, for 24 h.",
        minLength=1,
        maxLength=255,
        pattern="^[!-~]+$",
    ),
    _answers_with("Idempotency-Replayed", "`true` when this is the answer to an earlier request.", 201),
]
_RETRY_AFTER: Final = _answers_with("Retry-After", "Seconds until it makes sense to ask again.", 429, 503, kind=int)
_BEARER: Final[Any] = [{"bearer": []}]
_CHALLENGE: Final = _answers_with("WWW-Authenticate", "That a bearer token is wanted.", 401)
_SOURCE: Final = _answers_with(
    SOURCE_HEADER,
    "Only while a store does not answer: `redis` or `database`, which alone was asked. It may be a little behind.",
    200,
    304,
)
_QUEUES_SOURCE: Final = _answers_with(
    SOURCE_HEADER,
    "`redis` while the database does not answer: who paused a queue, and why, is not known then.",
    200,
)
_PREFER: Final = _takes("Prefer", "`wait=S`: as the query parameter, which wins.")
_LOCATION: Final = _answers_with("Location", "Where the task is.", 201, 202)
_ID: Final = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The task's id.")
_QUEUE_NAME: Final = OpenApiParameter("name", str, OpenApiParameter.PATH, enum=list(QUEUES), description="The queue.")


def _operation(
    name: str,
    tag: str,
    summary: str,
    *,
    parameters: list[Any],
    responses: dict[Any, Any],
    needs: str = READ,
    **kwargs: Any,
) -> Any:
    """Describe an operation that takes a token of the scope `needs`, or ANYBODY."""
    if needs != ANYBODY:
        refusals = (401, 429) if needs == READ else (401, 403, 429)
        responses = {**responses, **_problems(*refusals)}
        parameters = [*parameters, _CHALLENGE]
    return extend_schema(
        operation_id=name,
        tags=[tag],
        summary=summary,
        parameters=[*parameters, *_REQUEST_ID],
        responses=responses,
        auth=[] if needs == ANYBODY else _BEARER,
        **kwargs,
    )


start = _operation(
    "startTask",
    "tasks",
    "Start a task",
    needs=WRITE,
    description="Accepts the task and answers at once; a worker runs it later. With `wait` it answers as soon as the task "
    "ends, with what was inserted, or after that time; sooner when too many wait. A task that has failed was started: 201.",
    parameters=[
        wanted_wait.WaitQuerySerializer,
        _PREFER,
        *_KEY,
        _LOCATION,
        _answers_with("Preference-Applied", "Says that `Prefer: wait` was heeded.", 201),
        _RETRY_AFTER,
    ],
    request={"application/json": request_serializers.NewTaskSerializer},
    examples=[
        OpenApiExample(
            "upload",
            value={"name": "upload", "description": "user upload", "params": {"numRecords": 100}, "priority": "low"},
            request_only=True,
        )
    ],
    responses={
        201: _ok(response_serializers.StartedTaskSerializer, "Accepted.", STARTED_TASK, 201),
        **_problems(400, 404, 406, *_BODY, 422, 503),
    },
)
bulk = _operation(
    "startTasks",
    "tasks",
    "Start many tasks",
    needs=WRITE,
    description="Up to 1,000 tasks, all or none, in a body of 4 MiB at most.",
    parameters=[*_KEY, _RETRY_AFTER],
    request={"application/json": request_serializers.BulkSerializer},
    examples=[OpenApiExample("two", value={"tasks": [{"name": "upload"}, {"name": "upload"}]}, request_only=True)],
    responses={
        201: _ok(response_serializers.BulkAnswerSerializer, "All accepted.", {"success": True, "tasks": [TASK]}, 201),
        **_problems(400, 404, 406, *_BODY, 422, 503),
    },
)
list_ = _operation(
    "listTasks",
    "tasks",
    "List tasks, newest first",
    description="All filters together, in bounded time: a page may be short or empty and still have a `next`; "
    "ask on until that is null.",
    parameters=[query_parameters.ListQuerySerializer, _RETRY_AFTER],
    responses={
        200: _ok(
            response_serializers.PageSerializer, "A page.", {"tasks": [FINISHED_TASK], "next": None, "searchedTo": None}
        ),
        **_problems(400, 406, 503),
    },
)
show = _operation(
    "showTask",
    "tasks",
    "Show a task",
    description="With `wait` it answers as soon as the task ends, or after that time; sooner when too many wait.",
    parameters=[
        wanted_wait.WaitQuerySerializer,
        _ID,
        _PREFER,
        _takes("If-None-Match", "The ETag of an earlier answer."),
        _answers_with("ETag", "Names this very answer.", 200, 304),
        _SOURCE,
        _answers_with("Preference-Applied", "Says that `Prefer: wait` was heard.", 200, 304),
        _answers_with(
            "Retry-After",
            "Seconds until it makes sense to ask again; not on an ended task.",
            200,
            304,
            429,
            503,
            kind=int,
        ),
    ],
    responses={
        200: _ok(response_serializers.TaskSerializer, "The task.", FINISHED_TASK),
        304: OpenApiResponse(description="Nothing has changed since the answer that If-None-Match names."),
        **_problems(400, 404, 406, 503),
    },
)
cancel = _operation(
    "cancelTask",
    "tasks",
    "Cancel a task",
    needs=WRITE,
    description="What the task has committed stays; the running chunk is rolled back.",
    parameters=[_ID, _RETRY_AFTER],
    request=None,
    responses={
        200: _ok(response_serializers.StartedTaskSerializer, "It has stopped.", {**STARTED_TASK, "status": "canceled"}),
        202: _ok(
            response_serializers.StartedTaskSerializer, "It is stopping.", {**STARTED_TASK, "status": "started"}, 202
        ),
        **_problems(404, 406, 409, 415, 503),
    },
)
retry = _operation(
    "retryTask",
    "tasks",
    "Retry a failed, stopped or canceled task",
    needs=WRITE,
    description="It goes on from its checkpoint: nothing is inserted twice.",
    parameters=[_ID, _LOCATION, _RETRY_AFTER],
    request=None,
    responses={
        202: _ok(response_serializers.StartedTaskSerializer, "It is queued again.", STARTED_TASK, 202),
        **_problems(404, 406, 409, 415, 503),
    },
)
history = _operation(
    "listTaskEvents",
    "tasks",
    "Show a task's history",
    parameters=[_ID, _RETRY_AFTER],
    responses={
        200: _ok(response_serializers.HistorySerializer, "Every change, oldest first.", {"events": [EVENT]}),
        **_problems(400, 404, 406, 503),
    },
)
task_types = _operation(
    "listTaskTypes",
    "tasks",
    "List the task types",
    description="What may be started, each with its parameters as JSON Schema: what a form needs to know.",
    parameters=[
        _takes("If-None-Match", "The ETag of an earlier answer."),
        _answers_with("ETag", "Names this very answer.", 200, 304),
        _RETRY_AFTER,
    ],
    responses={
        200: _ok(response_serializers.TaskTypesSerializer, "The task types.", {"taskTypes": [_TASK_TYPE]}),
        304: OpenApiResponse(description="Nothing has changed since the answer that If-None-Match names."),
        **_problems(400, 406),
    },
)
ticket = _operation(
    "createStreamTicket",
    "tasks",
    "Create a ticket for the live stream",
    description="For an EventSource in a browser, which cannot send `Authorization`: append `?ticket=…` to the address "
    "of the stream. A ticket opens one stream, within 30 seconds. The stream ends when the token is revoked or expires.",
    parameters=[_RETRY_AFTER, _answers_with("Cache-Control", "`no-store`: the ticket is a secret.", 201)],
    request={"application/json": request_serializers.StreamTicketSerializer},
    examples=[OpenApiExample("one task", value={"taskId": TASK_ID}, request_only=True)],
    responses={
        201: _ok(
            response_serializers.TicketSerializer,
            "A new ticket.",
            {"ticket": "ltt_" + "A" * 43, "expiresAt": "2026-01-31T12:00:30.000000Z"},
            201,
        ),
        **_problems(400, 404, 406, *_BODY, 503),
    },
)
queues = _operation(
    "listQueues",
    "queues",
    "Show all queues",
    parameters=[_RETRY_AFTER, _QUEUES_SOURCE],
    responses={
        200: _ok(response_serializers.QueuesSerializer, "The queues.", {"queues": [QUEUE]}),
        **_problems(400, 406, 503),
    },
)
pause = _operation(
    "pauseQueue",
    "queues",
    "Pause a queue",
    needs=ADMIN,
    description="Workers leave it at their next chunk; tasks are still accepted. Survives restarts.",
    parameters=[_QUEUE_NAME, _RETRY_AFTER],
    request={"application/json": request_serializers.PauseSerializer},
    examples=[OpenApiExample("why", value={"reason": "maintenance"}, request_only=True)],
    responses={
        200: _ok(
            response_serializers.QueueSerializer,
            "It is paused.",
            {**QUEUE, "pausedAt": "2026-01-31T12:00:00.000000Z", "pausedBy": "api", "reason": "maintenance"},
        ),
        **_problems(400, 404, 406, *_BODY, 503),
    },
)
resume = _operation(
    "resumeQueue",
    "queues",
    "Resume a queue",
    needs=ADMIN,
    parameters=[_QUEUE_NAME, _RETRY_AFTER],
    request=None,
    responses={
        200: _ok(response_serializers.QueueSerializer, "It is served.", QUEUE),
        **_problems(404, 406, 415, 503),
    },
)
live = _operation(
    "isLive",
    "health",
    "Tell whether the process answers",
    needs=ANYBODY,
    parameters=[],
    responses={200: _ok(response_serializers.HealthSerializer, "It does.", {"status": "ok"}), **_problems(406)},
)
ready = _operation(
    "isReady",
    "health",
    "Tell whether queue and database answer",
    needs=ANYBODY,
    parameters=[_RETRY_AFTER],
    responses={200: _ok(response_serializers.HealthSerializer, "They do.", {"status": "ok"}), **_problems(406, 503)},
)
schema = extend_schema(exclude=True)
