"""The outbox: the tasks that transactions have started, until the read model knows them."""

from __future__ import annotations

from django.db import models


class OutboxTask(models.Model):
    """A task that was started inside a transaction, and commits or rolls back with it.

    Inserted by that transaction; deleted by the mirror's process when the task's row exists.
    """

    # The task's id. UUIDv7, oldest first: the sweep reads a range of the primary key, and the age is in the id.
    id = models.UUIDField(primary_key=True)
    # The task's first snapshot. Binary, because its JSON may not be valid in the table's character set.
    snapshot = models.BinaryField()

    def __str__(self) -> str:
        return str(self.id)
