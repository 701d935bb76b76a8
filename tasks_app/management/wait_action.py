"""`manage.py task wait`: waits until a task has ended, for scripts and deployment pipelines.

Owns arguments, output and the timeout of this action. Must not change a task, except that it enqueues one that a migration
wants and could not enqueue.
"""

from __future__ import annotations

import math
import time
import uuid
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from tasks_app.domain.progress_text import describe_progress
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import LongtasksError
from tasks_app.management.arguments import duration, text
from tasks_app.management.task_following import POLL_SECONDS, follow_task
from tasks_app.migration_gates import gate_tasks
from tasks_app.models import MigrationTask
from tasks_app.read_model.task_queries import get_task
from tasks_app.task_types import get_task_type

KNOWN_SECONDS: Final = 5.0  # within which the mirror has written a task that was started just before
LINE_SECONDS: Final = 5.0  # between two lines about progress


class TaskCommand(Protocol):
    """What this action needs of `manage.py task`."""

    stderr: Any

    def show(self, snapshot: Snapshot, *, trace: bool = True) -> None: ...


class StillRunning(LongtasksError):
    """The time is over, and the task has not ended."""


class NoSuchTask(LongtasksError):
    """No task of the type is known."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `task wait`."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("id", type=text, nargs="?")
    which.add_argument("--name", type=text, help="wait for the newest task of this type")
    parser.add_argument(
        "--timeout", type=_timeout, metavar="DURATION", help="wait at most so long, as 90s, 15m or 1h (without end)"
    )


def run(command: TaskCommand, *, task_id: str | None, name: str | None, timeout: timedelta | None) -> Snapshot | None:
    """Wait for the end of a task, show it, and return it; None if a migration has done the work itself.

    Raises StillRunning, NoSuchTask, UnknownTask, UnknownTaskType, and what a query raises at the first read.
    """
    ends_at = time.monotonic() + (math.inf if timeout is None else timeout.total_seconds())
    if task_id is not None:
        begun = get_task(task_id=task_id)
    else:
        found = _find_newest(name or "", ends_at=ends_at)
        if isinstance(found, MigrationTask):
            command.stderr.write(f"{name} ran inside of a migration of {found.app_label} at {found.finished_at}.")
            return None
        begun = found
        command.stderr.write(f"{name}: the newest task is {begun.id}, created at {begun.created_at}.")
    status, line, shown_at = "", "", -math.inf
    for snapshot in follow_task(begun, timeout_seconds=ends_at - time.monotonic()):
        now = describe_progress(snapshot, now=datetime.now(UTC))
        if now != line and (snapshot.status != status or time.monotonic() - shown_at >= LINE_SECONDS):
            command.stderr.write(f"{snapshot.name} {now}")
            status, line, shown_at = snapshot.status, now, time.monotonic()
    command.show(snapshot, trace=snapshot.ended)
    if not snapshot.ended:
        raise StillRunning(
            f"The time is over: {snapshot.name} (id {snapshot.id}) {describe_progress(snapshot, now=datetime.now(UTC))}. "
            "It continues."
        )
    return snapshot


def _find_newest(name: str, *, ends_at: float) -> MigrationTask | Snapshot:
    """Return the newest task of a type: waits briefly, because the mirror may not have written it yet."""
    get_task_type(name)
    until = min(ends_at, time.monotonic() + KNOWN_SECONDS)
    while True:
        found = gate_tasks.find_newest_of_type(name)
        if isinstance(found, MigrationTask) and found.finished_at is None:
            gate_tasks.enqueue(found)
            found = gate_tasks.find_by_id(found.task_id)
        elif isinstance(found, Snapshot):
            found = gate_tasks.find_by_id(uuid.UUID(found.id))
        if found is not None:
            return found
        if time.monotonic() >= until:
            raise NoSuchTask(f"There is no task of the type {name!r}.")
        time.sleep(POLL_SECONDS)


def _timeout(value: str) -> timedelta:
    found = duration(value)
    if found <= timedelta(0):
        raise ArgumentTypeError(f"{value[:40]!r} is no time to wait: give more than 0, such as 90s, 15m or 1h")
    return found
