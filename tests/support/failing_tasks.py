"""Tasks of which some records fail, and the positions in their lists."""

from typing import Any

from tasks_app.models import TaskFailure
from tasks_app.services import start_tasks


def begin(name: str = "failing", *, allowed: str = "100%", **params: Any) -> str:
    """Start a task that may leave out `allowed` records; return its id."""
    params = {"records": 10, "every": 0, "rest": 0, "bad": [], "only": [], "how": "value"} | params
    task = start_tasks.NewTask(name=name, params=params, max_failures=allowed)
    return start_tasks.start_task(task=task).snapshot.id


def listed(task_id: str) -> list[int]:
    """Return the positions in the list, duplicates included."""
    return list(TaskFailure.objects.filter(task_id=task_id).order_by("position").values_list("position", flat=True))
