"""`manage.py rqworker`: one worker, on our queues where none is named. `manage.py workers` runs such ones.

Owns what is refused: unknown queues, and classes that would fail tasks. The rest is django-rq's.
"""

from __future__ import annotations

from typing import Any

from django_rq.management.commands import rqworker

from tasks_app.management.rq_arguments import check_classes, read_queues

SCHEDULER_NOTE = "--with-scheduler has no effect: the mirror process enqueues scheduled tasks and jobs."


class Command(rqworker.Command):
    def handle(self, *args: str, **options: Any) -> None:
        check_classes(worker_class=options["worker_class"], job_class=options["job_class"])
        names = read_queues(args)
        if options.get("with_scheduler"):
            self.stderr.write(SCHEDULER_NOTE)
        super().handle(*names, **options)
