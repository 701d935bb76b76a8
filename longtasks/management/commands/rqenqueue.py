"""`manage.py rqenqueue`: enqueues a job that calls a function. `manage.py task start` starts tasks.

Owns the argument checks: rejects what a worker would reject. django-rq's command requires a queue `default`.
"""

from __future__ import annotations

from typing import Any

import django_rq
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError
from tasks_app.management.arguments import text
from tasks_app.management.rq_arguments import STORE_UNAVAILABLE, check_queue_name, record_in_audit
from tasks_app.models import AuditEntry
from tasks_app.queues import queue_names, redis_connection


class Command(BaseCommand):
    help = (
        "Enqueue a call of a function of RQ_ALLOWED_FUNCTIONS. "
        "Exit codes: 0 enqueued, 2 wrong arguments, 6 Redis does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue", "-q", type=text, default=queue_names.LOW, help="the queue (low)")
        parser.add_argument("--timeout", "-t", type=int, help="timeout of the call, in seconds")
        parser.add_argument("function", type=text, help="dotted path of the function")
        parser.add_argument("arguments", type=text, nargs="*", help="arguments of the function, passed as text")

    def handle(self, *args: Any, function: str, arguments: list[str], **options: Any) -> None:
        name = check_queue_name(options["queue"])
        timeout = options["timeout"]
        if timeout is not None and timeout < 1:
            raise CommandError(f"--timeout is {timeout}: give 1 second or more.", returncode=2)
        allowed = settings.RQ_ALLOWED_FUNCTIONS
        if function not in allowed:
            raise CommandError(
                f"Workers do not run {function[:200]!r}: RQ_ALLOWED_FUNCTIONS (settings/base.py) has "
                f"{', '.join(sorted(allowed))}. For a task: manage.py task start.",
                returncode=2,
            )
        try:
            with redis_connection.mapped_redis_errors():
                job = django_rq.get_queue(name).enqueue_call(function, args=tuple(arguments), timeout=timeout)
        except LongtasksError as error:
            raise CommandError(str(error), returncode=STORE_UNAVAILABLE) from error
        detail = f"rqenqueue {function}, job {job.id}"
        record_in_audit(action=AuditEntry.Action.START, queue=name, detail=detail, source=audit_log.CLI)
        self.stdout.write(f"Job {job.id} created")
