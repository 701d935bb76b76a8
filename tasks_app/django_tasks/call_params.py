"""The parameters of a function task: the call, and how the task was enqueued, as plain JSON.

Owns their names and limits. Must not import a function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tasks_app.django_tasks.compat import Task, normalize_json
from tasks_app.domain.json_limits import PARAMS_LEVELS, measure
from tasks_app.task_types.task_params import encode_params


class CallSerializer(serializers.Serializer[Any]):
    """Describes the parameters, for those who read a task. Nobody starts one by them: the type is internal."""

    path = serializers.CharField()
    args = serializers.ListField()
    kwargs = serializers.DictField()
    priority = serializers.IntegerField()
    queue = serializers.CharField()
    runAfter = serializers.DateTimeField(required=False)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function."""

    path: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    priority: int
    queue: str
    run_after: datetime | None = None


def write_call(task: Task, path: str, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return the parameters. Raises TypeError or ValueError for arguments that JSON does not hold, or too many of them."""
    params = {
        "path": path,
        "args": normalize_json(list(args)),
        "kwargs": normalize_json(dict(kwargs)),
        "priority": task.priority,
        "queue": task.queue_name,
    }
    if task.run_after is not None:
        params["runAfter"] = task.run_after.isoformat()
    measure(params, levels=PARAMS_LEVELS)
    try:
        return encode_params(params)
    except ValidationError as error:
        raise ValueError(f"The arguments cannot be stored: {error.detail}") from error


def read_call(params: Mapping[str, Any]) -> Call:
    """Return the call that a task stores."""
    run_after = params.get("runAfter")
    return Call(
        path=params["path"],
        args=params["args"],
        kwargs=params["kwargs"],
        priority=params.get("priority", 0),
        queue=params.get("queue", ""),
        run_after=datetime.fromisoformat(run_after) if run_after else None,
    )
