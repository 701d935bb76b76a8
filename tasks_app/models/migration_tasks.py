"""The table of the tasks that migrations have started, so that a later migration finds them.

Owns its columns and its index. Must not hold behaviour: migration_gates/ reads and writes it.
"""

from __future__ import annotations

from django.db import models

from tasks_app.models.text_fields import IdentityField


class MigrationTask(models.Model):
    """A task that a migration wants: written in the transaction of the migration, enqueued after its commit."""

    task_id = models.UUIDField(unique=True)
    app_label = IdentityField(max_length=64)
    name = IdentityField(max_length=64)
    # Of the params as the migration has them: the stored ones also contain defaults, which may be added later.
    params_digest = IdentityField(max_length=64)
    params = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    enqueued_at = models.DateTimeField(null=True)  # None: not yet, or unknown
    finished_at = models.DateTimeField(null=True)  # set if the migration itself did the work; no task then exists

    class Meta:
        indexes = [models.Index(fields=["name", "id"], name="migration_task_by_name")]

    def __str__(self) -> str:
        return f"{self.name} for the migrations of {self.app_label}"
