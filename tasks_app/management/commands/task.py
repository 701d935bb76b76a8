"""`manage.py task …`: start, plan, watch, list and change tasks, as the API does, verify them, and write task types.

Owns arguments, output and exit codes. Must not contain a domain rule.
"""

from __future__ import annotations

import sys
from argparse import RawDescriptionHelpFormatter
from dataclasses import replace
from typing import Any, Final, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rest_framework.exceptions import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tasks_app import errors
from tasks_app.api.file_serializers import results_data
from tasks_app.api.json_rendering import to_json
from tasks_app.api.request_serializers import read_new_task, read_reschedule
from tasks_app.api.response_serializers import task_data
from tasks_app.api.validation_serializers import validated_data
from tasks_app.auth import audit_log
from tasks_app.domain import task_status
from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.management import failures_action, new_action, plan_action, start_arguments, verify_action, wait_action
from tasks_app.management.actor import find_actor
from tasks_app.management.arguments import priority, text
from tasks_app.management.file_argument import CannotReadFile
from tasks_app.management.new_type import CannotMakeType
from tasks_app.management.param_options import TypeParser, read_param_options
from tasks_app.management.shown_task import describe_total, write_task, write_valid_task
from tasks_app.management.task_following import follow_task
from tasks_app.operations.task_plans import CannotPlan
from tasks_app.queues import queue_names
from tasks_app.read_model import task_queries
from tasks_app.read_model.task_results import find_results
from tasks_app.read_model.task_rows import to_snapshot
from tasks_app.read_model.task_search import TaskFilter, find_tasks
from tasks_app.services import change_tasks, start_tasks

WRONG, ENDED_BADLY, UNKNOWN, CONFLICT, UNAVAILABLE, DIFFERENT, TIMEOUT = 2, 3, 4, 5, 6, 7, 124
EXIT_CODES: Final = """exit codes:
  0  done; with --wait, --watch or wait: the task has finished
  2  wrong arguments or parameters
  3  with --wait, --watch or wait: the task has failed, or was canceled or stopped
  4  no such task
  5  its status does not allow that
  6  Redis or the database does not answer, or the queue is full: try again
  7  verify: something differs
124  wait: the time is over, and the task continues
"""
_REFUSED: Final = (
    errors.UnknownTaskType,
    errors.NamedTaskUnknown,
    errors.NotAllowed,
    errors.FileTooLarge,
    CannotReadFile,
    CannotPlan,
    CannotMakeType,
)
_ONLY_SOURCE: Final = {
    "redis": "The database does not answer: this is the state in Redis.",
    "database": "Redis does not answer: this is the state in the database, which may be older.",
}
PIPE_WIDTH: Final = 160  # without a terminal; wide enough to keep each id on one line


class Command(BaseCommand):
    help = "Start, plan, show, wait for, list, cancel, retry, reschedule and verify tasks, or write a new task type."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.formatter_class, parser.epilog = RawDescriptionHelpFormatter, EXIT_CODES
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(
            dest="action",
            required=True,
            metavar="start|plan|status|wait|list|cancel|retry|reschedule|failures|verify|new",
            parser_class=TypeParser,
        )
        start = actions.add_parser("start", help="start a task", epilog=EXIT_CODES)
        start.formatter_class = RawDescriptionHelpFormatter
        start_arguments.add_arguments(start)
        plan = actions.add_parser("plan", help="show how many records a task would have, and how long it would take")
        plan_action.add_arguments(plan)
        status = actions.add_parser("status", help="show a task")
        status.add_argument("id", type=text)
        status.add_argument("--watch", action="store_true", help="show the task's progress until it ends")
        wait = actions.add_parser("wait", help="wait until a task has ended", epilog=EXIT_CODES)
        wait.formatter_class = RawDescriptionHelpFormatter
        wait_action.add_arguments(wait)
        listing = actions.add_parser("list", help="list tasks, newest first")
        listing.add_argument("--status", choices=task_status.STATUSES)
        listing.add_argument("--name", type=text, help="the task type")
        listing.add_argument("--priority", type=priority, help="high, low, or 1 to 10")
        listing.add_argument("--queue", choices=queue_names.QUEUES)
        listing.add_argument("--limit", type=int, default=20, help="number of tasks, at most (20)")
        for action, words in (("cancel", "cancel a task"), ("retry", "retry a failed, stopped or canceled task")):
            actions.add_parser(action, help=words).add_argument("id", type=text)
        reschedule = actions.add_parser("reschedule", help="change when a task begins that has not begun")
        reschedule.add_argument("id", type=text)
        reschedule.add_argument(
            "--at", type=text, metavar="TIME", required=True, help="ISO 8601 with a time zone, or now"
        )
        failures = actions.add_parser("failures", help="show the records of a task that failed")
        failures_action.add_arguments(failures)
        verify = actions.add_parser("verify", help="compare a task's rows with its record and checkpoint")
        verify_action.add_arguments(verify)
        new = actions.add_parser("new", help="write a new task type and its test into an application")
        new_action.add_arguments(new)
        for each in actions.choices.values():
            each.add_argument("--json", action="store_true", help="print JSON, in the form of the API")

    def handle(self, *args: Any, **options: Any) -> None:
        self.json: bool = options["json"]
        self.console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH)
        try:
            getattr(self, f"do_{options['action']}")(options)
        except ValidationError as error:
            _fail(WRONG, "; ".join(_lines_of(error.detail)))
        except _REFUSED as error:
            _fail(WRONG, str(error))
        except (errors.UnknownTask, wait_action.NoSuchTask) as error:
            _fail(UNKNOWN, str(error))
        except wait_action.StillRunning as error:
            _fail(TIMEOUT, str(error))
        except (errors.TaskEnded, errors.TaskNotEnded, errors.TaskBegun, errors.FailuresNotRetried) as error:
            _fail(CONFLICT, str(error))
        except errors.AuthorizationFailed as error:
            raise CommandError(str(error)) from error  # the log has the traceback
        except errors.LongtasksError as error:
            _fail(UNAVAILABLE, str(error))
        except KeyboardInterrupt:
            _fail(130, "stopped watching; the task continues")

    def do_start(self, options: dict[str, Any]) -> None:
        if options["validate_only"] and options["file"] is not None:
            _fail(WRONG, "--validate-only stores nothing, so it takes no --file: give the id of a file in --params")
        body = start_arguments.read_body(options)
        caller, task = replace(COMMAND_LINE, actor=find_actor()), read_new_task(body)
        if options["validate_only"]:
            [snapshot] = start_tasks.validate_tasks(tasks=[task], caller=caller)
            if self.json:
                self.print_json(validated_data(snapshot))
            else:
                write_valid_task(self.stdout, snapshot)
            return
        started = start_tasks.start_task(task=task, caller=caller, source=audit_log.CLI)
        if options["wait"]:
            self.watch(started.snapshot)
        else:
            self.show(started.snapshot)

    def do_plan(self, options: dict[str, Any]) -> None:
        params = options["params"] | read_param_options(options)
        plan_action.run(self, name=options["name"], params=params, with_sample=options["sample"])

    def do_status(self, options: dict[str, Any]) -> None:
        found = task_queries.find_task(task_id=options["id"])
        snapshot = found.snapshot
        if found.only_source:
            self.stderr.write(_ONLY_SOURCE[found.only_source])
        if options["watch"]:
            self.watch(snapshot)
        else:
            self.show(snapshot)

    def do_wait(self, options: dict[str, Any]) -> None:
        ended = wait_action.run(self, task_id=options["id"], name=options["name"], timeout=options["timeout"])
        if ended is not None and ended.status != task_status.FINISHED:
            sys.exit(ENDED_BADLY)

    def do_list(self, options: dict[str, Any]) -> None:
        if options["limit"] < 1:
            _fail(WRONG, f"--limit is {options['limit']}: give 1 or more")
        wanted = TaskFilter(**{name: options[name] for name in ("status", "name", "priority", "queue")})
        tasks: list[Snapshot] = []
        cursor = ""
        while len(tasks) < options["limit"]:
            limit = min(500, options["limit"] - len(tasks))
            page = find_tasks(wanted=wanted, cursor=cursor, limit=limit, with_heavy=True)
            tasks += map(to_snapshot, page.records)
            cursor = page.next_cursor
            if not cursor:
                break
        if self.json:
            self.print_json({"tasks": [task_data(task) for task in tasks]})
            return
        table = Table(
            "id", "type", "priority", "queue", "status", "done", "total", "attempts", "created (UTC)", box=None
        )
        table.columns[0].no_wrap = True
        for task in tasks:
            created = f"{task.created_at:%Y-%m-%d %H:%M:%S}"
            numbers = (f"{task.done:,}", describe_total(task), str(task.attempts))
            table.add_row(task.id, task.name, str(task.given_priority), task.priority, task.status, *numbers, created)
        self.console.print(table)

    def do_cancel(self, options: dict[str, Any]) -> None:
        self.show(change_tasks.cancel_task(task_id=options["id"], actor=find_actor(), source=audit_log.CLI))

    def do_retry(self, options: dict[str, Any]) -> None:
        self.show(change_tasks.retry_task(task_id=options["id"], actor=find_actor(), source=audit_log.CLI))

    def do_reschedule(self, options: dict[str, Any]) -> None:
        start_at = read_reschedule({"startAt": None if options["at"] == "now" else options["at"]})
        self.show(
            change_tasks.change_start(
                task_id=options["id"], start_at=start_at, actor=find_actor(), source=audit_log.CLI
            )
        )

    def do_failures(self, options: dict[str, Any]) -> None:
        failures_action.run(self, task_id=options["id"], csv=options["csv"], retry=options["retry"])

    def do_verify(self, options: dict[str, Any]) -> None:
        if verify_action.run(self, task_id=None if options["all"] else options["id"]):
            sys.exit(DIFFERENT)

    def do_new(self, options: dict[str, Any]) -> None:
        self.stdout.write(new_action.run(options))

    # --- output

    def show(self, snapshot: Snapshot, *, trace: bool = True) -> None:
        """Print a task, with the traceback of its last failed attempt, or one line of it without `trace`."""
        results = find_results(snapshot)
        if self.json:
            self.print_json(task_data(snapshot) | results_data(results))
        else:
            write_task(self.stdout, snapshot, results, trace=trace)

    def watch(self, snapshot: Snapshot) -> None:
        """Show progress until the task ends: a bar on a terminal, else a line for each change of status."""
        show = self._watch_lines if self.json or not sys.stdout.isatty() else self._watch_bar
        if show(snapshot).status != task_status.FINISHED:
            sys.exit(ENDED_BADLY)

    def _watch_bar(self, snapshot: Snapshot) -> Snapshot:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            bar = progress.add_task(snapshot.name, total=snapshot.total)
            for now in follow_task(snapshot):
                words = f"{now.name} {now.status}{', total estimated' if now.total_is_estimate else ''}"
                progress.update(bar, completed=now.done, total=now.total, description=words)
        self.show(now)
        return now

    def _watch_lines(self, snapshot: Snapshot) -> Snapshot:
        shown = ""
        for now in follow_task(snapshot):
            if now.status != shown:
                self.show(now, trace=now.ended)
                shown = now.status
        return now

    def print_json(self, data: Any) -> None:
        self.stdout.write(to_json(data).decode())


def _lines_of(detail: Any, path: str = "") -> list[str]:
    if isinstance(detail, dict):
        return [line for name, each in detail.items() for line in _lines_of(each, f"{path}.{name}".lstrip("."))]
    if isinstance(detail, list):
        return [line for each in detail for line in _lines_of(each, path)]
    return [f"{path}: {detail}" if path else str(detail)]


def _fail(code: int, words: str) -> NoReturn:
    raise CommandError(words, returncode=code)
