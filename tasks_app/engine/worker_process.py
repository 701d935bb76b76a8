"""One worker process, started by its parent, with the pulse that it sends.

Owns its start, its name and its end. Must not decide when it is started, replaced or killed (worker_slot).
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from uuid_utils import uuid4

from tasks_app.engine import pulse
from tasks_app.engine.exit_reports import describe_exit
from tasks_app.engine.leftovers import RETIRED_CODE

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_libc: Final = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """What a parent starts for each of its workers."""

    arguments: Sequence[str]
    environment: Mapping[str, str]


class WorkerProcess:
    """One worker process, and the parent's end of its pulse."""

    def __init__(self, command: WorkerCommand) -> None:
        self.started_at = time.monotonic()
        self.name = f"{socket.gethostname()}-{uuid4().hex[:8]}".replace(":", "-")
        self.pulse = pulse.PulseReader()
        self.is_suspect = False
        self.hang = ""  # why the parent has killed it
        try:
            self.popen = subprocess.Popen(  # noqa: S603 (a list of our own, no shell)
                [*command.arguments, "--name", self.name],
                env={**command.environment, pulse.VARIABLE: str(self.pulse.worker_end)},
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
        """Wait for the process to end, and kill it after `grace_seconds`. False: it was killed."""
        try:
            self.popen.wait(timeout=max(0.0, grace_seconds))
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            return False
        finally:
            self.pulse.close()
        return True

    def find_cause_of_exit(self, code: int) -> str:
        """Return in words what ended the process in the middle of its work; "" if it ended in good order."""
        self.pulse.close()
        if code in (0, RETIRED_CODE) and self.pulse.has_said_farewell:
            return ""
        return self.hang or describe_exit(code)


def _end_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies (kill -9 included), so that no worker runs without a parent."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:  # the parent died before the kernel was asked
        os._exit(1)
