"""Reports the exits and hangs of worker processes to Redis, so that recovery need not wait for their leases.

Owns what is not reported yet, and when it is tried again. Must not judge whether a worker is dead (recovery does).
"""

from __future__ import annotations

import logging
import signal
import time
from dataclasses import dataclass
from typing import Final

import redis

from tasks_app.queues import redis_connection, worker_entries

logger = logging.getLogger(__name__)
RETRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """The exit of a worker process: whether it was killed in the middle of its work, and by what."""

    worker: str
    was_killed: bool
    cause: str = ""


class ExitReporter:
    """The exits and suspicions of one parent process that Redis does not know yet."""

    def __init__(self) -> None:
        self._exits: list[WorkerExit] = []
        self._suspicions: dict[str, str] = {}
        self._retry_at = 0.0

    def note_exit(self, worker: str, *, was_killed: bool, cause: str = "") -> None:
        """Keep an exit for the next report."""
        self._exits.append(WorkerExit(worker, was_killed, cause))

    def note_silence(self, worker: str, *, cause: str) -> None:
        """Keep why a worker sends no pulse; with an empty cause: it sends its pulse again."""
        self._suspicions[worker] = cause

    def report(self) -> None:
        """Write to Redis what it does not know yet. If Redis fails, the rest is tried again after RETRY_SECONDS."""
        if not (self._exits or self._suspicions) or time.monotonic() < self._retry_at:
            return
        try:
            while self._suspicions:
                worker, cause = next(iter(self._suspicions.items()))
                worker_entries.note_cause(redis_connection.get_connection(), worker=worker, cause=cause)
                del self._suspicions[worker]
            while self._exits:
                _report_exit(self._exits[0])
                self._exits.pop(0)
        except redis.RedisError as error:
            worker = [*self._suspicions, *(each.worker for each in self._exits)][0]
            logger.warning("the exit or hang of worker %s cannot be reported yet: %s", worker, error)
            self._retry_at = time.monotonic() + RETRY_SECONDS


def report_stopped(workers: list[str]) -> None:
    """Report workers that were killed because they did not end in time when they were told to stop. Raises Redis's errors."""
    for worker in workers:
        _report_exit(WorkerExit(worker, was_killed=False))


def describe_exit(code: int) -> str:
    """Say in words how a process has ended, by the code that `subprocess` gives."""
    if code >= 0:
        return f"ended with exit code {code} in the middle of its work"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    out_of_memory = ", as the kernel does when memory runs out" if -code == signal.SIGKILL else ""
    return f"killed by {name}{out_of_memory}"


def _report_exit(each: WorkerExit) -> None:
    worker_entries.report_exit(
        redis_connection.get_connection(), worker=each.worker, was_killed=each.was_killed, cause=each.cause
    )
