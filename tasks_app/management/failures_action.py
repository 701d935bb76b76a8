"""`manage.py task failures ID`: shows the failed records of a task, writes them as CSV, or starts a task of them.

Owns arguments and output of this action. Must not contain a domain rule.
"""

from __future__ import annotations

import uuid
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, Final, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks_app.api.failure_serializers import failure_data
from tasks_app.auth import audit_log
from tasks_app.domain import max_failures
from tasks_app.domain.printable import escape
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.management.actor import find_actor
from tasks_app.management.arguments import text
from tasks_app.read_model import failure_list, task_queries
from tasks_app.services.retry_failures import retry_failures

_SHOWN: Final = 100
_MESSAGE_CHARACTERS: Final = 200


class TaskCommand(Protocol):
    """What this action needs of `manage.py task`."""

    stdout: Any
    json: bool
    console: Console

    def show(self, snapshot: Snapshot) -> None: ...

    def print_json(self, data: Any) -> None: ...


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `task failures`."""
    parser.add_argument("id", type=text)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--csv", action="store_true", help="write all of them as CSV, in UTF-8")
    which.add_argument("--retry", action="store_true", help="start a task of these records alone")


def read_bound(value: str) -> int | str:
    """Parse --max-failures. Raises ArgumentTypeError."""
    given: int | str = int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else value
    try:
        max_failures.read_max_failures(given)
    except ValueError as error:
        raise ArgumentTypeError(f"{value[:40]!r} is not valid; {error}") from None
    return given


def run(command: TaskCommand, *, task_id: str, csv: bool, retry: bool) -> None:
    """Carry out the action. With JSON, one line for each failure. Raises as the queries and services do."""
    if retry:
        command.show(retry_failures(task_id=task_id, actor=find_actor(), source=audit_log.CLI).snapshot)
        return
    task = task_queries.get_task(task_id=task_id)
    key = uuid.UUID(task.id)
    if csv:
        for part in failure_list.write_csv(task_id=key):
            command.stdout.write(part.decode(), ending="")
    elif command.json:
        for failure in failure_list.iterate_failures(task_id=key):
            command.print_json(failure_data(failure))
    else:
        _print_table(command, task, failure_list.read_page(task_id=key, limit=_SHOWN))


def _print_table(command: TaskCommand, task: Snapshot, page: failure_list.FailurePage) -> None:
    table = Table("position", "line", "key", "code", "message", box=None)
    for each in page.failures:
        message = escape(each.message[:_MESSAGE_CHARACTERS])
        line = "" if each.line is None else f"{each.line:,}"
        table.add_row(f"{each.position:,}", line, Text(escape(each.key)), each.code, Text(message))
    command.console.print(table)
    allowed = f"{task.failed_records:,} failed records; allowed: {task.given_max_failures}."
    command.stdout.write(allowed + (" --csv writes all of them." if page.next_cursor else ""))
