"""The tables of files: what was uploaded or left by a task, and which tasks an uploaded file is named by.

Owns columns and indexes. Must not hold behaviour: files/ writes these tables. The bytes are in STORAGES["longtasks"].
"""

from __future__ import annotations

from django.db import models

from tasks_app.models.text_fields import FreeTextField, IdentityField


class TaskFile(models.Model):
    """One file in the storage. Its row is inserted before its bytes are written, and deleted after they are deleted.

    So a process that dies in between leaves no bytes that no row names; the sweep (files/removal.py) deletes both.
    """

    class Kind(models.TextChoices):
        UPLOAD = "upload", "upload"  # sent by a client, for the params of tasks
        ARTIFACT = "artifact", "artifact"  # left by a task
        PART = "part", "part"  # a part of an artifact whose task has not ended

    # UUIDv7.
    id = models.UUIDField(primary_key=True)
    kind = IdentityField(max_length=10, choices=Kind.choices)
    owner = IdentityField(max_length=64, default="")
    # As the client or the task type named it. Never used as a path.
    name = FreeTextField(max_length=255)
    content_type = FreeTextField(max_length=100)
    # What the storage holds under `storage_key`: bytes, and their SHA-256 in hexadecimal digits.
    size = models.PositiveBigIntegerField(default=0)
    sha256 = IdentityField(max_length=64, default="")
    storage_key = IdentityField(max_length=200)
    # False until all bytes are stored (of a task's file: until its chunk commits), and again before they are deleted.
    is_complete = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    # From when on the sweep deletes it, unless a task names it. Null: kept as long as its task.
    expires_at = models.DateTimeField(null=True)
    # Of an artifact or a part: the task that has left it. Of a part: its position among the task's parts.
    task_id = models.UUIDField(null=True)
    position = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes = [
            # the sweep, oldest first
            models.Index(fields=["expires_at", "id"], name="file_expires"),
            # the artifacts and parts of a task
            models.Index(fields=["task_id", "kind", "position"], name="file_task"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class TaskFileUse(models.Model):
    """An uploaded file that a task's params name. Inserted before the task is enqueued."""

    file_id = models.UUIDField()
    task_id = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file_id", "task_id"], name="file_use_once")]
        indexes = [models.Index(fields=["task_id"], name="file_use_task")]

    def __str__(self) -> str:
        return f"{self.file_id} {self.task_id}"
