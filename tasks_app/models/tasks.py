"""The tables of tasks: TaskCheckpoint (write side), TaskRecord and TaskEvent (read side).

Owns columns and indexes. Must not hold behaviour: writing is done by runner, commands and mirror, reading by
queries.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks_app.models.text_fields import FreeTextField, IdentityField
from tasks_app.queues import snapshot_stream


class Status(models.TextChoices):
    """RQ's own words."""

    QUEUED = snapshot_stream.QUEUED, _("queued")
    STARTED = snapshot_stream.STARTED, _("started")
    SCHEDULED = snapshot_stream.SCHEDULED, _("scheduled")
    DEFERRED = snapshot_stream.DEFERRED, _("deferred")
    FINISHED = snapshot_stream.FINISHED, _("finished")
    FAILED = snapshot_stream.FAILED, _("failed")
    CANCELED = snapshot_stream.CANCELED, _("canceled")
    STOPPED = snapshot_stream.STOPPED, _("stopped")


class TaskCheckpoint(models.Model):
    """How far a task has committed, and who may go on. The truth about how a task ended.

    Inserted by the first claim of a worker (or by a cancel that comes before it); every chunk's transaction
    updates it. All times are the database's own.
    """

    task_id = models.UUIDField(primary_key=True)
    # Raised by every claim and every explicit retry. Who holds a lower one may not write any more.
    epoch = models.PositiveIntegerField(default=0)
    # Committed records and rows. Written by the runner, in the transaction that wrote the rows.
    done = models.PositiveBigIntegerField(default=0)
    counts = models.JSONField(default=dict)
    # What the task type's last committed chunk returned as its state.
    state = models.JSONField(default=dict)
    # The worker of the last claim; kept when it lets go.
    worker = IdentityField(max_length=120, default="")
    # Until when the claim holds without a commit. Null: nobody claims it. Renewed by every chunk.
    lease_until = models.DateTimeField(null=True)
    # Failed attempts. An attempt that fails adds one; an explicit retry begins anew.
    failures = models.PositiveIntegerField(default=0)
    # `done` when the last claim began. Still the same when the claim runs out: the worker died (or fell silent)
    # without committing a chunk, and that is a failed attempt.
    claimed_done = models.PositiveBigIntegerField(default=0)
    # Set by cancel while a worker holds a claim; the worker's next chunk finds it and ends the task.
    cancel_requested = models.BooleanField(default=False)
    # How the task ended; empty until then. Written once by runner or cancel; emptied by an explicit retry only.
    outcome = IdentityField(max_length=10, default="", choices=[("", ""), *Status.choices])
    # Of the last failed attempt.
    error = models.TextField(default="")
    # First claim; end.
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # Of a big task that was split: into how many shards. 0: it was not.
    shards = models.PositiveIntegerField(default=0)
    # Of a shard: the task that it is a part of, and the records from `first` on, `size` of them.
    parent_id = models.UUIDField(null=True)
    first = models.PositiveBigIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0)
    # Set by every write.
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            # rescue: claims that have run out (outcome = '' and lease_until < now)
            models.Index(fields=["outcome", "lease_until"], name="checkpoint_outcome_lease"),
            # the shards of a task
            models.Index(fields=["parent_id"], name="checkpoint_parent"),
            # rescue: ends that the read side has not seen yet
            models.Index(fields=["updated_at"], name="checkpoint_updated"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.done} {self.outcome}"


class TaskRecord(models.Model):
    """The read side of a task: its newest snapshot. Written by the mirror only."""

    # UUIDv7: newest last, so paging by id is paging by time of creation.
    id = models.UUIDField(_("id"), primary_key=True)
    # From the request; never change.
    name = IdentityField(_("type"), max_length=64)
    description = FreeTextField(_("description"), max_length=255, default="", blank=True)
    params = models.JSONField(_("parameters"), default=dict, blank=True)
    owner = IdentityField(_("owner"), max_length=64, default="", blank=True)
    request_id = IdentityField(_("request id"), max_length=64, default="", blank=True)
    callback_url = FreeTextField(_("callback URL"), max_length=500, default="", blank=True)
    created_at = models.DateTimeField(_("created at"))
    # The queue it waits in, and the number that was given as its priority. An operator's change of priority changes
    # the one and empties the other.
    priority = IdentityField(_("queue"), max_length=32)
    urgency = models.PositiveSmallIntegerField(_("priority"), null=True)
    # From the newest snapshot.
    status = IdentityField(_("status"), max_length=12, choices=Status.choices)
    done = models.PositiveBigIntegerField(_("done"), default=0)
    total = models.PositiveBigIntegerField(_("total"), null=True)
    counts = models.JSONField(_("counts"), default=dict, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    error = models.TextField(_("error"), null=True)
    worker = IdentityField(_("worker"), max_length=120, default="", blank=True)
    epoch = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(_("started at"), null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True)
    cancel_requested = models.BooleanField(_("cancel requested"), default=False)
    # When the newest snapshot was written (Redis's clock). Set by the mirror.
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        # To see: view_taskrecord, Django's own.
        permissions = [
            ("operate_tasks", _("Can start, cancel and retry tasks and change their priority")),
            ("administer_tasks", _("Can pause and resume queues and use RQ's own pages")),
        ]
        # A page of a list is a range of one of these, newest first: the filter it begins with, the id, and then what
        # the other filters compare, so that no row is read to find out that it is not wanted. The status is in two
        # of them only, for it is what changes: each change moves an entry of these, and of no other.
        indexes = [
            models.Index(fields=["owner", "id", "status", "name", "priority"], name="record_by_owner"),
            models.Index(fields=["status", "id", "owner", "name", "priority"], name="record_by_status"),
            models.Index(fields=["name", "id", "owner", "priority"], name="record_by_name"),
            models.Index(fields=["priority", "id", "owner", "name"], name="record_by_priority"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"


class TaskEvent(models.Model):
    """One change of a task, for its history. Written by the mirror only."""

    task_id = models.UUIDField()
    # The status after the change, and why it came: start, take, yield, rescue, retry, …
    status = IdentityField(_("status"), max_length=12, choices=Status.choices)
    cause = IdentityField(_("cause"), max_length=24, default="", blank=True)
    # When the snapshot was written (Redis's clock).
    at = models.DateTimeField(_("at"))
    worker = IdentityField(_("worker"), max_length=120, default="", blank=True)
    actor = IdentityField(_("actor"), max_length=64, default="", blank=True)
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    done = models.PositiveBigIntegerField(_("done"), default=0)
    error = models.TextField(_("error"), null=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [models.Index(fields=["task_id", "id"], name="event_task")]

    def __str__(self) -> str:
        return f"{self.at} {self.status} {self.cause}"
