"""`manage.py rqscheduler`: refused. The mirror process enqueues scheduled jobs; rq-scheduler is not installed."""

from __future__ import annotations

from typing import Any, NoReturn

from django.core.management.base import CommandError
from django_rq.management.commands import rqscheduler


class Command(rqscheduler.Command):
    help = "Refused: the mirror process enqueues scheduled tasks and jobs; for schedules run manage.py rqcron."

    def handle(self, *args: str, **options: Any) -> NoReturn:
        raise CommandError(
            "rqscheduler is not used here: the mirror process enqueues scheduled tasks and jobs. "
            "For schedules run `manage.py rqcron longtasks.cron`.",
            returncode=2,
        )
