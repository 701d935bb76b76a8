"""The failing records: one row for each record that a task has left out. Written by the worker, with the checkpoint."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks_app.models.text_fields import FreeTextField, IdentityField


class TaskFailure(models.Model):
    """One record that failed, inserted in the transaction that moved the checkpoint past it. Never changed."""

    task_id = models.UUIDField(_("task"))
    # The checkpoint that moved past the record: the task's own, or its shard's.
    checkpoint_id = models.UUIDField()
    # Number of the record in the task, from 0.
    position = models.PositiveBigIntegerField(_("position"))
    # Line of the file, from 1; null if the task reads no file.
    line = models.PositiveBigIntegerField(_("line"), null=True)
    key = FreeTextField(_("key"), max_length=255, default="", blank=True)
    # The class of the error, and its message.
    code = IdentityField(_("code"), max_length=64)
    message = models.TextField(_("message"))
    # A JSON object. Text, because MySQL's JSON type does not keep the order of the columns.
    values_json = models.TextField(_("values"), default="{}")
    values_are_exact = models.BooleanField(default=True)
    failed_at = models.DateTimeField(_("failed at"))

    class Meta:
        verbose_name = _("failed record")
        verbose_name_plural = _("failed records")
        constraints = [models.UniqueConstraint(fields=["checkpoint_id", "position"], name="failure_once")]
        # A page of the list is a range of this index.
        indexes = [models.Index(fields=["task_id", "position", "id"], name="failure_of_task")]

    def __str__(self) -> str:
        return f"{self.task_id} {self.position} {self.code}"
