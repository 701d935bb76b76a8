"""`manage.py reload`: loads the current code without downtime, under `make up` or deploy/supervisord.conf.

Owns sending the signals and waiting until the old workers have ended. Must not restart a process: its parent does that.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from longtasks.local_stack import child_process, up_lock
from longtasks.local_stack.procfile import PROJECT_DIR

POLL_SECONDS: Final = 0.1
WORKER_ARGUMENTS: Final = ("worker", "rqworker")  # of a worker process; the second one until version 1.0


@dataclass(frozen=True, slots=True)
class Signalled:
    """The workers of the parent at the time of the signal, and the message for the user."""

    message: str
    workers: list[child_process.ProcessIdentity]


class Command(BaseCommand):
    help = "Reload web, workers and mirror with the current code, without downtime. Exit codes: 0 done, 1 not running or timeout."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--timeout",
            type=float,
            default=120,
            metavar="SECONDS",
            help="how long to wait for the old workers (default: 120)",
        )

    def handle(self, *args: Any, timeout: float, **options: Any) -> None:
        signalled = _signal_up() or _signal_supervisord()
        if signalled is None:
            run_dir = os.environ.get("LONGTASKS_RUN", "")
            raise CommandError(
                f"nothing to reload: no `make up` on {settings.DATA_DIR}, no supervisord in LONGTASKS_RUN={run_dir!r}. "
                "Under systemd: systemctl reload 'longtasks-*'"
            )
        self.stdout.write(signalled.message)
        deadline = time.monotonic() + timeout
        while remaining := [worker for worker in signalled.workers if worker.is_alive()]:
            if time.monotonic() > deadline:
                pids = ", ".join(str(worker.pid) for worker in remaining)
                raise CommandError(
                    f"after {timeout:g} s {len(remaining)} old workers still run (process {pids}): read the workers' log."
                )
            time.sleep(POLL_SECONDS)
        self.stdout.write(f"Reloaded: {len(signalled.workers)} old workers were replaced.")


def _signal_up() -> Signalled | None:
    """Signal the `make up` that holds the lock of this DATA_DIR; return None if none runs."""
    try:
        pid = up_lock.find_holder(settings.DATA_DIR)
        workers = _list_workers(pid) if pid is not None else []
        if up_lock.signal_holder(settings.DATA_DIR, signal.SIGUSR1) is None:
            return None
    except up_lock.LockError as error:
        raise CommandError(str(error)) from error
    return Signalled(f"`make up` (process {pid}) reloads its processes.", workers)


def _signal_supervisord() -> Signalled | None:
    """Make the supervisord in LONGTASKS_RUN signal its processes; return None if none runs."""
    run_dir = os.environ.get("LONGTASKS_RUN", "")
    if not run_dir or not shutil.which("supervisorctl") or not (Path(run_dir) / "supervisor.sock").exists():
        return None
    pid = _run_supervisorctl("pid", "worker")
    workers = _list_workers(int(pid)) if pid.isdecimal() and pid != "0" else []
    _run_supervisorctl("signal", "HUP", "all")
    return Signalled("supervisord has sent HUP to its processes.", workers)


def _list_workers(parent_pid: int) -> list[child_process.ProcessIdentity]:
    return child_process.list_descendants(pid=parent_pid, arguments=WORKER_ARGUMENTS)


def _run_supervisorctl(*words: str) -> str:
    supervisorctl = shutil.which("supervisorctl") or "supervisorctl"
    result = subprocess.run(  # noqa: S603 (our own list, no shell)
        [supervisorctl, "-c", str(PROJECT_DIR / "deploy" / "supervisord.conf"), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise CommandError(f"supervisorctl: {result.stdout.strip() or result.stderr.strip()}")
    return result.stdout.strip()
