"""Reports processes to the hash of all processes: what each uses, measured by psutil, and how its predecessor ended.

Owns the measuring, the choice of a process's slot, and when it reports. Must not end or delay the reported process: if
Redis does not answer, it gives up quietly and tries again at the next report.
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
REPORTS_PER_CLEANUP: Final = 60
_CLAIMS: Final = 10  # attempts to claim a slot
_SAME_BEGIN_SECONDS: Final = 5.0  # psutil's start time of a process shifts with the machine's clock
_UNKNOWN: Final = "unknown"


class Watched:
    """A reported process, and its successors in the same slot."""

    def __init__(self, kind: str, pid: int, *, version: str) -> None:
        self.kind = kind
        self.slot: int | None = None  # None until it has claimed a slot
        self.process: psutil.Process | None = None
        self.restarts, self.last_exit, self.last_exit_at = 0, "", 0.0
        self.follow(pid, version=version)

    def follow(self, pid: int, *, version: str) -> None:
        """Watch a successor in the same slot."""
        self.version = version
        try:
            process = psutil.Process(pid)
            process.cpu_percent()  # the next call returns the use since this one
        except psutil.Error:
            self.process = None  # it has ended already
        else:
            self.process = process

    def note_exit(self, how: str) -> None:
        """Count an exit after which a successor starts."""
        self.restarts, self.last_exit, self.last_exit_at = self.restarts + 1, how, time.time()

    def measure(self) -> Entry | None:
        """Return the current entry; None if the process has ended."""
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
        self._reports = 0
        self._due_at = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, kind: str, pid: int, *, version: str = "") -> Watched:
        """Add a process to the reports, the next of which is due at once."""
        watched = Watched(kind, pid, version=version or read_code_version())
        self.watched.append(watched)
        self.hurry()
        return watched

    def hurry(self) -> None:
        """Make the next report due at once."""
        self._due_at = min(self._due_at, time.monotonic())

    def start(self) -> None:
        """Report in a daemon thread, which never keeps the process from ending."""
        self._thread = threading.Thread(target=self._run, name="process-reporter", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Remove the entries at a requested end, so that a later start does not count as a restart."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(4 * TIMEOUT_SECONDS)
        try:
            connection = redis_connection.get_connection(timeout_seconds=TIMEOUT_SECONDS)
            for watched in self.watched:
                if watched.slot is not None and (entry := watched.measure()) is not None:
                    reports.remove(connection, entry)
        except (redis.RedisError, OSError) as error:
            logger.debug("a process's entry could not be removed: %s", error)

    def report_due(self) -> None:
        """Report if it is due. Waits for Redis at most TIMEOUT_SECONDS; after a failure it pauses for PAUSE_SECONDS."""
        now = time.monotonic()
        if now < self._due_at:
            return
        self._due_at = now + reports.REPORT_SECONDS
        if not self.report():
            self._due_at = now + PAUSE_SECONDS

    def report(self) -> bool:
        """Write every entry once. Return False if Redis did not accept them."""
        try:
            connection = redis_connection.get_connection(timeout_seconds=TIMEOUT_SECONDS)
            for watched in self.watched:
                if watched.slot is None:
                    self._claim(connection, watched)
                elif (entry := watched.measure()) is not None:
                    reports.write(connection, entry)
            self._reports += 1
            if self._reports % REPORTS_PER_CLEANUP == 0:
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
                logger.exception("processes could not be reported; the next report tries again")
            if self._stop.wait(reports.REPORT_SECONDS):
                return

    def _claim(self, connection: redis.Redis, watched: Watched) -> None:
        """Claim a slot of the same kind whose holder has ended, else the first free slot."""
        for _ in range(_CLAIMS):
            if (entry := watched.measure()) is None:
                return
            known = reports.read_all(connection)
            slots = {
                each.entry.slot: each
                for each in known.values()
                if (each.entry.host, each.entry.kind) == (entry.host, entry.kind)
            }
            before = watched.restarts, watched.last_exit, watched.last_exit_at
            expected = self._choose_slot(watched, entry, slots)
            claimed = watched.measure()
            if claimed is None or reports.write(connection, claimed, expected=expected):
                return
            watched.slot, (watched.restarts, watched.last_exit, watched.last_exit_at) = None, before

    def _choose_slot(self, watched: Watched, entry: Entry, slots: Mapping[int, Reported]) -> bytes:
        """Set the slot, and its predecessor's restarts and exit; return the field's current content in Redis."""
        for slot, held in sorted(slots.items(), key=lambda item: (not _is_same(item[1].entry, entry), item[0])):
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
        watched.slot = next(slot for slot in range(len(slots) + 1) if slot not in slots)
        return b""


def find_host() -> str:
    """Return this machine's name, in the characters that an entry allows."""
    return name_host(socket.gethostname())


def name_host(text: str) -> str:
    """Return the name with other characters replaced by hyphens."""
    return re.sub(r"[^!-9;-~]", "-", text[:253]) or _UNKNOWN


def start_reporting(kind: str, *, parent_kind: str = "") -> ProcessReporter:
    """Report this process in a thread; with `parent_kind` also its parent, if that cannot report itself."""
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
    """Return whether the process is alive, or its reporter, which starts its successor."""
    return _is_alive(entry) or (entry.reporter_pid != entry.pid and psutil.pid_exists(entry.reporter_pid))


def _is_alive(entry: Entry) -> bool:
    try:
        process = psutil.Process(entry.pid)
        is_same = abs(process.create_time() - entry.began_at) < _SAME_BEGIN_SECONDS
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
