"""`manage.py rqworker`: one worker, by default for all our queues. `manage.py workers` runs several.

Owns the argument checks: rejects unknown queues, and classes that would fail tasks. The rest is django-rq's.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django_rq.management.commands import rqworker

from tasks_app.management.arguments import text
from tasks_app.management.rq_arguments import check_classes, read_queues, read_types
from tasks_app.worker import TaskWorker

SCHEDULER_NOTE = "--with-scheduler has no effect: the mirror process enqueues scheduled tasks and jobs."


class Command(rqworker.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--types", type=text, help="task types to serve, comma-separated (all)")

    def handle(self, *args: str, **options: Any) -> None:
        check_classes(worker_class=options["worker_class"], job_class=options["job_class"])
        names = read_queues(args)
        types = options.pop("types", None)
        if types is not None:
            TaskWorker.served_types = frozenset(read_types(types))
        if options.get("with_scheduler"):
            self.stderr.write(SCHEDULER_NOTE)
        super().handle(*names, **options)
