"""`manage.py worker`: one worker process. `manage.py workers` runs several and starts them by this command.

Owns the arguments, and the worker's queues and connection, which depend on no setting of RQ or django-rq: a project may
have queues and worker classes of its own. Must not run a task.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connections
from rq.logutils import setup_loghandlers
from rq.queue import Queue
from rq.serializers import JSONSerializer

from tasks_app.management.arguments import text
from tasks_app.management.rq_arguments import read_queues, read_types
from tasks_app.queues.redis_connection import get_connection
from tasks_app.services.rq_job import TaskJob
from tasks_app.worker import TaskWorker

LEVELS = {0: "WARNING", 1: "INFO"}


class Command(BaseCommand):
    help = "Run one worker process until a signal. Start workers with `manage.py workers`, which replaces dead ones."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queues", type=text, nargs="*", help="queues to serve (all)")
        parser.add_argument("--name", type=text, help="name of the worker")
        parser.add_argument("--types", type=text, help="task types to serve, comma-separated (all)")
        parser.add_argument("--burst", action="store_true", help="end when the queues are empty")

    def handle(self, *args: Any, **options: Any) -> None:
        names = read_queues(options["queues"])
        if options["types"] is not None:
            TaskWorker.served_types = frozenset(read_types(options["types"]))
        level = LEVELS.get(options["verbosity"], "DEBUG")
        setup_loghandlers(level)
        connection = get_connection()
        queues = [Queue(name, connection, job_class=TaskJob, serializer=JSONSerializer) for name in names]
        worker = TaskWorker(queues, name=options["name"], connection=connection, job_class=TaskJob)
        connections.close_all()  # those of this command's start
        worker.work(burst=options["burst"], logging_level=level)
