"""The parts that all operations of the OpenAPI document share: headers, parameters, problem responses, the decorator.

Owns their wording. Must not describe a single endpoint, nor change behaviour.
"""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from tasks_app.api import response_serializers
from tasks_app.api.authentication import PUBLIC
from tasks_app.api.json_rendering import SOURCE_HEADER
from tasks_app.api.openapi.examples import PROBLEMS, TITLES
from tasks_app.auth.api_tokens import READ
from tasks_app.queues.queue_names import QUEUES

BODY_STATUSES: Final = (413, 415)  # of every operation that reads a body


def describe(**schema: Any) -> Any:
    """Return drf-spectacular's decorator for a view's method, whatever DEFAULT_SCHEMA_CLASS a project has."""

    def decorate(method: Any) -> Any:
        method.kwargs = {"schema": AutoSchema}  # where drf-spectacular looks for the class that it extends
        return extend_schema(**schema)(method)

    return decorate


def problems(*statuses: int) -> dict[Any, OpenApiResponse]:
    """Return the problem response of each status."""
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


def ok(serializer: Any, description: str, value: Any, status: int = 200) -> OpenApiResponse:
    """Return a successful response with one example."""
    example = OpenApiExample(description, value=value, response_only=True, status_codes=[str(status)])
    return OpenApiResponse(serializer, description=description, examples=[example])


def response_header(name: str, description: str, *statuses: int, kind: Any = str) -> OpenApiParameter:
    """Return a header of the responses with these statuses."""
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, response=list(statuses))


def request_header(name: str, description: str, **schema: Any) -> OpenApiParameter:
    """Return a header of the request; `schema` adds to its JSON Schema."""
    return OpenApiParameter(name, {"type": "string", **schema}, OpenApiParameter.HEADER, description=description)


REQUEST_ID: Final = [
    request_header(
        "X-Request-ID",
        "Copied to response, logs and task if valid (1 to 64 of A-Za-z0-9._:-), else generated.",
    ),
    OpenApiParameter("X-Request-ID", str, OpenApiParameter.HEADER, description="The id of the request.", response=True),
]
IDEMPOTENCY_KEY: Final = [
    request_header(
        "Idempotency-Key",
        "Within 24 h, the same key with the same body returns the first response.",
        minLength=1,
        maxLength=255,
        pattern="^[!-~]+$",
    ),
    response_header("Idempotency-Replayed", "`true` if this repeats the response to an earlier request.", 201),
]
RETRY_AFTER: Final = response_header("Retry-After", "Seconds to wait before the next request.", 429, 503, kind=int)
_BEARER: Final[Any] = [{"bearer": []}]
_CHALLENGE: Final = response_header("WWW-Authenticate", "Says that a bearer token is required.", 401)
SOURCE: Final = response_header(
    SOURCE_HEADER,
    "Only while a store is unavailable: `redis` or `database`, the only store that was read. It may be slightly out of date.",
    200,
    304,
)
QUEUES_SOURCE: Final = response_header(
    SOURCE_HEADER,
    "`redis` while the database is unavailable; `pausedBy` and `reason` are unknown then.",
    200,
)
PREFER: Final = request_header("Prefer", "`wait=S`: like the query parameter, which takes precedence.")
LOCATION: Final = response_header("Location", "The address of the task.", 201, 202)
ID: Final = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The task's id.")
QUEUE_NAME: Final = OpenApiParameter("name", str, OpenApiParameter.PATH, enum=list(QUEUES), description="The queue.")


def operation(
    name: str,
    tag: str,
    summary: str,
    *,
    parameters: list[Any],
    responses: dict[Any, Any],
    needs: str = READ,
    **kwargs: Any,
) -> Any:
    """Return the decorator that describes an operation; `needs` is the required scope, or PUBLIC."""
    if needs != PUBLIC:
        refusals = (401, 429) if needs == READ else (401, 403, 429)
        responses = {**responses, **problems(*refusals)}
        parameters = [*parameters, _CHALLENGE]
    return describe(
        operation_id=name,
        tags=[tag],
        summary=summary,
        parameters=[*parameters, *REQUEST_ID],
        responses=responses,
        auth=[] if needs == PUBLIC else _BEARER,
        **kwargs,
    )
