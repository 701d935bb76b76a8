"""The tables of the read side: TaskRecord (the newest state of a task) and TaskEvent (its history).

Owns columns and indexes. Must not hold behaviour: the mirror writes these tables, read_model/ reads them.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks_app.domain import task_status
from tasks_app.models.text_fields import FreeTextField, IdentityField


class Status(models.TextChoices):
    """The statuses of a task, with RQ's names."""

    QUEUED = task_status.QUEUED, _("queued")
    STARTED = task_status.STARTED, _("started")
    SCHEDULED = task_status.SCHEDULED, _("scheduled")
    DEFERRED = task_status.DEFERRED, _("deferred")
    FINISHED = task_status.FINISHED, _("finished")
    FAILED = task_status.FAILED, _("failed")
    CANCELED = task_status.CANCELED, _("canceled")
    STOPPED = task_status.STOPPED, _("stopped")


class TaskRecord(models.Model):
    """The read side of a task: its newest snapshot. Written by the mirror only."""

    # UUIDv7, newest last, so that paging by id is paging by time of creation.
    id = models.UUIDField(_("id"), primary_key=True)
    # From the request; these never change.
    name = IdentityField(_("type"), max_length=64)
    description = FreeTextField(_("description"), max_length=255, default="", blank=True)
    params = models.JSONField(_("parameters"), default=dict, blank=True)
    owner = IdentityField(_("owner"), max_length=64, default="", blank=True)
    request_id = IdentityField(_("request id"), max_length=64, default="", blank=True)
    callback_url = FreeTextField(_("callback URL"), max_length=500, default="", blank=True)
    created_at = models.DateTimeField(_("created at"))
    # How many records may fail: "" for none, a number, or a share such as 0.5%.
    max_failures = IdentityField(_("failed records allowed"), max_length=16, default="", db_default="", blank=True)
    # Every chunk is rolled back: the task shows what it would do.
    dry_run = models.BooleanField(_("dry run"), default=False, db_default=False)
    # The queue that the task waits in, and the number that the client gave as priority. An operator's change of priority
    # changes the queue and clears the number.
    priority = IdentityField(_("queue"), max_length=32)
    urgency = models.PositiveSmallIntegerField(_("priority"), null=True)
    # From the newest snapshot.
    status = IdentityField(_("status"), max_length=12, choices=Status.choices)
    done = models.PositiveBigIntegerField(_("done"), default=0)
    total = models.PositiveBigIntegerField(_("total"), null=True)
    total_is_estimate = models.BooleanField(_("total is an estimate"), default=False, db_default=False)
    counts = models.JSONField(_("counts"), default=dict, blank=True)
    failed_records = models.PositiveBigIntegerField(_("failed records"), default=0, db_default=0)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    error = models.TextField(_("error"), null=True)
    worker = IdentityField(_("worker"), max_length=120, default="", blank=True)
    epoch = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(_("started at"), null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True)
    start_at = models.DateTimeField(_("start at"), null=True)
    cancel_requested = models.BooleanField(_("cancel requested"), default=False)
    # When the newest snapshot was written (Redis's clock). Set by the mirror.
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        # The permission to view tasks is Django's own view_taskrecord.
        permissions = [
            ("operate_tasks", _("Can start, cancel and retry tasks and change their priority")),
            ("administer_tasks", _("Can pause and resume queues and use RQ's own pages")),
        ]
        # A page of a list is a range of one of these indexes, newest first: the column of one filter, the id, then the
        # columns of the other filters, so that the index alone decides whether a row matches. Only two indexes contain
        # the status, because each change of a status rewrites an entry in each of them.
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
    # The status after the change, and the cause of the change: start, take, yield, rescue, retry, …
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
