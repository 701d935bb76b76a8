"""The outstanding webhooks: one row for each ended task with a callbackUrl whose delivery is not finished."""

from __future__ import annotations

from django.db import models

from tasks_app.models.text_fields import FreeTextField


class WebhookDelivery(models.Model):
    """An outstanding delivery. The mirror inserts it; it is deleted after delivery or after the last attempt."""

    task_id = models.UUIDField()
    url = FreeTextField(max_length=500)
    # The final snapshot of the task.
    snapshot = models.TextField()
    # Attempts started.
    attempts = models.PositiveIntegerField(default=0)
    # When the next attempt is due. A sender's claim moves it into the future; if the sender dies, the delivery is retried.
    due_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="webhook_due")]

    def __str__(self) -> str:
        return f"{self.task_id} {self.url}"
