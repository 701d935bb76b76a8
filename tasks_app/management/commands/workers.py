"""`manage.py workers NUM`: NUM worker processes under one parent that starts a new one for each that dies."""

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
from functools import partial
from types import FrameType
from typing import Any, Final

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser
from uuid_utils import uuid4

from tasks_app import liveness, queue
from tasks_app.infrastructure import exit_at_once

logger = logging.getLogger(__name__)
PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_libc: Final = ctypes.CDLL(None)
POLL_SECONDS: Final = 0.1
SHORT_LIFE_SECONDS: Final = 5.0  # a child that dies sooner than this is started again after a pause
LONGEST_PAUSE_SECONDS: Final = 5.0
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
        parser.add_argument("num", type=int, help="how many worker processes")
        parser.add_argument("--pause-ms", type=int, default=0, help="artificial pause after every chunk")
        parser.add_argument("--queues", default=",".join(queue.QUEUES), help="queues to serve, in order, by comma")
        parser.add_argument("--burst", action="store_true", help="end when the queues are empty")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["num"] < 1:
            raise CommandError(f"NUM is {options['num']}: give 1 or more.")
        names = [queue.check_queue(name.strip()) for name in options["queues"].split(",")]
        self.command = [sys.executable, sys.argv[0], "rqworker", *names, "--verbosity", "0"]
        if options["burst"]:
            self.command.append("--burst")
        # A worker shows no pages: DEBUG would only make it keep every statement in memory.
        self.environment = os.environ | {"DEBUG": "0"}
        if options["pause_ms"]:
            self.environment["PAUSE_MS"] = str(options["pause_ms"])
        self.should_stop = self.should_roll = False
        self.deaths: list[tuple[str, bool]] = []  # workers that died, and Redis does not know yet
        self.certify_at = 0.0
        signal.signal(signal.SIGHUP, self.request_roll)
        signal.signal(signal.SIGTERM, self.request_stop)
        signal.signal(signal.SIGINT, self.request_stop)
        self.children = [Child(self) for _ in range(options["num"])]
        self.supervise(burst=options["burst"])

    def supervise(self, *, burst: bool) -> None:
        while not self.should_stop:
            for child in self.children:
                child.watch(restart=not burst)
            self.certify_deaths()
            if self.should_roll and not burst:
                self.should_roll = False
                self.roll()
            if burst and all(child.ended for child in self.children):
                return
            time.sleep(POLL_SECONDS)
        for child in self.children:
            child.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        killed = [child.name for child in self.children if not child.wait(deadline)]
        if killed:
            # In a thread, since Redis may be the one that hangs; nothing is forked any more.
            thread = threading.Thread(target=_certify_stopped, args=(killed,), daemon=True)
            thread.start()
            thread.join(CERTIFY_SECONDS)
        exit_at_once()

    def certify_deaths(self) -> None:
        """Tell the rescue which workers have died: their tasks need not wait for their leases."""
        if not self.deaths or time.monotonic() < self.certify_at:
            return
        try:
            while self.deaths:
                name, was_killed = self.deaths[0]
                liveness.certify_death(queue.get_connection(), worker=name, was_killed=was_killed)
                self.deaths.pop(0)
        except redis.RedisError as error:
            logger.warning("the death of worker %s can't be told yet: %s", self.deaths[0][0], error)
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


class Child:
    """One worker process and those that follow when it dies."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._pause_seconds = 0.0
        self._start_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self.ended = False
        self.start()

    def start(self) -> None:
        self._started_at = time.monotonic()
        self.name = f"{socket.gethostname()}-{uuid4().hex[:8]}".replace(":", "-")
        self._process = subprocess.Popen(
            [*self._command.command, "--name", self.name],
            env=self._command.environment,
            start_new_session=True,  # Ctrl-C reaches the parent only, which ends its children in order
            preexec_fn=partial(_end_with_parent, os.getpid()),
        )

    def watch(self, *, restart: bool) -> None:
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self._process = None
            if code != 0:
                self._command.deaths.append((self.name, True))
            if not restart:
                self.ended = True
                return
            lived_seconds = time.monotonic() - self._started_at
            longer = min(LONGEST_PAUSE_SECONDS, max(0.25, self._pause_seconds * 2))
            self._pause_seconds = longer if lived_seconds < SHORT_LIFE_SECONDS else 0.0
            self._start_at = time.monotonic() + self._pause_seconds
            logger.warning("a worker ended (%s): a new one starts in %.2f s", code, self._pause_seconds)
        if restart and time.monotonic() >= self._start_at:
            self.start()

    def replace(self) -> bool:
        """Start the successor, wait until it works, and only then end the old one. False: it did not come up."""
        old, old_name = self._process, self.name
        self.start()
        new = self._process
        assert new is not None
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_at_work():
            if new.poll() is not None or time.monotonic() > deadline or self._command.should_stop:
                new.kill()
                new.wait()
                self._command.deaths.append((self.name, False))
                self._process, self.name = old, old_name
                return False
            time.sleep(POLL_SECONDS)
        if old is not None:
            old.terminate()
            try:
                old.wait(timeout=GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                old.kill()
                old.wait()
                self._command.deaths.append((old_name, False))
        return True

    def _is_at_work(self) -> bool:
        try:
            return bool(queue.get_connection().exists(f"rq:worker:{self.name}"))
        except redis.RedisError:
            return False

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def wait(self, deadline: float) -> bool:
        """Wait for the end, and bring it about at the deadline. False: it had to be killed."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True


def _certify_stopped(workers: list[str]) -> None:
    for worker in workers:
        liveness.certify_death(queue.get_connection(), worker=worker, was_killed=False)


def _end_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies (kill -9 included): no worker runs on unseen."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:  # it has died before the kernel was asked
        os._exit(1)
