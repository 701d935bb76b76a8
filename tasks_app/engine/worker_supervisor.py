"""The parent of worker processes: starts NUM of them, replaces each that dies or hangs, and all of them in a reload.

Owns the parent's loop and its signals. Must not know tasks.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Final

from tasks_app.conf import settings
from tasks_app.engine import exit_reports, pulse
from tasks_app.engine.exit_reports import ExitReporter
from tasks_app.engine.worker_process import WorkerCommand
from tasks_app.engine.worker_slot import GRACE_SECONDS, POLL_SECONDS, SlotContext, WorkerSlot
from tasks_app.process_monitor.reporter import ProcessReporter
from tasks_app.resilience.process_exit import exit_at_once

logger = logging.getLogger(__name__)
# A worker none of whose threads has run for so long is killed; if three leases are longer, after those.
HANG_SECONDS: Final = 30.0
LAST_REPORT_SECONDS: Final = 0.25  # to report the workers that were killed at the end


class WorkerSupervisor:
    """Runs worker processes until SIGTERM or SIGINT; SIGHUP replaces them one by one."""

    def __init__(self, *, command: WorkerCommand, workers: int, hang_seconds: float | None) -> None:
        lease_seconds = settings.LONGTASKS.lease_seconds
        hang_seconds = hang_seconds or max(HANG_SECONDS, 3 * lease_seconds)
        self._should_stop = self._should_roll = False
        self._exits = ExitReporter()
        self._reporter = ProcessReporter()  # not in a thread: this process forks
        self._reporter.watch("workers", os.getpid())
        signal.signal(signal.SIGHUP, self.request_roll)
        signal.signal(signal.SIGTERM, self.request_stop)
        signal.signal(signal.SIGINT, self.request_stop)
        context = SlotContext(
            command=command,
            exits=self._exits,
            reporter=self._reporter,
            # Before the lease expires: the attempt that the silence costs is then recorded with its cause.
            suspect_seconds=min(hang_seconds, max(3 * pulse.BEAT_SECONDS, lease_seconds / 2)),
            hang_seconds=hang_seconds,
            should_stop=lambda: self._should_stop,
        )
        self._slots = [WorkerSlot(context) for _ in range(workers)]

    def run(self, *, burst: bool) -> None:
        """Watch the workers until a stop is requested, or with `burst` until all of them have ended."""
        while not self._should_stop:
            for slot in self._slots:
                slot.watch(restart=not burst)
            self._exits.report()
            self._reporter.report_due()
            if self._should_roll and not burst:
                self._should_roll = False
                self._roll()
            if burst and all(slot.ended for slot in self._slots):
                return
            time.sleep(POLL_SECONDS)
        self._end_all()
        exit_at_once()

    def request_roll(self, signum: int, frame: FrameType | None) -> None:
        """SIGHUP: replace the workers, each by one that runs the current code."""
        self._should_roll = True

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """SIGTERM and SIGINT: end the workers, then this process."""
        self._should_stop = True

    def _roll(self) -> None:
        """Replace the workers one by one, each as soon as its successor is ready.

        If a successor does not come up, the old workers stay: broken code stops nobody.
        """
        for slot in self._slots:
            if self._should_stop:
                return
            if not slot.replace():
                logger.error("the reload is aborted: a new worker does not start; the old workers continue")
                return
            for each in self._slots:
                each.watch(restart=True)
        logger.info("all %d workers are new", len(self._slots))

    def _end_all(self) -> None:
        for slot in self._slots:
            slot.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        self._reporter.end()
        killed = [name for slot in self._slots if (name := slot.wait(deadline=deadline))]
        if killed:
            # In a thread, since Redis may be the one that hangs; nothing is forked any more.
            thread = threading.Thread(target=exit_reports.report_stopped, args=(killed,), daemon=True)
            thread.start()
            thread.join(LAST_REPORT_SECONDS)
