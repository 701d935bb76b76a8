"""`manage.py rqresume`: like `rq resume`, with the Redis of the settings. django-rq's requires a queue `default`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError
from tasks_app.management.rq_arguments import STORE_UNAVAILABLE, record_in_audit
from tasks_app.models import AuditEntry
from tasks_app.queues import pauses


class Command(BaseCommand):
    help = (
        "End the suspension of all queues. Paused queues stay paused: manage.py queue resume NAME. "
        "Exit codes: 0 done, 6 Redis does not answer."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            pauses.write_suspension(suspended=False)
            paused = pauses.list_paused()
        except LongtasksError as error:
            raise CommandError(str(error), returncode=STORE_UNAVAILABLE) from error
        record_in_audit(action=AuditEntry.Action.RESUME, detail="rqresume", source=audit_log.CLI)
        self.stdout.write("All queues are resumed.")
        for name in paused:
            self.stderr.write(f"Queue {name} is still paused: run `manage.py queue resume {name}`.")
