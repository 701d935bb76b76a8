"""Items that a shared loop could not process, kept until an operator retries or drops them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks_app.models.text_fields import FreeTextField, IdentityField


class SetAsideItem(models.Model):
    """One item that a shared loop could not process. Written by tasks_app.resilience.set_aside_items only."""

    class Kind(models.TextChoices):
        SNAPSHOT = "snapshot", _("snapshot")
        TASK = "task", _("task")
        WEBHOOK = "webhook", _("webhook")
        TOTAL = "total", _("total")
        OUTBOX = "outbox", _("outbox")

    kind = IdentityField(_("kind"), max_length=12, choices=Kind.choices)
    # In ASCII: a snapshot's id in the stream, the task's id of a task, webhook or start, or a total's field.
    key = IdentityField(_("key"), max_length=200)
    # The refused bytes. Binary, because they may not be valid in the tables' character set.
    payload = models.BinaryField(_("payload"), default=b"")
    # Length of the refused bytes; larger than the payload if that was cut.
    size = models.PositiveBigIntegerField(_("bytes"), default=0)
    # Escaped to ASCII.
    reason = FreeTextField(_("reason"), max_length=500)
    first_at = models.DateTimeField(_("first refused at"))
    last_at = models.DateTimeField(_("last refused at"))
    tries = models.PositiveIntegerField(_("tries"), default=1)

    class Meta:
        verbose_name = _("set-aside item")
        verbose_name_plural = _("set-aside items")
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="set_aside_kind_key")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
