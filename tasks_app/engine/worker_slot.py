"""One of the NUM slots of `manage.py workers`: a worker process, and its successors.

Owns when a process is started, replaced or killed, and the pause after a short life. Must not know the other slots
(worker_supervisor).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import redis

from tasks_app.engine.leftovers import RETIRED_CODE
from tasks_app.engine.worker_process import WorkerCommand, WorkerProcess
from tasks_app.process_monitor.code_version import read_code_version
from tasks_app.process_monitor.exits import name_exit
from tasks_app.queues import redis_connection, redis_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks_app.engine.exit_reports import ExitReporter
    from tasks_app.process_monitor.reporter import ProcessReporter

logger = logging.getLogger(__name__)
POLL_SECONDS: Final = 0.1
SHORT_LIFE_SECONDS: Final = 5.0  # a process that dies sooner than this is started again after a pause
LONGEST_PAUSE_SECONDS: Final = 5.0
READY_SECONDS: Final = 30.0  # a new worker has that long to come up in a reload
# A deploy waits for no task: a chunk that takes longer is run again by the next worker, and costs no attempt.
GRACE_SECONDS: Final = 1.6
HANG: Final = (
    "hung: none of its threads had run for {seconds:.0f} s, since a call held Python's lock (a regular expression, "
    "C code) or the process was stopped"
)


@dataclass(frozen=True, slots=True)
class SlotContext:
    """What the slots of one parent share."""

    command: WorkerCommand
    exits: ExitReporter
    reporter: ProcessReporter
    suspect_seconds: float  # without a pulse for so long: the parent reports the worker as silent
    hang_seconds: float  # without a pulse for so long: the parent kills it
    should_stop: Callable[[], bool]


class WorkerSlot:
    """One slot: a worker process, and those that follow when it dies."""

    def __init__(self, context: SlotContext) -> None:
        self._context = context
        self._pause_seconds = 0.0
        self._start_at = 0.0
        self._worker: WorkerProcess | None = WorkerProcess(context.command)
        self._watched = context.reporter.watch("worker", self._worker.popen.pid)
        self.ended = False

    def watch(self, *, restart: bool) -> None:
        """Notice that the process has died or hangs, and start its successor. Without `restart` it is not replaced."""
        if (worker := self._worker) is not None:
            code = worker.popen.poll()
            if code is None:
                self._watch_pulse(worker)
                return
            self._worker = None
            if not self._note_exit(worker, code, restart=restart):
                self.ended = True
                return
            restart = True
        if restart and time.monotonic() >= self._start_at:
            self._start_successor()

    def replace(self) -> bool:
        """Start the successor, wait until it works, and only then end the old process. False: it did not come up."""
        try:
            old, new = self._worker, WorkerProcess(self._context.command)
        except OSError as error:
            logger.error("a worker cannot be started: %s", error)
            return False
        deadline = time.monotonic() + READY_SECONDS
        while not _is_registered(new.name):
            if new.popen.poll() is not None or time.monotonic() > deadline or self._context.should_stop():
                new.end(grace_seconds=0)
                self._context.exits.note_exit(new.name, was_killed=False)
                return False
            time.sleep(POLL_SECONDS)
        self._worker = new
        self._report_successor(new)
        if old is not None:
            old.popen.terminate()
            if not old.end(grace_seconds=GRACE_SECONDS):
                self._context.exits.note_exit(old.name, was_killed=False)
        return True

    def terminate(self) -> None:
        """Send SIGTERM, and do not wait."""
        if self._worker is not None:
            self._worker.popen.terminate()

    def wait(self, *, deadline: float) -> str:
        """Wait for the end, and kill the process at the deadline. Returns the name of the worker that was killed, or ""."""
        worker = self._worker
        if worker is None or worker.end(grace_seconds=deadline - time.monotonic()):
            return ""
        return worker.name

    def _note_exit(self, worker: WorkerProcess, code: int, *, restart: bool) -> bool:
        """Report the exit and set when a successor starts. False: none shall start."""
        if cause := worker.find_cause_of_exit(code):
            self._context.exits.note_exit(worker.name, was_killed=True, cause=cause)
        has_retired = code == RETIRED_CODE and not cause  # only a new process can continue, also in a burst
        if not restart and not has_retired:
            return False
        if not has_retired:
            self._watched.note_exit("hung" if worker.hang else name_exit(code))
        lived_seconds = time.monotonic() - worker.started_at
        longer = min(LONGEST_PAUSE_SECONDS, max(0.25, self._pause_seconds * 2))
        is_short = lived_seconds < SHORT_LIFE_SECONDS and not has_retired
        self._pause_seconds = longer if is_short else 0.0
        self._start_at = time.monotonic() + self._pause_seconds
        how = cause or ("retired after a task" if has_retired else "ended")
        logger.warning("worker %s %s: a new one starts in %.2f s", worker.name, how, self._pause_seconds)
        return True

    def _start_successor(self) -> None:
        try:
            self._worker = WorkerProcess(self._context.command)
            self._report_successor(self._worker)
        except OSError as error:  # no process or no memory is available: the running workers continue
            logger.error("a worker cannot be started, trying again in %.0f s: %s", LONGEST_PAUSE_SECONDS, error)
            self._start_at = time.monotonic() + LONGEST_PAUSE_SECONDS

    def _report_successor(self, worker: WorkerProcess) -> None:
        self._watched.follow(worker.popen.pid, version=read_code_version())
        self._context.reporter.hurry()

    def _watch_pulse(self, worker: WorkerProcess) -> None:
        silent_seconds = worker.pulse.measure_silence()
        is_suspect = silent_seconds >= self._context.suspect_seconds
        if is_suspect != worker.is_suspect:
            worker.is_suspect = is_suspect
            cause = HANG.format(seconds=silent_seconds) if is_suspect else ""
            self._context.exits.note_silence(worker.name, cause=cause)
        if silent_seconds >= self._context.hang_seconds and not worker.hang:
            worker.hang = HANG.format(seconds=silent_seconds)
            logger.error("worker %s is killed, it %s", worker.name, worker.hang)
            worker.popen.kill()


def _is_registered(worker: str) -> bool:
    try:
        return bool(redis_connection.get_connection().exists(redis_keys.worker_key(worker)))
    except redis.RedisError:
        return False
