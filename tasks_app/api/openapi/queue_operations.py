"""The descriptions of the operations on queues in the OpenAPI document.

Owns their wording. Must not change behaviour.
"""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample

from tasks_app.api import request_serializers, response_serializers
from tasks_app.api.openapi.examples import QUEUE
from tasks_app.api.openapi.operation_parts import (
    BODY_STATUSES,
    QUEUE_NAME,
    QUEUES_SOURCE,
    RETRY_AFTER,
    ok,
    operation,
    problems,
)
from tasks_app.auth.api_tokens import ADMIN

list_ = operation(
    "listQueues",
    "queues",
    "Show all queues",
    parameters=[RETRY_AFTER, QUEUES_SOURCE],
    responses={
        200: ok(response_serializers.QueuesSerializer, "The queues.", {"queues": [QUEUE]}),
        **problems(400, 406, 503),
    },
)
pause = operation(
    "pauseQueue",
    "queues",
    "Pause a queue",
    needs=ADMIN,
    description="Workers stop taking its tasks, and running tasks are requeued at their next chunk. Tasks are still accepted. "
    "The pause survives restarts.",
    parameters=[QUEUE_NAME, RETRY_AFTER],
    request={"application/json": request_serializers.PauseSerializer},
    examples=[OpenApiExample("why", value={"reason": "maintenance"}, request_only=True)],
    responses={
        200: ok(
            response_serializers.QueueSerializer,
            "The queue is paused.",
            {**QUEUE, "pausedAt": "2026-01-31T12:00:00.000000Z", "pausedBy": "api", "reason": "maintenance"},
        ),
        **problems(400, 404, 406, *BODY_STATUSES, 503),
    },
)
resume = operation(
    "resumeQueue",
    "queues",
    "Resume a queue",
    needs=ADMIN,
    parameters=[QUEUE_NAME, RETRY_AFTER],
    request=None,
    responses={
        200: ok(response_serializers.QueueSerializer, "The queue is active.", QUEUE),
        **problems(404, 406, 415, 503),
    },
)
