"""The descriptions of the operations on failed records in the OpenAPI document.

Owns their wording. Must not change behaviour.
"""

from __future__ import annotations

from typing import Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from tasks_app.api import failure_serializers, response_serializers
from tasks_app.api.openapi.examples import FAILURE, STARTED_TASK
from tasks_app.api.openapi.operation_parts import ID, IDEMPOTENCY_KEY, LOCATION, RETRY_AFTER, ok, operation, problems
from tasks_app.auth.api_tokens import WRITE

_CSV_EXAMPLE: Final = OpenApiExample(
    "All failures as CSV.",
    value="article,price,failure_position,failure_line,failure_key,failure_code,failure_message,failure_other\r\n"
    'A-4711,"12,50 EUR",4711,4713,A-4711,ValidationError,price: A valid number is required.,\r\n',
    media_type="text/csv",
    response_only=True,
    status_codes=["200"],
)

list_ = operation(
    "listTaskFailures",
    "tasks",
    "List the records of a task that failed",
    description="The records that were left out, in the order of their positions. As CSV (`format=csv`, or `Accept: "
    "text/csv`) all of them come at once: their own columns, then `failure_position`, `failure_line`, `failure_key`, "
    "`failure_code`, `failure_message`, `failure_other` and `failure_incomplete`. Cells that look like formulas begin "
    "with an apostrophe.",
    parameters=[failure_serializers.FailuresQuerySerializer, ID, RETRY_AFTER],
    responses={
        200: ok(failure_serializers.FailurePageSerializer, "A page.", {"failures": [FAILURE], "next": None}),
        (200, "text/csv"): OpenApiResponse(
            OpenApiTypes.STR, description="A page, or all failures as CSV.", examples=[_CSV_EXAMPLE]
        ),
        **problems(400, 404, 406, 503),
    },
)
retry = operation(
    "retryTaskFailures",
    "tasks",
    "Start a task of the failed records alone",
    needs=WRITE,
    description="Starts a new task of the same type, owner and `maxFailures`, with params that limit it to the failed "
    "records of this one: rows by their keys, records of a file by their places. Each failed record is given to one task. "
    "409 if the task has not ended, if none of its records failed, if its type cannot do it, if the file is gone, or if "
    "another task was given them; the detail names that task, and how it continues.",
    parameters=[ID, *IDEMPOTENCY_KEY, LOCATION, RETRY_AFTER],
    request=None,
    responses={
        201: ok(response_serializers.StartedTaskSerializer, "The new task.", STARTED_TASK, 201),
        **problems(400, 404, 406, 409, 415, 422, 503),
    },
)
