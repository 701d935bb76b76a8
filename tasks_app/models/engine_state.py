"""State of the service: the mirror's cursor and the paused queues."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks_app.domain import stream_ids
from tasks_app.models.text_fields import FreeTextField, IdentityField


class MirrorCursor(models.Model):
    """How far the mirror has read the stream: one row, which the active mirror locks."""

    name = IdentityField(primary_key=True, max_length=32)
    stream_id = IdentityField(max_length=64, default=stream_ids.START)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.name} at {self.stream_id}"


class QueueState(models.Model):
    """Whether a queue is paused, since when, by whom and why. This row is durable; workers read a copy in Redis."""

    name = IdentityField(_("queue"), primary_key=True, max_length=32)
    paused_at = models.DateTimeField(_("paused at"), null=True)
    paused_by = IdentityField(_("paused by"), max_length=64, default="", blank=True)
    reason = FreeTextField(_("reason"), max_length=255, default="", blank=True)

    class Meta:
        verbose_name = _("queue")
        verbose_name_plural = _("queues")

    def __str__(self) -> str:
        return self.name
