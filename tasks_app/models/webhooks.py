"""Webhooks that are still to be delivered: one row for each task that ended and asked to be told of."""

from __future__ import annotations

from django.db import models

from tasks_app.models.text_fields import FreeTextField


class WebhookDelivery(models.Model):
    """An outstanding delivery. Written by the mirror, deleted when it was delivered or given up."""

    task_id = models.UUIDField()
    url = FreeTextField(max_length=500)
    # The task at its end, as the stream told it.
    snapshot = models.TextField()
    # Tries begun.
    attempts = models.PositiveIntegerField(default=0)
    # When the next try is due; moved ahead by who takes it, so that one who dies loses nothing.
    due_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="webhook_due")]

    def __str__(self) -> str:
        return f"{self.task_id} {self.url}"
