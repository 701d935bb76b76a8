"""The tables. One module per noun; no behaviour."""

from tasks_app.models.audit import AuditEntry
from tasks_app.models.minutes import TaskMinute
from tasks_app.models.set_aside import SetAsideItem
from tasks_app.models.state import MirrorCursor, QueueState
from tasks_app.models.tasks import Status, TaskCheckpoint, TaskEvent, TaskRecord
from tasks_app.models.tokens import ApiToken
from tasks_app.models.webhooks import WebhookDelivery

__all__ = [
    "ApiToken",
    "AuditEntry",
    "MirrorCursor",
    "QueueState",
    "SetAsideItem",
    "Status",
    "TaskCheckpoint",
    "TaskEvent",
    "TaskMinute",
    "TaskRecord",
    "WebhookDelivery",
]
