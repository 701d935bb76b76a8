"""`manage.py workers NUM`: NUM worker processes under one parent that starts a new one for each that dies or hangs.

Owns the command's arguments. Must not know how processes are watched (engine/worker_supervisor).
"""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from tasks_app.conf import settings
from tasks_app.conf.project import is_embedded
from tasks_app.database import charsets
from tasks_app.engine.worker_process import WorkerCommand
from tasks_app.engine.worker_supervisor import WorkerSupervisor
from tasks_app.management.arguments import text
from tasks_app.management.rq_arguments import read_queues, read_types
from tasks_app.queues import queue_names


class Command(BaseCommand):
    help = (
        "Run NUM worker processes; the parent starts a new one for each that dies. "
        "SIGTERM ends them, SIGHUP replaces them one by one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "num", type=int, nargs="?", default=settings.WORKERS, help="how many worker processes (WORKERS)"
        )
        parser.add_argument("--pause-ms", type=int, default=0, help="artificial pause after every chunk")
        parser.add_argument(
            "--queues",
            type=text,
            default=",".join(queue_names.QUEUES),
            help="queues to serve, comma-separated; the most urgent first, whatever the order",
        )
        parser.add_argument("--types", type=text, help="task types to serve, comma-separated (all)")
        parser.add_argument(
            "--hang-seconds", type=float, help="kill a worker none of whose threads has run for so long (30)"
        )
        parser.add_argument("--burst", action="store_true", help="end when the queues are empty")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["num"] < 1:
            raise CommandError(f"NUM is {options['num']}: give 1 or more.")
        if options["hang_seconds"] is not None and options["hang_seconds"] <= 0:
            raise CommandError(f"--hang-seconds is {options['hang_seconds']:g}: give more than 0.")
        command = _to_worker_command(options)
        charsets.warn_of_narrow_tables()
        connections.close_all()  # the parent sends no further query
        supervisor = WorkerSupervisor(command=command, workers=options["num"], hang_seconds=options["hang_seconds"])
        supervisor.run(burst=options["burst"])


def _to_worker_command(options: dict[str, Any]) -> WorkerCommand:
    """Return the `worker` command of each worker. Raises CommandError for an unknown queue or type."""
    names = read_queues([name.strip() for name in options["queues"].split(",")])
    arguments = [*_list_interpreter(), "worker", *names, "--verbosity", "0"]
    if options["types"] is not None:
        arguments += ["--types", ",".join(read_types(options["types"]))]
    if options["burst"]:
        arguments.append("--burst")
    # A worker shows no pages: DEBUG would only make it keep every statement in memory.
    environment = os.environ | {"DEBUG": "0"}
    if options["pause_ms"]:
        if is_embedded():
            raise CommandError('--pause-ms has no effect in this project: set LONGTASKS["PAUSE_MS"].')
        environment["PAUSE_MS"] = str(options["pause_ms"])
    return WorkerCommand(arguments=arguments, environment=environment)


def _list_interpreter() -> list[str]:
    """Return the beginning of this command line, up to the name of the command: `python manage.py`, `python -m django`."""
    if "workers" not in sys.orig_argv:
        return [sys.executable, sys.argv[0]]  # called by another command
    return [sys.executable, *sys.orig_argv[1 : sys.orig_argv.index("workers")]]
