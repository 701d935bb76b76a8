"""The examples of the OpenAPI document: one value for each response.

Owns made-up values for readers. Must not change behaviour.
"""

from __future__ import annotations

from typing import Any, Final

TASK_ID: Final = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"

TASK: Final[dict[str, Any]] = {
    "id": TASK_ID,
    "name": "upload",
    "description": "user upload",
    "params": {"numRecords": 100},
    "priority": "low",
    "queue": "low",
    "status": "queued",
    "counts": {"users": 0, "products": 0, "order_items": 0},
    "insertedRecords": {"users": 0, "products": 0, "order_items": 0},
    "progress": {"done": 0, "total": 100, "isEstimate": False},
    "failedRecords": 0,
    "maxFailures": 0,
    "dryRun": False,
    "attempts": 0,
    "error": None,
    "createdAt": "2026-01-31T12:00:00.000000Z",
    "startedAt": None,
    "endedAt": None,
    "nextAttemptAt": None,
    "startAt": None,
}

SCHEDULED_TASK: Final = {
    **TASK,
    "status": "scheduled",
    "nextAttemptAt": "2026-02-01T02:00:00.000000Z",
    "startAt": "2026-02-01T02:00:00.000000Z",
}
FINISHED_TASK: Final = {
    **TASK,
    "status": "finished",
    "counts": {"users": 100, "products": 100, "order_items": 100},
    "insertedRecords": {"users": 100, "products": 100, "order_items": 100},
    "progress": {"done": 100, "total": 100, "isEstimate": False},
    "attempts": 1,
    "startedAt": "2026-01-31T12:00:00.100000Z",
    "endedAt": "2026-01-31T12:00:00.350000Z",
}

FILE_ID: Final = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a11"
FILE: Final[dict[str, Any]] = {
    "id": FILE_ID,
    "name": "products.csv",
    "size": 1536,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "contentType": "text/csv",
    "createdAt": "2026-01-31T12:00:00.000000Z",
    "expiresAt": "2026-02-07T12:00:00.000000Z",
}
SHOWN_TASK: Final = {
    **FINISHED_TASK,
    "name": "export_order_items",
    "params": {"taskId": TASK_ID},
    "counts": {"rows": 100},
    "insertedRecords": {"rows": 100},
    "result": {"rows": 100},
    "artifacts": [
        {
            "id": FILE_ID,
            "name": "order_items.csv",
            "size": 1536,
            "sha256": FILE["sha256"],
            "contentType": "text/csv; charset=utf-8",
            "url": "/downloads/0198f2a47c1e7b539d0a3f6f2f1f9a11.1769868000~fPzS8o0SmPRQwTjZ0Yc2V0e2f0dY2b4gqkz8k9nYv7E",
            "expiresAt": "2026-01-31T14:00:00Z",
        }
    ],
    "changes": None,
}
VALID_TASK: Final[dict[str, Any]] = {
    "name": "upload",
    "description": "user upload",
    "params": {"numRecords": 100},
    "priority": "low",
    "queue": "low",
    "progress": {"done": 0, "total": 100, "isEstimate": False},
    "maxFailures": 0,
    "dryRun": False,
    "startAt": None,
    "callbackUrl": "",
}
VALIDATED_TASK: Final = {"success": True, "validateOnly": True, **VALID_TASK}
STARTED_TASK: Final = {"success": True, **TASK}

EVENT: Final = {
    "at": "2026-01-31T12:00:00.100000Z",
    "status": "started",
    "cause": "take",
    "worker": "worker-1",
    "actor": "",
    "attempt": 1,
    "done": 0,
    "error": None,
}

FAILURE: Final = {
    "position": 4711,
    "line": 4713,
    "key": "A-4711",
    "code": "ValidationError",
    "message": "price: A valid number is required.",
    "values": {"article": "A-4711", "price": "12,50 EUR"},
    "valuesAreExact": True,
    "failedAt": "2026-01-31T12:00:00.200000Z",
}

QUEUE: Final = {
    "name": "high",
    "depth": 3,
    "started": 1,
    "oldestWaitSeconds": 0.4,
    "scheduled": 0,
    "endedPerSecond": 12.5,
    "workers": 2,
    "pausedAt": None,
    "pausedBy": "",
    "reason": "",
    "suspended": False,
}


# status: (what it means here, type, detail, errors)
TASK_TYPE: Final = {
    "name": "upload",
    "description": "Inserts users, products and order items.",
    "queue": "low",
    "counts": ["users", "products", "order_items"],
    "insertedRecords": ["users", "products", "order_items"],
    "supportsDryRun": False,
    "params": {
        "type": "object",
        "properties": {"numRecords": {"type": "integer", "minimum": 1, "maximum": 10_000_000, "default": 100}},
        "required": [],
        "additionalProperties": False,
    },
}

PROBLEMS: Final[dict[int, tuple[str, str, str, list[dict[str, str]] | None]]] = {
    400: (
        "The request is invalid; `errors` names every invalid field. Nothing was changed.",
        "urn:longtasks:problem:invalid",
        "Validation failed: params.numRecords.",
        [{"field": "params.numRecords", "message": "Ensure this value is greater than or equal to 1."}],
    ),
    401: (
        "The token is missing, unknown, revoked or expired.",
        "about:blank",
        "Send a valid API token: Authorization: Bearer …",
        None,
    ),
    403: (
        (
            "The token's scope is insufficient, the task type does not allow it (`errors` then names the parameter), "
            "or a page of another origin sent the request."
        ),
        "about:blank",
        "This requires a token of scope write; yours has scope read.",
        None,
    ),
    404: (
        "Not found, or owned by somebody else; if `params` refer to it, `errors` names the parameter.",
        "urn:longtasks:problem:unknown-task",
        "There is no task 'x'.",
        None,
    ),
    406: ("The client does not accept JSON.", "about:blank", "This API answers with application/json only.", None),
    409: (
        "The task's status does not allow it.",
        "urn:longtasks:problem:task-ended",
        f"Task {TASK_ID} is finished: it can't be canceled.",
        None,
    ),
    410: (
        "The link has expired.",
        "urn:longtasks:problem:link-expired",
        "The link has expired. Request the task again: it has a new link.",
        None,
    ),
    413: ("The body is too large.", "about:blank", "The body may have at most 65536 bytes. Send a smaller body.", None),
    415: (
        "The Content-Type is not JSON.",
        "about:blank",
        'Unsupported media type "text/plain" in request.',
        None,
    ),
    416: (
        "The range begins behind the end of the file.",
        "about:blank",
        "The file has 18 bytes: request a range that begins before its end.",
        None,
    ),
    422: (
        "The Idempotency-Key was used with another body.",
        "urn:longtasks:problem:idempotency-mismatch",
        "This Idempotency-Key was used with a different body. Use a new key for a new task.",
        None,
    ),
    429: (
        "The token, or the address without a valid token, exceeded its rate limit.",
        "about:blank",
        "Request was throttled. Expected available in 3 seconds.",
        None,
    ),
    507: (
        "The storage of files is full.",
        "urn:longtasks:problem:files-full",
        "The storage of files has no space left. Delete files that you no longer need, or ask the operator to make space.",
        None,
    ),
    503: (
        "A queue is full, or a store is unavailable. Retry-After says when to try again.",
        "urn:longtasks:problem:queue-full",
        "Queue low is full: 1000000 tasks wait, the limit is 1000000. Try again later.",
        None,
    ),
}

TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    406: "Not Acceptable",
    409: "Conflict",
    410: "Gone",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    503: "Service Unavailable",
    507: "Insufficient Storage",
}
