"""A command that runs until a signal: the frame of `manage.py mirror` and `manage.py webhooks`.

Owns the signals, the round's loop with its waits, and the restart with new code. Must not know what a round does.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType
from typing import Any, ClassVar, Final

from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections, connections

from tasks_app.process_monitor.reporter import start_reporting
from tasks_app.resilience.backoff import Backoff, ShutdownRequested
from tasks_app.resilience.batch_isolation import is_outage

logger: Final = logging.getLogger(__name__)


class ServiceCommand(BaseCommand):
    """Works in rounds until SIGTERM or SIGINT. SIGHUP replaces the process image by the current code.

    The handlers set plain flags: a lock of `threading.Event` could be held by the very thread that the signal interrupts.
    """

    process_kind: ClassVar[str]  # its name in the process monitor and in log lines
    once_help: ClassVar[str]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help=self.once_help)

    def handle(self, *args: Any, **options: Any) -> None:
        self.is_once: bool = options["once"]
        self.should_stop = self.should_restart = False
        signal.signal(signal.SIGHUP, self.request_restart)
        signal.signal(signal.SIGTERM, self.request_stop)
        signal.signal(signal.SIGINT, self.request_stop)
        self.set_up()
        reporter = None if self.is_once else start_reporting(self.process_kind)
        self.run_rounds()
        if reporter is not None and not self.should_restart:
            reporter.end()
        if self.should_restart:
            replace_process_image()

    def set_up(self) -> None:
        """Prepare the rounds."""

    def work(self) -> None:
        """Do one round: some of the work that is due, or a short wait if there is none."""
        raise NotImplementedError

    def is_busy(self) -> bool:
        """Whether work of earlier rounds is still in progress, so that the process must not end."""
        return False

    def note_failure(self, error: Exception) -> None:
        """Log that a round failed because a store is unavailable; the next one follows after a pause. Raises other errors."""
        if not is_outage(error):
            raise error
        logger.warning("%s waits for Redis or the database: %s", self.process_kind, error)

    def run_rounds(self) -> None:
        """Work until a stop is requested. Waits while Redis or the database is unavailable."""
        backoff = self._make_backoff()
        while not self.should_stop or self.is_busy():
            try:
                close_old_connections()
                self.work()
            except ShutdownRequested:
                return
            except Exception as error:
                self.note_failure(error)
                try:
                    backoff.wait()
                except ShutdownRequested:
                    return
            else:
                backoff = self._make_backoff()
                if self.is_once and not self.is_busy():
                    return

    def request_restart(self, signum: int, frame: FrameType | None) -> None:
        """SIGHUP: replace the process image, so that the same process continues with the current code."""
        self.should_stop = self.should_restart = True

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """SIGTERM and SIGINT: end after this round."""
        self.should_stop, self.should_restart = True, False

    def _make_backoff(self) -> Backoff:
        return Backoff(should_stop=lambda: self.should_stop)


def replace_process_image() -> None:
    """Start this very command again in the same process, with the current code. Does not return."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a flag would be lost with this image
    connections.close_all()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the new code has its own handler
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (our own command, without a shell)
