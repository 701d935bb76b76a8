"""The tables. One module per noun; no behaviour."""

from tasks_app.models.state import MirrorCursor, QueueState
from tasks_app.models.tasks import Priority, Status, TaskCheckpoint, TaskEvent, TaskRecord

__all__ = [
    "MirrorCursor",
    "Priority",
    "QueueState",
    "Status",
    "TaskCheckpoint",
    "TaskEvent",
    "TaskRecord",
]
