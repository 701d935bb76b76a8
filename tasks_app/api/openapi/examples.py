"""The examples of the OpenAPI document.

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
    "insertedRecords": {"users": 0, "products": 0, "order_items": 0},
    "progress": {"done": 0, "total": 100},
    "attempts": 0,
    "error": None,
    "createdAt": "2026-01-31T12:00:00.000000Z",
    "startedAt": None,
    "endedAt": None,
    "nextAttemptAt": None,
}


FINISHED_TASK: Final = {
    **TASK,
    "status": "finished",
    "insertedRecords": {"users": 100, "products": 100, "order_items": 100},
    "progress": {"done": 100, "total": 100},
    "attempts": 1,
    "startedAt": "2026-01-31T12:00:00.100000Z",
    "endedAt": "2026-01-31T12:00:00.350000Z",
}


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
PROBLEMS: Final[dict[int, tuple[str, str, str, list[dict[str, str]] | None]]] = {
    400: (
        "Something in the request is wrong; `errors` names every field. Nothing was done.",
        "urn:longtasks:problem:invalid",
        "Wrong: params.numRecords. Nothing was done.",
        [{"field": "params.numRecords", "message": "Ensure this value is greater than or equal to 1."}],
    ),
    401: (
        "No valid token: none, an unknown, a revoked or an expired one.",
        "about:blank",
        "Send a valid API token: Authorization: Bearer …",
        None,
    ),
    403: (
        (
            "The token's scope does not reach so far, the task type does not allow it (`errors` then names the parameter), "
            "or a browser says that a page of another origin asks."
        ),
        "about:blank",
        "This takes a token of scope write; yours is of scope read.",
        None,
    ),
    404: (
        "No such thing, or not yours; `errors` names the parameter where `params` name it.",
        "urn:longtasks:problem:unknown-task",
        "There is no task 'x'.",
        None,
    ),
    406: ("The client does not take JSON.", "about:blank", "This API answers with application/json only.", None),
    409: (
        "The task's status does not allow it.",
        "urn:longtasks:problem:task-ended",
        f"Task {TASK_ID} is finished: it can't be canceled.",
        None,
    ),
    411: (
        "The body came in chunks, without a Content-Length.",
        "about:blank",
        "Send the body with a Content-Length, not in chunks.",
        None,
    ),
    413: ("The body is too large.", "about:blank", "The body may hold 65536 bytes at most. Send a smaller one.", None),
    415: (
        "The body is not JSON by its Content-Type.",
        "about:blank",
        'Unsupported media type "text/plain" in request.',
        None,
    ),
    422: (
        "The Idempotency-Key was used with another body.",
        "urn:longtasks:problem:idempotency-mismatch",
        "This Idempotency-Key was used with a different body. Use a new key for a new task.",
        None,
    ),
    429: (
        "The token has called more often than it may, or the address has too often without a valid one.",
        "about:blank",
        "Request was throttled. Expected available in 3 seconds.",
        None,
    ),
    503: (
        "A queue is full, or a store does not answer. Retry-After says when to try again.",
        "urn:longtasks:problem:queue-full",
        "Queue low is full: 1000000 tasks wait, 1000000 may. Try again later.",
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
    411: "Length Required",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    503: "Service Unavailable",
}
