"""`manage.py queue pause|resume NAME`: the same as through the API; the audit has the operating-system user."""

from __future__ import annotations

import json as json_module
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError
from tasks_app.management.actor import find_actor
from tasks_app.management.arguments import text
from tasks_app.queues.pauses import is_suspended
from tasks_app.queues.queue_names import QUEUES
from tasks_app.services import pause_queues

UNAVAILABLE: Final = 6


class Command(BaseCommand):
    help = "Pause or resume a queue. Exit codes: 0 done, 2 wrong arguments, 6 Redis or the database does not answer."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("pause", "resume"))
        parser.add_argument("name", choices=QUEUES)
        parser.add_argument(
            "--reason", type=text, default="", help="why the queue is paused; shown in the API and the admin"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, action: str, name: str, reason: str, json: bool, **options: Any) -> None:
        actor = find_actor()
        try:
            if action == "pause":
                pause_queues.pause_queue(queue=name, actor=actor, reason=reason, source=audit_log.CLI)
            else:
                pause_queues.resume_queue(queue=name, actor=actor, source=audit_log.CLI)
                if is_suspended():
                    self.stderr.write("`rq suspend` still pauses all queues: run `manage.py rqresume`.")
        except LongtasksError as error:
            raise CommandError(str(error), returncode=UNAVAILABLE) from error
        paused = action == "pause"
        words = f"Queue {name} is {'paused: running tasks stop at their next chunk' if paused else 'open again'}."
        self.stdout.write(json_module.dumps({"name": name, "paused": paused}) if json else words)
