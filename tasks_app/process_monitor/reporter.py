"""Reports processes to the hash of all processes: what each uses, by psutil, and what became of the one before it.

Owns the measuring, the place that a process takes, and when it reports. Must not end or delay what it reports on: where
Redis does not answer it gives up quietly, and tries again at the next turn.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Mapping
from typing import Final

import psutil
import redis

from tasks_app.process_monitor import reports
from tasks_app.process_monitor.code_version import read_code_version
from tasks_app.process_monitor.exits import read_exits
from tasks_app.process_monitor.reports import Entry, Reported
from tasks_app.queues import redis_connection

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS: Final = 0.25
PAUSE_SECONDS: Final = 15.0  # after a failure, if the process reports between other work
TURNS_TO_CLEAN: Final = 60
_CLAIMS: Final = 10
_SAME_BEGIN_SECONDS: Final = 5.0  # psutil's time of begin moves with the machine's clock
_UNKNOWN: Final = "unknown"


class Watched:
    """One process, and those that follow it in its place."""

    def __init__(self, kind: str, pid: int, *, version: str) -> None:
        self.kind = kind
        self.slot: int | None = None  # until it has found its place
        self.process: psutil.Process | None = None
        self.restarts, self.last_exit, self.last_exit_at = 0, "", 0.0
        self.follow(pid, version=version)

    def follow(self, pid: int, *, version: str) -> None:
        """Watch another process in its place."""
        self.version = version
        try:
            process = psutil.Process(pid)
            process.cpu_percent()  # the next call says what it has used since this one
        except psutil.Error:
            self.process = None  # it has ended already
        else:
            self.process = process

    def note_exit(self, how: str) -> None:
        """Count a death that a successor follows."""
        self.restarts, self.last_exit, self.last_exit_at = self.restarts + 1, how, time.time()

    def measure(self) -> Entry | None:
        """Return the entry as it is now; None where the process is gone."""
        if self.process is None:
            return None
        try:
            with self.process.oneshot():
                return Entry(
                    host=find_host(),
                    kind=self.kind,
                    slot=self.slot or 0,
                    pid=self.process.pid,
                    reporter_pid=os.getpid(),
                    began_at=round(self.process.create_time(), 3),
                    version=self.version,
                    restarts=self.restarts,
                    last_exit=self.last_exit,
                    last_exit_at=round(self.last_exit_at, 3),
                    cpu_percent=round(self.process.cpu_percent(), 1),
                    rss_bytes=self.process.memory_info().rss,
                )
        except psutil.Error:
            return None


class ProcessReporter:
    """Reports the watched processes. Call `report_due` between other work, or let `start` do it in a thread."""

    def __init__(self) -> None:
        self.watched: list[Watched] = []
        self._exits = read_exits(os.environ)
        self._turns = 0
        self._due_at = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, kind: str, pid: int, *, version: str = "") -> Watched:
        """Report this process from the next turn on, which comes at once."""
        watched = Watched(kind, pid, version=version or read_code_version())
        self.watched.append(watched)
        self.hurry()
        return watched

    def hurry(self) -> None:
        """Let the next turn come at once."""
        self._due_at = min(self._due_at, time.monotonic())

    def start(self) -> None:
        """Report in a thread that never keeps the process from its end."""
        self._thread = threading.Thread(target=self._run, name="process-reporter", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Remove the entries: these processes end on request, so a later start does not count as a restart."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(4 * TIMEOUT_SECONDS)
        try:
            connection = redis_connection.get_connection(timeout_seconds=TIMEOUT_SECONDS)
            for watched in self.watched:
                if watched.slot is not None and (entry := watched.measure()) is not None:
                    reports.remove(connection, entry)
        except (redis.RedisError, OSError) as error:
            logger.debug("a process's entry stays: %s", error)

    def report_due(self) -> None:
        """Report, where it is time. Waits for Redis no longer than TIMEOUT_SECONDS, and then not again for a while."""
        now = time.monotonic()
        if now < self._due_at:
            return
        self._due_at = now + reports.REPORT_SECONDS
        if not self.report():
            self._due_at = now + PAUSE_SECONDS

    def report(self) -> bool:
        """Write every entry once. False: Redis did not take them."""
        try:
            connection = redis_connection.get_connection(timeout_seconds=TIMEOUT_SECONDS)
            for watched in self.watched:
                if watched.slot is None:
                    self._claim(connection, watched)
                elif (entry := watched.measure()) is not None:
                    reports.write(connection, entry)
            self._turns += 1
            if self._turns % TURNS_TO_CLEAN == 0:
                reports.remove_old(connection)
        except (redis.RedisError, OSError) as error:
            logger.debug("processes can't be reported: %s", error)
            return False
        return True

    def _run(self) -> None:
        while True:
            try:
                self.report()
            except Exception:
                logger.exception("processes could not be reported, and will be again")
            if self._stop.wait(reports.REPORT_SECONDS):
                return

    def _claim(self, connection: redis.Redis, watched: Watched) -> None:
        """Take the place of the same kind that its holder has left, else the first that is free."""
        for _ in range(_CLAIMS):
            if (entry := watched.measure()) is None:
                return
            known = reports.read_all(connection)
            places = {
                each.entry.slot: each
                for each in known.values()
                if (each.entry.host, each.entry.kind) == (entry.host, entry.kind)
            }
            before = watched.restarts, watched.last_exit, watched.last_exit_at
            expected = self._choose_place(watched, entry, places)
            claimed = watched.measure()
            if claimed is None or reports.write(connection, claimed, expected=expected):
                return
            watched.slot, (watched.restarts, watched.last_exit, watched.last_exit_at) = None, before

    def _choose_place(self, watched: Watched, entry: Entry, places: Mapping[int, Reported]) -> bytes:
        """Set the slot and what is known of the one before; returns what the field holds for that."""
        for slot, held in sorted(places.items(), key=lambda place: (not _is_same(place[1].entry, entry), place[0])):
            is_own = _is_same(held.entry, entry)
            if is_own or not _is_held(held.entry):
                watched.slot = slot
                watched.restarts += held.entry.restarts
                if is_own:
                    watched.last_exit, watched.last_exit_at = held.entry.last_exit, held.entry.last_exit_at
                else:
                    watched.restarts += 1
                    watched.last_exit = self._exits.get(held.entry.pid, _UNKNOWN)
                    watched.last_exit_at = time.time()
                return held.text
        watched.slot = next(slot for slot in range(len(places) + 1) if slot not in places)
        return b""


def find_host() -> str:
    """Return this machine's name, in the letters that an entry may have."""
    return name_host(socket.gethostname())


def name_host(text: str) -> str:
    """Return the name without the letters that an entry may not have."""
    return re.sub(r"[^!-9;-~]", "-", text[:253]) or _UNKNOWN


def start_reporting(kind: str, *, parent_kind: str = "") -> ProcessReporter:
    """Report this process in a thread, and its parent where that cannot do it itself."""
    reporter = ProcessReporter()
    version = read_code_version()
    reporter.watch(kind, os.getpid(), version=version)
    if parent_kind:
        reporter.watch(parent_kind, os.getppid(), version=version)
    reporter.start()
    return reporter


def _is_same(one: Entry, other: Entry) -> bool:
    return one.pid == other.pid and abs(one.began_at - other.began_at) < _SAME_BEGIN_SECONDS


def _is_held(entry: Entry) -> bool:
    """Return whether the process, or the one that reports it and starts its successor, is alive."""
    return _lives(entry) or (entry.reporter_pid != entry.pid and psutil.pid_exists(entry.reporter_pid))


def _lives(entry: Entry) -> bool:
    try:
        process = psutil.Process(entry.pid)
        is_same = abs(process.create_time() - entry.began_at) < _SAME_BEGIN_SECONDS
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
