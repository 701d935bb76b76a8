"""The audit: one row for each change that a person or a client requested. Written through tasks_app.auth.audit_log only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from tasks_app.models.text_fields import FreeTextField, IdentityField


class AuditEntry(models.Model):
    """One request that was carried out.

    Starts through the API have no row here, because POST /tasks sends no SQL; their TaskRecord and its first event record
    them. `audit_log.list_page` merges both into one list.
    """

    class Action(models.TextChoices):
        START = "start", _("start")
        CANCEL = "cancel", _("cancel")
        RETRY = "retry", _("retry")
        PRIORITY = "priority", _("change priority")
        RESCHEDULE = "reschedule", _("change start")
        PAUSE = "pause", _("pause queue")
        RESUME = "resume", _("resume queue")
        TRY_AGAIN = "try_again", _("try a set-aside item again")
        DROP = "drop", _("drop a set-aside item")
        PRUNE = "prune", _("prune ended tasks")
        CREATE_TOKEN = "create_token", _("create token")
        REVOKE_TOKEN = "revoke_token", _("revoke token")
        STAFF = "staff", _("change staff")

    class Source(models.TextChoices):
        ADMIN = "admin", _("admin")
        API = "api", _("API")
        CLI = "cli", _("command line")
        RQ = "rq", _("RQ's tools")

    # UUIDv7 like the ids of tasks, so that both lists merge by id, newest last.
    id = models.UUIDField(primary_key=True, default=uuid7)
    at = models.DateTimeField(_("at"))
    source = IdentityField(_("through"), max_length=8, choices=Source.choices)
    actor = IdentityField(_("who"), max_length=64, default="", blank=True)
    action = IdentityField(_("what"), max_length=12, choices=Action.choices)
    task_id = models.UUIDField(_("task"), null=True)
    queue = IdentityField(_("queue"), max_length=32, default="", blank=True)
    detail = FreeTextField(_("detail"), max_length=255, default="", blank=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit")
        indexes = [
            models.Index(fields=["actor", "id"], name="audit_actor"),
            models.Index(fields=["action", "id"], name="audit_action"),
            models.Index(fields=["task_id", "action"], name="audit_task"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.task_id or self.queue}"
