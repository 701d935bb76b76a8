"""`manage.py workers NUM`: NUM worker processes under one parent that starts a new one for each that dies or hangs.

Owns the life of worker processes: start, death and its cause, replacement, end. Must not know tasks.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, Final

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from uuid_utils import uuid4

from tasks_app.database import charsets
from tasks_app.engine import pulse
from tasks_app.engine.leftovers import RETIRED_CODE
from tasks_app.management.arguments import text
from tasks_app.management.rq_arguments import read_queues, read_types
from tasks_app.process_monitor.code_version import read_code_version
from tasks_app.process_monitor.exits import name_exit
from tasks_app.process_monitor.reporter import ProcessReporter
from tasks_app.queues import queue_names, redis_connection, redis_keys, worker_liveness
from tasks_app.resilience.process_exit import exit_at_once

logger = logging.getLogger(__name__)
PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_libc: Final = ctypes.CDLL(None)
POLL_SECONDS: Final = 0.1
SHORT_LIFE_SECONDS: Final = 5.0  # a child that dies sooner than this is started again after a pause
LONGEST_PAUSE_SECONDS: Final = 5.0
# A worker none of whose threads has run for so long is killed; if three leases are longer, after those.
HANG_SECONDS: Final = 30.0
HANG: Final = (
    "hung: none of its threads had run for {seconds:.0f} s, since a call held Python's lock (a regular expression, "
    "C code) or the process was stopped"
)
READY_SECONDS: Final = 30.0  # a new worker has that long to come up in a reload
# A deploy waits for no task: a chunk that takes longer is run again by the next worker, and costs no attempt.
GRACE_SECONDS: Final = 1.6
CERTIFY_SECONDS: Final = 0.25  # to tell of those that were killed then
CERTIFY_AGAIN_SECONDS: Final = 1.0


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
        lease_seconds = settings.LONGTASKS.lease_seconds
        self.hang_seconds = options["hang_seconds"] or max(HANG_SECONDS, 3 * lease_seconds)
        # A task whose lease runs out meanwhile shall say why: told while the lease still holds.
        self.suspect_seconds = min(self.hang_seconds, max(3 * pulse.BEAT_SECONDS, lease_seconds / 2))
        names = read_queues([name.strip() for name in options["queues"].split(",")])
        self.command = [sys.executable, sys.argv[0], "rqworker", *names, "--verbosity", "0"]
        if options["types"] is not None:
            self.command += ["--types", ",".join(read_types(options["types"]))]
        if options["burst"]:
            self.command.append("--burst")
        # A worker shows no pages: DEBUG would only make it keep every statement in memory.
        self.environment = os.environ | {"DEBUG": "0"}
        if options["pause_ms"]:
            self.environment["PAUSE_MS"] = str(options["pause_ms"])
        self.should_stop = self.should_roll = False
        self.exits: list[WorkerExit] = []  # of which Redis does not know yet
        self.suspicions: dict[str, str] = {}  # the same, by worker: why it is silent, or "" where it no longer is
        self.certify_at = 0.0
        signal.signal(signal.SIGHUP, self.request_roll)
        signal.signal(signal.SIGTERM, self.request_stop)
        signal.signal(signal.SIGINT, self.request_stop)
        charsets.warn_of_narrow_tables()
        connections.close_all()  # the parent asks the database nothing else
        # Not in a thread: this process forks.
        self.reporter = ProcessReporter()
        self.reporter.watch("workers", os.getpid())
        self.children = [Child(self) for _ in range(options["num"])]
        self.supervise(burst=options["burst"])

    def supervise(self, *, burst: bool) -> None:
        while not self.should_stop:
            for child in self.children:
                child.watch(restart=not burst)
            self.report_exits()
            self.reporter.report_due()
            if self.should_roll and not burst:
                self.should_roll = False
                self.roll()
            if burst and all(child.ended for child in self.children):
                return
            time.sleep(POLL_SECONDS)
        for child in self.children:
            child.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        self.reporter.end()
        killed = [name for child in self.children if (name := child.wait(deadline))]
        if killed:
            # In a thread, since Redis may be the one that hangs; nothing is forked any more.
            thread = threading.Thread(target=_report_stopped, args=(killed,), daemon=True)
            thread.start()
            thread.join(CERTIFY_SECONDS)
        exit_at_once()

    def report_exits(self) -> None:
        """Tell the rescue which workers have died or fallen silent, and why: tasks of the dead need not wait."""
        if not (self.exits or self.suspicions) or time.monotonic() < self.certify_at:
            return
        try:
            while self.suspicions:
                worker, cause = next(iter(self.suspicions.items()))
                worker_liveness.note_cause(redis_connection.get_connection(), worker=worker, cause=cause)
                del self.suspicions[worker]
            while self.exits:
                death = self.exits[0]
                worker_liveness.report_exit(
                    redis_connection.get_connection(),
                    worker=death.worker,
                    was_killed=death.was_killed,
                    cause=death.cause,
                )
                self.exits.pop(0)
        except redis.RedisError as error:
            names = [*self.suspicions, *(death.worker for death in self.exits)]
            logger.warning("what became of worker %s can't be told yet: %s", names[0], error)
            self.certify_at = time.monotonic() + CERTIFY_AGAIN_SECONDS

    def roll(self) -> None:
        """Replace the children one by one, each by one that runs the code as it is now and is ready to work.

        Where a new one does not come up, the old ones stay: broken code stops nobody.
        """
        for child in self.children:
            if self.should_stop:
                return
            if not child.replace():
                logger.error("the reload is broken off: a new worker does not start; the old ones go on")
                return
            for each in self.children:
                each.watch(restart=True)
        logger.info("all %d workers are new", len(self.children))

    def request_roll(self, signum: int, frame: FrameType | None) -> None:
        self.should_roll = True

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.should_stop = True


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """A worker process that is gone: whether in the middle of its work, and what ended it."""

    worker: str
    was_killed: bool
    cause: str = ""


class WorkerProcess:
    """One worker process, and its pulse."""

    def __init__(self, command: Command) -> None:
        self.started_at = time.monotonic()
        self.name = f"{socket.gethostname()}-{uuid4().hex[:8]}".replace(":", "-")
        self.pulse = pulse.PulseReader()
        self.is_suspect = False
        self.hang = ""  # why it was killed from here
        try:
            self.popen = subprocess.Popen(  # noqa: S603 (a list of our own, no shell)
                [*command.command, "--name", self.name],
                env=command.environment | {pulse.VARIABLE: str(self.pulse.worker_end)},
                pass_fds=[self.pulse.worker_end],
                start_new_session=True,  # Ctrl-C reaches the parent only, which ends its children in order
                preexec_fn=partial(_end_with_parent, os.getpid()),
            )
        except BaseException:
            self.pulse.close()
            raise
        finally:
            self.pulse.close_worker_end()

    def end(self, *, grace_seconds: float) -> bool:
        """Wait for the end, and bring it about when the time is over. False: it had to be killed."""
        try:
            self.popen.wait(timeout=max(0.0, grace_seconds))
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            return False
        finally:
            self.pulse.close()
        return True

    def find_cause_of_death(self, code: int) -> str:
        """Return in words what ended the process in the middle of its work; "" where it ended in good order."""
        self.pulse.close()
        if code in (0, RETIRED_CODE) and self.pulse.has_said_farewell:
            return ""
        return self.hang or describe_exit(code)


class Child:
    """One of the NUM: a worker process, and those that follow when it dies."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._pause_seconds = 0.0
        self._start_at = 0.0
        self._worker: WorkerProcess | None = WorkerProcess(command)
        self._watched = command.reporter.watch("worker", self._worker.popen.pid)
        self.ended = False

    def watch(self, *, restart: bool) -> None:
        """Notice when the process has died or hangs, and start a new one."""
        if (worker := self._worker) is not None:
            code = worker.popen.poll()
            if code is None:
                self._watch_pulse(worker)
                return
            self._worker = None
            if cause := worker.find_cause_of_death(code):
                self._command.exits.append(WorkerExit(worker.name, True, cause))
            has_retired = code == RETIRED_CODE and not cause  # for what only a new process can mend: in a burst, too
            if not restart and not has_retired:
                self.ended = True
                return
            if not has_retired:
                self._watched.note_exit("hung" if worker.hang else name_exit(code))
            lived_seconds = time.monotonic() - worker.started_at
            longer = min(LONGEST_PAUSE_SECONDS, max(0.25, self._pause_seconds * 2))
            is_short = lived_seconds < SHORT_LIFE_SECONDS and not has_retired
            self._pause_seconds = longer if is_short else 0.0
            self._start_at = time.monotonic() + self._pause_seconds
            how = cause or ("retired after a task" if has_retired else "ended")
            logger.warning("worker %s %s: a new one starts in %.2f s", worker.name, how, self._pause_seconds)
            restart = True
        if restart and time.monotonic() >= self._start_at:
            try:
                self._worker = WorkerProcess(self._command)
                self._follow(self._worker)
            except OSError as error:  # no process or no memory to be had: the workers that run go on
                logger.error("a worker cannot be started, trying again in %.0f s: %s", LONGEST_PAUSE_SECONDS, error)
                self._start_at = time.monotonic() + LONGEST_PAUSE_SECONDS

    def _follow(self, worker: WorkerProcess) -> None:
        self._watched.follow(worker.popen.pid, version=read_code_version())
        self._command.reporter.hurry()

    def _watch_pulse(self, worker: WorkerProcess) -> None:
        silent_seconds = worker.pulse.look()
        is_suspect = silent_seconds >= self._command.suspect_seconds
        if is_suspect != worker.is_suspect:
            worker.is_suspect = is_suspect
            self._command.suspicions[worker.name] = HANG.format(seconds=silent_seconds) if is_suspect else ""
        if silent_seconds >= self._command.hang_seconds and not worker.hang:
            worker.hang = HANG.format(seconds=silent_seconds)
            logger.error("worker %s is killed, it %s", worker.name, worker.hang)
            worker.popen.kill()

    def replace(self) -> bool:
        """Start the successor, wait until it works, and only then end the old one. False: it did not come up."""
        try:
            old, new = self._worker, WorkerProcess(self._command)
        except OSError as error:
            logger.error("a worker cannot be started: %s", error)
            return False
        deadline = time.monotonic() + READY_SECONDS
        while not _is_at_work(new.name):
            if new.popen.poll() is not None or time.monotonic() > deadline or self._command.should_stop:
                new.end(grace_seconds=0)
                self._command.exits.append(WorkerExit(new.name, False))
                return False
            time.sleep(POLL_SECONDS)
        self._worker = new
        self._follow(new)
        if old is not None:
            old.popen.terminate()
            if not old.end(grace_seconds=GRACE_SECONDS):
                self._command.exits.append(WorkerExit(old.name, False))
        return True

    def terminate(self) -> None:
        if self._worker is not None:
            self._worker.popen.terminate()

    def wait(self, deadline: float) -> str:
        """Wait for the end, and bring it about at the deadline. Returns the name of the worker that had to be killed."""
        worker = self._worker
        if worker is None or worker.end(grace_seconds=deadline - time.monotonic()):
            return ""
        return worker.name


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


def _is_at_work(worker: str) -> bool:
    try:
        return bool(redis_connection.get_connection().exists(redis_keys.worker_key(worker)))
    except redis.RedisError:
        return False


def _report_stopped(workers: list[str]) -> None:
    for worker in workers:
        worker_liveness.report_exit(redis_connection.get_connection(), worker=worker, was_killed=False)


def _end_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies (kill -9 included): no worker runs on unseen."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:  # it has died before the kernel was asked
        os._exit(1)
