"""Roll-ups: one row for each minute, queue and task type. Written by the mirror only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks_app.models.text_fields import IdentityField


class TaskMinute(models.Model):
    """Counts and durations of one minute, so that charts and "today" never scan tasks.

    `waits` and `runs` are histograms: the number of tasks by bucket of duration (see tasks_app.read_model.minute_rollups).
    """

    minute = models.DateTimeField(_("minute"))
    queue = IdentityField(_("queue"), max_length=32)
    name = IdentityField(_("type"), max_length=64)
    # Numbers of tasks: accepted; started or resumed by a worker; ended, by status.
    accepted = models.PositiveIntegerField(default=0)
    started = models.PositiveIntegerField(default=0)
    finished = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    canceled = models.PositiveIntegerField(default=0)
    stopped = models.PositiveIntegerField(default=0)
    # Committed rows in all tables.
    rows = models.PositiveBigIntegerField(default=0)
    # Of the tasks that ended in this minute: the time from acceptance to the first start, and from there to the end.
    waits = models.JSONField(default=dict)
    runs = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("minute")
        verbose_name_plural = _("minutes")
        constraints = [models.UniqueConstraint(fields=["minute", "queue", "name"], name="minute_queue_name")]

    def __str__(self) -> str:
        return f"{self.minute} {self.queue} {self.name}"
