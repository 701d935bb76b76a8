"""Simulated crashes: at a commit of a chunk, an exception that nothing handles ends the work as the death of a process does.

Owns the points, and what a process forgets when it dies. Must not run a task.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from django.db import connections, router, transaction

from tasks_app.models import TaskCheckpoint
from tasks_app.resilience import failpoints
from tasks_app.task_types import get_task_type, register
from tasks_app.task_types.imports import open_import


class Crash(BaseException):
    """The simulated death of the process. Not an Exception, so that no handler survives it."""


class When(Enum):
    """On which side of a commit the process dies."""

    BEFORE = "before"  # rows and checkpoint are written, not committed
    AFTER = "after"  # they are committed, and nothing that follows has happened, hooks of on_commit neither


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """One commit of a task, counted from 1, and a side of it."""

    when: When
    commit: int

    def __str__(self) -> str:
        return f"a crash {self.when.value} commit {self.commit}"


class CrashOnce:
    """A failpoint's listener: crashes at one point, or nowhere; counts the commits."""

    def __init__(self, point: CrashPoint | None = None) -> None:
        self._point = point
        self.commits = 0

    def __call__(self, failpoint: str) -> None:
        if failpoint != failpoints.BEFORE_CHUNK_COMMIT:
            return
        self.commits += 1
        if self._point is not None and self.commits == self._point.commit:
            when, self._point = self._point.when, None
            crash(when)


class CrashAlways:
    """A failpoint's listener: crashes before each commit, and when that is tried again, after it."""

    def __init__(self) -> None:
        self._next = When.BEFORE

    def __call__(self, failpoint: str) -> None:
        if failpoint != failpoints.BEFORE_CHUNK_COMMIT:
            return
        when = self._next
        self._next = When.AFTER if when is When.BEFORE else When.BEFORE
        crash(when)


def crash(when: When) -> None:
    """Crash inside the chunk's transaction, or as soon as it has committed."""
    if when is When.BEFORE:
        raise Crash
    connection = transaction.get_connection(router.db_for_write(TaskCheckpoint))
    transaction.on_commit(_crash, using=connection.alias)
    # Before the hooks of the task type: they would not run in a process that has died.
    connection.run_on_commit.insert(0, connection.run_on_commit.pop())


def _crash() -> None:
    raise Crash


def forget_process(name: str) -> None:
    """Forget what a new process does not have: connections, open files, and the instance of the task type."""
    open_import.hold(None, None)
    connections.close_all()
    register(type(get_task_type(name)))
