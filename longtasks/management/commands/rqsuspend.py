"""`manage.py rqsuspend`: like `rq suspend`, with the Redis of the settings. django-rq's requires a queue `default`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError
from tasks_app.management.rq_arguments import STORE_UNAVAILABLE, record_in_audit
from tasks_app.models import AuditEntry
from tasks_app.queues import pauses

YEAR_SECONDS = 366 * 86400


class Command(BaseCommand):
    help = (
        "Suspend all queues: workers dequeue no tasks, and running tasks return to their queues at their next chunk. "
        "Exit codes: 0 done, 2 wrong arguments, 6 Redis does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--duration", "-d", type=int, help="seconds, 1 or more; default: until rqresume")

    def handle(self, *args: Any, duration: int | None = None, **options: Any) -> None:
        if duration is not None and not 1 <= duration <= YEAR_SECONDS:
            raise CommandError(f"--duration is {duration}: give 1 to {YEAR_SECONDS} seconds.", returncode=2)
        try:
            pauses.write_suspension(suspended=True, seconds=duration or 0)
        except LongtasksError as error:
            raise CommandError(str(error), returncode=STORE_UNAVAILABLE) from error
        until = f"for {duration} seconds" if duration else "until `manage.py rqresume` or `rq resume`"
        record_in_audit(action=AuditEntry.Action.PAUSE, detail=f"rqsuspend, {until}", source=audit_log.CLI)
        self.stdout.write(
            f"All queues are suspended {until}: running tasks return to their queues at their next chunk."
        )
