"""The supervisor of the local stack. It starts an embedded Valkey if REDIS_URL is empty, migrates, and runs the Procfile.

Owns starting, watching, restarting and stopping these processes, for `manage.py up` and `manage.py demo`. Must not know
what a task is.
"""

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import redis

from longtasks.local_stack import child_process, up_lock
from longtasks.local_stack.embedded_valkey import EmbeddedError, EmbeddedValkey
from longtasks.local_stack.process_output import ProcessOutput
from longtasks.local_stack.procfile import PROJECT_DIR, process_environment, procfile_command, read_procfile
from tasks_app.conf.service_url import parse_url
from tasks_app.process_monitor import exits

READY_SECONDS = 60
STOP_SECONDS = 10
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 (only compared; nothing binds to them)
RESTART_FIRST_SECONDS, RESTART_MAX_SECONDS = 0.5, 10.0


class StackError(Exception):
    """The stack cannot run; the message is one line for the user."""


@dataclass(slots=True)
class _Running:
    name: str
    command: str
    process: subprocess.Popen[bytes]
    started_at: float
    restart_pause_seconds: float = RESTART_FIRST_SECONDS
    restart_at: float | None = None
    previous_exit: str = ""  # pid and status of the process that this one replaces


class Stack:
    """`with Stack(…) as stack:` runs everything; leaving the block stops everything."""

    def __init__(
        self, *, environment: Mapping[str, str], port: int, workers: int, data_dir: Path, redis_url: str, output: TextIO
    ) -> None:
        self.port = port
        bind = environment.get("BIND") or "127.0.0.1"
        self._bind = bind
        self._socket_path = f"{bind.removeprefix('unix:')}/web.sock" if bind.startswith("unix:") else ""
        self.host = "127.0.0.1" if bind in EVERY_ADDRESS else bind.strip("[]")
        self.mark = uuid.uuid4().hex
        self._has_sentinels = bool(environment.get("REDIS_SENTINELS"))
        self._embedded = None if redis_url or self._has_sentinels else EmbeddedValkey(data_dir=data_dir)
        self._redis_url = redis_url
        self._environment = process_environment(environment) | {
            "PORT": str(port),
            "WORKERS": str(workers),
            "DATA_DIR": str(data_dir),
            child_process.MARK: self.mark,
        }
        self._output = ProcessOutput(output)
        self._running: dict[str, _Running] = {}
        self._valkey_pause_seconds = RESTART_FIRST_SECONDS
        self._valkey_started_at = time.monotonic()
        self._valkey_restart_at: float | None = None

    @property
    def address(self) -> str:
        if self._socket_path:
            return f"unix:{self._socket_path}"
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def redis_url(self) -> str:
        return self._redis_url or (self._embedded.url if self._embedded else "")

    def __enter__(self) -> "Stack":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._refuse_used_port()
        Path(self._environment["DATA_DIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._embedded:
            try:
                self._embedded.start(mark=self.mark)
            except EmbeddedError as error:
                raise StackError(str(error)) from error
        else:
            self._require_redis()
        self._environment["REDIS_URL"] = self.redis_url
        self._migrate()
        processes = read_procfile()
        self._output.set_names(list(processes))
        for name, command in processes.items():
            self._start_process(name=name, command=command)
        self._wait_until_ready()

    def run(self) -> None:
        """Watch and restart the processes until an interrupt; reload them on SIGUSR1."""
        requests: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: requests.append(number))
        with self._holding_lock():
            while True:
                self.watch(seconds=0.5)
                if requests:
                    requests.clear()
                    self.reload()

    @contextlib.contextmanager
    def _holding_lock(self) -> Iterator[None]:
        try:
            with up_lock.hold(Path(self._environment["DATA_DIR"])):
                yield
        except up_lock.LockError as error:
            raise StackError(str(error)) from error

    def reload(self) -> None:
        """Send SIGHUP to every process: each loads the current code without interrupting its service."""
        for running in self._running.values():
            if running.process.poll() is None:
                self._output.write(running.name, "reloads")
                running.process.send_signal(signal.SIGHUP)

    def watch(self, *, seconds: float) -> None:
        """Print the output for `seconds`, and restart each process that has ended."""
        self._output.pump(seconds=seconds)
        self._watch_valkey()
        for running in self._running.values():
            status = running.process.poll()
            if status is None:
                continue
            now = time.monotonic()
            if running.restart_at is None:
                if now - running.started_at > 60:
                    running.restart_pause_seconds = RESTART_FIRST_SECONDS
                running.restart_at = now + running.restart_pause_seconds
                running.previous_exit = f"{running.process.pid}={exits.name_exit(status)}"
                self._output.write(
                    running.name, f"ended with status {status}; starts again in {running.restart_pause_seconds:g} s"
                )
                running.restart_pause_seconds = min(running.restart_pause_seconds * 2, RESTART_MAX_SECONDS)
            elif now >= running.restart_at:
                running.restart_at, running.started_at = None, now
                running.process = self._spawn(running.command, previous_exit=running.previous_exit)
                self._follow(running)

    def _watch_valkey(self) -> None:
        """Restart the embedded Valkey after it has ended. Every acknowledged write is in its file."""
        status = self._embedded.exit_status() if self._embedded else None
        if self._embedded is None or status is None:
            return
        now = time.monotonic()
        if self._valkey_restart_at is None:
            if now - self._valkey_started_at > 60:
                self._valkey_pause_seconds = RESTART_FIRST_SECONDS
            self._valkey_restart_at = now + self._valkey_pause_seconds
            self._output.write(
                "valkey",
                f"ended with status {status}; starts again in {self._valkey_pause_seconds:g} s (see {self._embedded.log_path})",
            )
            self._valkey_pause_seconds = min(self._valkey_pause_seconds * 2, RESTART_MAX_SECONDS)
        elif now >= self._valkey_restart_at:
            self._valkey_restart_at, self._valkey_started_at = None, now
            try:
                self._embedded.start_again(mark=self.mark)
            except OSError as error:  # a full disk or a removed directory: retried
                self._output.write("valkey", f"cannot be started: {error}")

    def stop(self) -> None:
        """Stop all processes, by SIGKILL after STOP_SECONDS. Afterwards no process that this stack started is left."""
        try:
            processes = [running.process for running in self._running.values()]
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
                self._output.pump(seconds=0.05)
            for process in processes:
                child_process.stop(process=process, grace_seconds=0)
            self._output.pump(seconds=0)
            if self._embedded:
                self._embedded.stop()
        finally:
            child_process.kill_marked(mark=self.mark)
            self._output.close()
            self._running.clear()

    def _refuse_used_port(self) -> None:
        if self._socket_path:
            return  # gunicorn replaces a socket that a killed process left behind
        family = socket.AF_INET6 if ":" in self._bind else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._bind.strip("[]"), self.port))
            except OSError as error:
                raise StackError(
                    f"port {self.port} is not free ({error.strerror}): stop the process that listens on it, or set another PORT"
                ) from error

    def _require_redis(self) -> None:
        if self._has_sentinels:
            return  # each process asks the Sentinels for the primary
        try:
            with redis.Redis.from_url(self._redis_url, socket_connect_timeout=5, socket_timeout=5) as client:
                client.ping()
        except (redis.RedisError, OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise StackError(
                f"Redis at {parse_url(self._redis_url).shown} cannot be reached ({reason}): check REDIS_URL"
            ) from error

    def _migrate(self) -> None:
        result = subprocess.run(
            [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity", "0"],
            env=self._environment,
            cwd=PROJECT_DIR,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode:
            lines = result.stdout.strip().splitlines() or [f"status {result.returncode}"]
            advice = "check DATABASE_URL" if "OperationalError" in lines[-1] else "run `manage.py migrate` for details"
            raise StackError(f"the database cannot be used ({lines[-1]}): {advice}")

    def _spawn(self, command: str, *, previous_exit: str = "") -> subprocess.Popen[bytes]:
        return child_process.spawn(
            command=procfile_command(command),
            environment=self._environment | {exits.VARIABLE: previous_exit},
            output=subprocess.PIPE,
            directory=PROJECT_DIR,
        )

    def _start_process(self, *, name: str, command: str) -> None:
        running = _Running(name, command, self._spawn(command), time.monotonic())
        self._running[name] = running
        self._follow(running)

    def _follow(self, running: _Running) -> None:
        if running.process.stdout is not None:
            self._output.follow(running.name, running.process.stdout)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_live():
            self._output.pump(seconds=0.1)
            for running in self._running.values():
                if running.process.poll() is not None:
                    self._output.pump(seconds=0.1)
                    raise StackError(f"{running.name} ended with status {running.process.poll()} while starting")
            if time.monotonic() > deadline:
                raise StackError(f"web does not answer at {self.address} after {READY_SECONDS} s")

    def _is_live(self) -> bool:
        connection = http.client.HTTPConnection("localhost" if self._socket_path else self.host, self.port, timeout=2)
        try:
            if self._socket_path:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.settimeout(2)
                connection.sock.connect(self._socket_path)
            connection.request("GET", "/health/live")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
