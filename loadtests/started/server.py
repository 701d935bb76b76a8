"""Owns a server process in a private directory: started, paused, killed and removed.

Must not: use a server that already runs on this machine, or need pytest or Django.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

from longtasks.local_stack import child_process

READY_SECONDS = 90
STOP_SECONDS = 20


class ServerError(Exception):
    """A test server could not be started; the message says why."""


class Server(ABC):
    """A server process in a private directory: the data persist until `remove`."""

    name: str
    is_process = True  # False: no process to kill or pause (SQLite)

    def __init__(self) -> None:
        # Directly under /tmp: the path of a socket must be short, and TMPDIR may be long.
        self.directory = Path(tempfile.mkdtemp(prefix=f"longtasks-{self.name}-", dir="/tmp"))
        self.log_path = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _prepare(self) -> None:  # noqa: B027 (most have nothing to prepare)
        """Create what the first start needs."""

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"{self.name} does not run")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers; do nothing if it runs."""
        if self.is_running:
            return
        self._prepare()
        with self.log_path.open("ab") as log:
            self._process = child_process.spawn(
                command=self._command(),
                environment=os.environ,
                output=log,
                directory=self.directory,
                death_signal=signal.SIGKILL,  # a paused server too
            )
        self.wait_until_ready()

    def wait_until_ready(self, *, deadline_seconds: float = READY_SECONDS) -> None:
        """Wait until the server answers. Raises ServerError if it ends or does not answer in time."""
        if not child_process.wait_until(
            lambda: not self.is_running or self._answers(), deadline_seconds=deadline_seconds
        ):
            raise ServerError(f"{self.name} does not answer after {deadline_seconds} s:\n{self._log_tail()}")
        if not self.is_running:
            raise ServerError(f"{self.name} ended while starting:\n{self._log_tail()}")

    def stop(self) -> None:
        """Send SIGTERM and wait; after STOP_SECONDS the server is killed."""
        if self._process:
            child_process.stop(process=self._process, grace_seconds=STOP_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        if self._process and self.is_running:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Send SIGSTOP: the server hangs."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        """End the server, whatever its state, and delete its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _log_tail(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        return "\n".join(lines[-20:])


def find_binary(binary: str, *, package: str) -> str:
    """Return the path of a server's binary. Raises ServerError if it is not installed."""
    # Debian keeps servers in /usr/sbin, which is not on every user's PATH.
    path = shutil.which(
        binary, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    )
    if path is None:
        raise ServerError(f"{binary} is not installed: apt-get install {package}")
    return path
