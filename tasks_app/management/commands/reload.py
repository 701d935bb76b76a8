"""`manage.py reload`: new code without a gap, for what `make up` or deploy/supervisord.conf runs on this machine.

Sends the signals and waits until no old worker is left. Must not restart anything itself: each parent does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from longtasks.stack import PID_FILE, PROJECT_DIR
from tasks_app import queries
from tasks_app.errors import LongtasksError

POLL_SECONDS: Final = 0.2


class Command(BaseCommand):
    help = "Let web, workers and mirror go on with the code as it is now. Exit codes: 0 done, 1 nothing runs or stuck."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS", help="for the workers (120)")

    def handle(self, *args: Any, timeout: float, **options: Any) -> None:
        old = _list_workers()
        self.stdout.write(_send_signals())
        deadline = time.monotonic() + timeout
        while left := old & _list_workers():
            if time.monotonic() > deadline:
                raise CommandError(f"after {timeout:g} s {len(left)} old workers still run: read the workers' log.")
            time.sleep(POLL_SECONDS)
        self.stdout.write(f"Reloaded: {len(old)} old workers have handed over.")


def _send_signals() -> str:
    pid_path = settings.DATA_DIR / PID_FILE
    if pid_path.exists():
        pid = int(pid_path.read_text())
        try:
            os.kill(pid, signal.SIGUSR1)
        except ProcessLookupError:
            pid_path.unlink(missing_ok=True)
        else:
            return f"`make up` (process {pid}) reloads its processes."
    run_dir = os.environ.get("LONGTASKS_RUN", "")
    supervisorctl = shutil.which("supervisorctl")
    if run_dir and supervisorctl and (Path(run_dir) / "supervisor.sock").exists():
        asked = subprocess.run(  # noqa: S603 (a list of our own, no shell)
            [supervisorctl, "-c", str(PROJECT_DIR / "deploy" / "supervisord.conf"), "signal", "HUP", "all"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode:
            raise CommandError(f"supervisorctl: {asked.stdout.strip() or asked.stderr.strip()}")
        return "supervisord has sent HUP to its processes."
    raise CommandError(
        f"nothing to reload: no `make up` on {settings.DATA_DIR}, no supervisord in LONGTASKS_RUN={run_dir!r}. "
        "Under systemd: systemctl reload 'longtasks-*'"
    )


def _list_workers() -> set[str]:
    """The workers alive, of all machines; those that beat while we look are the ones that count."""
    try:
        return {worker.name for view in queries.list_queues() for worker in view.workers}
    except LongtasksError as error:
        raise CommandError(str(error)) from error
