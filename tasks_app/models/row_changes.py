"""The first changes of a dry run: rows before and after. Written by the worker, with the checkpoint."""

from __future__ import annotations

from django.db import models

from tasks_app.models.text_fields import FreeTextField


class TaskRowChange(models.Model):
    """One row that a chunk of a dry run has changed before it was rolled back. Never changed."""

    task_id = models.UUIDField()
    # The checkpoint whose chunk it was: the task's own, or its shard's. Each keeps its first ones.
    checkpoint_id = models.UUIDField()
    # Number of the record in the task, from 0.
    position = models.PositiveBigIntegerField()
    # Line of the file, from 1; null if the task reads no file.
    line = models.PositiveBigIntegerField(null=True)
    # The model of the row, as app.Model, and the row's key; both may be unknown.
    model = FreeTextField(max_length=150, default="", blank=True)
    key = FreeTextField(max_length=255, default="", blank=True)
    # JSON objects. Null: there was no row before, or there is none after.
    before_json = models.TextField(null=True)
    after_json = models.TextField(null=True)
    values_are_exact = models.BooleanField(default=True)

    class Meta:
        indexes = [models.Index(fields=["task_id", "position", "id"], name="row_change_of_task")]

    def __str__(self) -> str:
        return f"{self.task_id} {self.position}"
