"""`manage.py demo`: runs two uploads on a temporary stack through the REST API, then counts the rows with SQL.

Owns the demo's report. Must not count with the application's code, nor use the database or Redis that .env names.
"""

import http.client
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from longtasks.local_stack.banner import CREATE_USER, format_banner, list_pages
from longtasks.local_stack.procfile import free_port
from longtasks.local_stack.supervisor import Stack, StackError
from tasks_app.conf.service_url import ServiceUrl

TABLES = ("users", "products", "order_items")
ENDED = frozenset({"finished", "failed", "canceled", "stopped"})
DEADLINE_SECONDS = 600
PLAIN_LINE_SECONDS = 1.0
LOG_LINES = 20
Task = dict[str, Any]


class Command(BaseCommand):
    help = "Start a temporary stack, run a large upload of priority low and a small one of priority high, and count the rows."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--records", type=int, default=100_000, help="records of the low task (default: 100,000)")
        parser.add_argument("--high-records", type=int, default=1_000, help="records of the high task (default: 1,000)")
        parser.add_argument(
            "--keep", action="store_true", help="keep the database and the log, and print their directory"
        )

    def handle(self, *args: Any, records: int, high_records: int, keep: bool, **options: Any) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.default_int_handler)
        directory = Path(tempfile.mkdtemp(prefix="longtasks-demo-"))
        log_path = directory / "stack.log"
        try:
            with log_path.open("w") as log, _stack(directory=directory, log=log) as stack:
                pages = list_pages(
                    stack.address, create_user=f"ENV_FILE= DATABASE_URL={_database_url(directory)} {CREATE_USER}"
                )
                self.stdout.write(format_banner("the demo is up until both tasks end", pages))
                console = Console(file=sys.stdout)
                tasks = _run(stack=stack, console=console, records=records, high_records=high_records)
            # Counted after the stack has stopped, so that only rows on disk count.
            differences = _report(
                console=console,
                tasks=tasks,
                expected=records + high_records,
                counted=_count_rows(directory / "longtasks.sqlite3"),
            )
        except StackError as error:
            raise CommandError(f"{error}\n{_tail(log_path)}".strip()) from error
        except KeyboardInterrupt:
            raise CommandError("interrupted before both tasks ended", returncode=130) from None
        finally:
            if keep:
                self.stdout.write(f"Kept: {directory}")
            else:
                shutil.rmtree(directory, ignore_errors=True)
        if differences:
            raise CommandError("The demo found differences: " + "; ".join(differences))
        low, high = tasks
        if high["endedAt"] < low["endedAt"]:
            ahead_seconds = _seconds(high["endedAt"], low["endedAt"])
            self.stdout.write(f"The high task started later and ended {ahead_seconds:.1f} s before the low task.")
        self.stdout.write(f"Equal: {records + high_records:,} records, {3 * (records + high_records):,} rows.")


def _stack(*, directory: Path, log: TextIO) -> Stack:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "settings.development",
        "ENV_FILE": "",  # ignore .env, which may name the user's own database
        "BIND": "127.0.0.1",
        "DATABASE_URL": _database_url(directory),
    }
    return Stack(environment=environment, port=free_port(), workers=2, data_dir=directory, redis_url="", output=log)


def _database_url(directory: Path) -> str:
    return str(ServiceUrl(scheme="sqlite", path=f"/{directory / 'longtasks.sqlite3'}"))


def _run(*, stack: Stack, console: Console, records: int, high_records: int) -> list[Task]:
    """Start both tasks and wait until they end; return them as the API shows them. Raises StackError."""
    low = _start(stack, records=records, priority="low")
    high: Task | None = None
    deadline = time.monotonic() + DEADLINE_SECONDS
    show, close = _bars(console) if console.is_terminal else _lines(console)
    try:
        while True:
            low = _get(stack, low)
            if high:
                high = _get(stack, high)
            elif low["status"] != "queued":
                high = _start(stack, records=high_records, priority="high")
            show([task for task in (low, high) if task])
            if high and low["status"] in ENDED and high["status"] in ENDED:
                return [low, high]
            if time.monotonic() > deadline:
                raise StackError(f"the tasks have not ended after {DEADLINE_SECONDS} s")
            stack.watch(seconds=0.1)
    finally:
        close()


def _bars(console: Console) -> tuple[Callable[[list[Task]], None], Callable[[], None]]:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeElapsedColumn(),
        console=console,
    )
    bars: dict[str, Any] = {}
    progress.start()

    def show(tasks: list[Task]) -> None:
        for task in tasks:
            if task["id"] not in bars:
                name = f"{task['name']} ({task['priority']})"
                bars[task["id"]] = progress.add_task(name, total=task["progress"]["total"], status="")
            progress.update(bars[task["id"]], completed=task["progress"]["done"], status=task["status"])

    return show, progress.stop


def _lines(console: Console) -> tuple[Callable[[list[Task]], None], Callable[[], None]]:
    """Print a line for each task at each change of status and about every second; used if the output is not a terminal."""
    shown: dict[str, tuple[str, float]] = {}

    def show(tasks: list[Task]) -> None:
        now = time.monotonic()
        for task in tasks:
            status, shown_at = shown.get(task["id"], ("", 0.0))
            if task["status"] == status and (status in ENDED or now - shown_at < PLAIN_LINE_SECONDS):
                continue
            shown[task["id"]] = (task["status"], now)
            done, total = task["progress"]["done"], task["progress"]["total"]
            name = f"{task['name']} ({task['priority']})"
            line = f"{name:<14} {done:>9,} of {total:,}  {done * 100 // total:>3} %  {task['status']}"
            print(line, file=console.file, flush=True)

    return show, lambda: None


def _report(*, console: Console, tasks: list[Task], expected: int, counted: dict[str, int]) -> list[str]:
    """Print both tables; return one sentence for each difference."""
    console.print(_task_table(tasks))
    reported = {table: sum(task["insertedRecords"][table] for task in tasks) for table in TABLES}
    counts = Table("table", "requested", "reported by the tasks", "SELECT COUNT(*)", "")
    for column in counts.columns[1:4]:
        column.justify = "right"
    for table in TABLES:
        equal = expected == reported[table] == counted[table]
        figures = (f"{number:,}" for number in (expected, reported[table], counted[table]))
        counts.add_row(table, *figures, "equal" if equal else "DIFFERENT")
    console.print(counts)
    wrong_tasks = [
        f"{task['name']} ({task['priority']}) is {task['status']}" for task in tasks if task["status"] != "finished"
    ]
    wrong_tables = [
        f"{table}: requested {expected:,}, reported {reported[table]:,}, counted {counted[table]:,}"
        for table in TABLES
        if not expected == reported[table] == counted[table]
    ]
    return wrong_tasks + wrong_tables


def _task_table(tasks: list[Task]) -> Table:
    table = Table("task", "priority", "state", "records", "waited", "ran", "records/s")
    for column in table.columns[3:]:
        column.justify = "right"
    for task in tasks:
        waited_seconds = _seconds(task["createdAt"], task["startedAt"])
        ran_seconds = _seconds(task["startedAt"], task["endedAt"])
        done = task["progress"]["done"]
        rate = f"{done / ran_seconds:,.0f}" if ran_seconds else ""
        table.add_row(
            task["name"],
            task["priority"],
            task["status"],
            f"{done:,}",
            f"{waited_seconds:.2f} s",
            f"{ran_seconds:.2f} s",
            rate,
        )
    return table


def _seconds(start: str | None, end: str | None) -> float:
    if not start or not end:
        return 0.0
    return max((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 0.0)


def _count_rows(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        statements = [f"SELECT COUNT(*) FROM {table}" for table in TABLES]  # noqa: S608 (our own table names)
        counts = (database.execute(statement).fetchone()[0] for statement in statements)
        return dict(zip(TABLES, counts, strict=True))


def _start(stack: Stack, *, records: int, priority: str) -> Task:
    body = {"name": "upload", "description": "demo", "params": {"numRecords": records}, "priority": priority}
    return _request(stack, "POST", "/tasks", body=json.dumps(body))


def _get(stack: Stack, task: Task) -> Task:
    return _request(stack, "GET", f"/tasks/{task['id']}")


def _request(stack: Stack, method: str, path: str, *, body: str | None = None) -> Task:
    connection = http.client.HTTPConnection(stack.host, stack.port, timeout=30)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        content = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise StackError(f"{method} {path}: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if response.status not in {200, 201}:
        raise StackError(f"{method} {path}: {response.status} {content}")
    task: Task = json.loads(content)
    return task


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_LINES:]) if path.exists() else ""
