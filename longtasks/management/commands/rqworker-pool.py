"""`manage.py rqworker-pool`: RQ's worker pool, by default for all our queues. Prefer `manage.py workers`.

Owns the argument checks: rejects unknown queues, and classes that would fail tasks. The rest is django-rq's.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.core.management.base import CommandError

from tasks_app.management.rq_arguments import check_classes, read_queues

_theirs: Any = import_module("django_rq.management.commands.rqworker-pool")


class Command(_theirs.Command):  # type: ignore[misc]
    def handle(self, *args: str, **options: Any) -> None:
        if options["num_workers"] < 1:
            raise CommandError(f"--num-workers is {options['num_workers']}: give 1 or more.", returncode=2)
        check_classes(worker_class=options["worker_class"], job_class=options["job_class"])
        super().handle(*read_queues(args), **options)
