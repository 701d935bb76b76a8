"""The tables. One module per noun; no behaviour."""

from tasks_app.models.api_tokens import ApiToken
from tasks_app.models.audit_entries import AuditEntry
from tasks_app.models.checkpoints import TaskCheckpoint
from tasks_app.models.engine_state import MirrorCursor, QueueState
from tasks_app.models.files import TaskFile, TaskFileUse
from tasks_app.models.migration_tasks import MigrationTask
from tasks_app.models.minute_rollups import TaskMinute
from tasks_app.models.outbox import OutboxTask
from tasks_app.models.row_changes import TaskRowChange
from tasks_app.models.set_aside_items import SetAsideItem
from tasks_app.models.task_failures import TaskFailure
from tasks_app.models.tasks import Status, TaskEvent, TaskRecord
from tasks_app.models.webhooks import WebhookDelivery

__all__ = [
    "ApiToken",
    "AuditEntry",
    "MigrationTask",
    "MirrorCursor",
    "OutboxTask",
    "QueueState",
    "SetAsideItem",
    "Status",
    "TaskCheckpoint",
    "TaskEvent",
    "TaskFailure",
    "TaskFile",
    "TaskFileUse",
    "TaskMinute",
    "TaskRecord",
    "TaskRowChange",
    "WebhookDelivery",
]
