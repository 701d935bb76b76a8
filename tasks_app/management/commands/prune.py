"""`manage.py prune --older-than 30d`: deletes old ended tasks. Owns arguments, output and exit codes; retention.py deletes."""

from __future__ import annotations

import json as json_module
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError
from tasks_app.management.actor import find_actor
from tasks_app.management.arguments import duration
from tasks_app.models import AuditEntry
from tasks_app.operations import retention
from tasks_app.resilience.transient_errors import is_transient_error

STORE_UNAVAILABLE: Final = 6  # exit code


class Command(BaseCommand):
    help = (
        "Delete the records, history, checkpoints, jobs and files of old ended tasks, and uploaded files that have "
        "expired. The rows that these tasks wrote stay (the task type purge deletes them). Exit codes: 0 done, 2 wrong "
        "arguments, 6 Redis or the database is unavailable: run it again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=duration,
            required=True,
            metavar="30d",
            help="age: s, m, h, d or w",
        )
        parser.add_argument(
            "--chunk", type=int, default=retention.CHUNK_TASKS, help="tasks per transaction (%(default)s)"
        )
        parser.add_argument("--pause-ms", type=int, default=0, help="pause between transactions, in milliseconds (0)")
        parser.add_argument("--dry-run", action="store_true", help="count the tasks, delete nothing")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["chunk"] < 1:
            raise CommandError(f"--chunk is {options['chunk']}: give 1 or more.", returncode=2)
        pruned = retention.Pruned()
        before = datetime.now(UTC) - options["older_than"]
        try:
            if not options["dry_run"]:
                # First: the deletion takes many transactions, and the audit must have it even if it is interrupted.
                detail = f"tasks that ended before {before:%Y-%m-%d %H:%M} UTC"
                audit_log.record(
                    action=AuditEntry.Action.PRUNE, source=audit_log.CLI, actor=find_actor(), detail=detail
                )
            for so_far in retention.prune(
                ended_before=before, chunk_tasks=options["chunk"], dry_run=options["dry_run"]
            ):
                pruned = so_far
                if options["pause_ms"]:
                    time.sleep(options["pause_ms"] / 1000)
        except KeyboardInterrupt:
            self.stderr.write("Stopped. Deleted tasks stay deleted; run it again to continue.")
        except Exception as error:
            if not isinstance(error, LongtasksError) and not is_transient_error(error):
                raise
            raise CommandError(f"{error} Deleted {pruned.tasks} tasks so far.", returncode=STORE_UNAVAILABLE) from error
        if options["json"]:
            self.stdout.write(json_module.dumps(asdict(pruned) | {"dryRun": options["dry_run"]}))
            return
        verb = "Would delete" if options["dry_run"] else "Deleted"
        self.stdout.write(
            f"{verb} {pruned.tasks:,} tasks that ended before {before:%Y-%m-%d %H:%M} UTC: {pruned.events:,} events, "
            f"{pruned.checkpoints:,} checkpoints, {pruned.failed_records:,} failed records, {pruned.jobs:,} jobs. "
            f"{verb} {pruned.files:,} files."
        )
