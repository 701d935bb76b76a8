"""The table of checkpoints: the write side of a task.

Owns columns and indexes. Must not hold behaviour: only checkpoints/ writes the table.
"""

from __future__ import annotations

from django.db import models

from tasks_app.models.tasks import Status
from tasks_app.models.text_fields import IdentityField


class TaskCheckpoint(models.Model):
    """How far a task has committed, and which worker holds its claim. The authority on how a task ended.

    Inserted by the first claim of a worker, or by a cancel before it; every chunk's transaction updates it. All times
    are on the database's clock.
    """

    task_id = models.UUIDField(primary_key=True)
    # Raised by every claim and every explicit retry. A worker with a lower epoch is fenced.
    epoch = models.PositiveIntegerField(default=0)
    # Committed records and rows. Written by the runner, in the transaction that wrote the rows.
    done = models.PositiveBigIntegerField(default=0)
    counts = models.JSONField(default=dict)
    # Records of `done` that failed and were left out; a row of TaskFailure for each.
    failed_records = models.PositiveBigIntegerField(default=0, db_default=0)
    # The newest task that was given entries of the list of failures, and which. Null: there is none.
    failures_retry = models.JSONField(null=True)
    # What the task type's last committed chunk returned as its state.
    state = models.JSONField(default=dict)
    # What the task leaves for its owner, as its task type returned it last. Null: nothing.
    result = models.JSONField(null=True)
    # The worker of the last claim; kept when the claim is released.
    worker = IdentityField(max_length=120, default="")
    # When the claim expires; every chunk renews it. Null: not claimed.
    lease_until = models.DateTimeField(null=True)
    # Failed attempts. An attempt that fails adds one; an explicit retry resets it.
    failures = models.PositiveIntegerField(default=0)
    # Failed attempts after which the task fails: those of its type at the last claim. Null: RETRY_ATTEMPTS.
    max_attempts = models.PositiveIntegerField(null=True)
    # `done` when the last claim began. If `done` still equals it when the claim expires, the worker died (or sent no
    # heartbeat) without committing a chunk, which counts as a failed attempt.
    claimed_done = models.PositiveBigIntegerField(default=0)
    # Set by cancel while a worker holds a claim; the worker's next chunk finds it and ends the task.
    cancel_requested = models.BooleanField(default=False)
    # How the task ended; empty until then. Written once by runner or cancel; only an explicit retry clears it.
    outcome = IdentityField(max_length=10, default="", choices=[("", ""), *Status.choices])
    # The error of the last failed attempt.
    error = models.TextField(default="")
    # The time of the first claim, and of the end.
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # Of a task that its worker has planned: its records, and whether that number is an estimate. Null: not planned.
    total = models.PositiveBigIntegerField(null=True)
    total_is_estimate = models.BooleanField(default=False, db_default=False)
    # Number of shards of a split task. 0: not split.
    shards = models.PositiveIntegerField(default=0)
    # Of a split task that was planned: its unfinished shards. Null: its count decides when it has finished.
    open_shards = models.PositiveIntegerField(null=True)
    # Of a shard: the split task, and the shard's `size` records from `first` on.
    parent_id = models.UUIDField(null=True)
    first = models.PositiveBigIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0)
    # Set by every write.
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            # rescue: expired claims (outcome = '' and lease_until < now)
            models.Index(fields=["outcome", "lease_until"], name="checkpoint_outcome_lease"),
            # the shards of a task
            models.Index(fields=["parent_id"], name="checkpoint_parent"),
            # rescue: ends that the read side does not show yet
            models.Index(fields=["updated_at"], name="checkpoint_updated"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.done} {self.outcome}"
