"""The pulse of a worker process: a pipe to its parent into which a thread of the worker writes twice a second.

Owns both ends of the pipe. It needs neither Redis nor the database, so it stops for one reason only: no thread of the
worker can run, because a call holds Python's lock (a regular expression that backtracks, C code) or because the process
was stopped. Must not decide what the parent does then (worker_slot).
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

VARIABLE: Final = "LONGTASKS_PULSE_FD"
BEAT_SECONDS: Final = 0.5
BEAT: Final = b"."
FAREWELL: Final = b"E"
LONGEST_STEP_SECONDS: Final = 1.0  # what one reading of the pulse may add to the silence


class Pulse:
    """The worker's end. Without a parent that reads it, as in a plain `rqworker`, it does nothing."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._pipe = 0
        self._stop = threading.Event()

    def start(self) -> None:
        """Start the pulse if the parent has passed a pipe. Processes that a task starts do not inherit it."""
        number = os.environ.pop(VARIABLE, "")
        if not number:
            return
        self._descriptor = int(number)
        os.set_inheritable(self._descriptor, False)
        os.set_blocking(self._descriptor, False)
        self._pipe = os.fstat(self._descriptor).st_ino
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    @property
    def is_broken(self) -> bool:
        """Whether a task has closed the pipe (as `os.closerange` does): to the parent that would look like a hang."""
        return self._descriptor >= 0 and not self._is_open()

    def stop(self) -> None:
        """Report that the process ends in good order: it has released every task."""
        self._stop.set()
        self._write(FAREWELL)

    def _beat(self) -> None:
        while self._write(BEAT) and not self._stop.wait(BEAT_SECONDS):
            pass

    def _write(self, sign: bytes) -> bool:
        if self._descriptor < 0 or not self._is_open():
            return False
        try:
            os.write(self._descriptor, sign)
        except BlockingIOError:
            return True  # the parent is stopped, and the pipe is full
        except OSError:
            return False  # the parent has ended
        return True

    def _is_open(self) -> bool:
        try:  # after a close, another file may have the same number
            return os.fstat(self._descriptor).st_ino == self._pipe
        except OSError:
            return False


class PulseReader:
    """The parent's end: how long a worker has been silent while its parent was awake."""

    def __init__(self) -> None:
        self._descriptor, self.worker_end = os.pipe()
        os.set_blocking(self._descriptor, False)
        self._read_at = time.monotonic()
        self._has_begun = False
        self.silent_seconds = 0.0
        self.has_said_farewell = False

    def close_worker_end(self) -> None:
        """Close the end that the worker has inherited."""
        os.close(self.worker_end)

    def measure_silence(self) -> float:
        """Return the seconds without a pulse; 0 before the first one, while the worker still starts.

        If the parent itself was stopped, or slept with the machine, that time counts as one second: the worker did not
        run either, or its pulses are waiting in the pipe.
        """
        now = time.monotonic()
        passed, self._read_at = now - self._read_at, now
        signs = self._read()
        if signs:
            self._has_begun = True
            self.has_said_farewell |= FAREWELL in signs
            self.silent_seconds = 0.0
        elif self._has_begun and not self.has_said_farewell:
            self.silent_seconds += min(passed, LONGEST_STEP_SECONDS)
        return self.silent_seconds

    def close(self) -> None:
        """Read what is left, and close the pipe."""
        self.measure_silence()
        os.close(self._descriptor)

    def _read(self) -> bytes:
        signs = b""
        try:
            while more := os.read(self._descriptor, 65_536):
                signs += more
        except BlockingIOError:
            pass
        return signs
