"""Owns the running stack: embedded Valkey where no REDIS_URL is given, migrations, then the processes of the Procfile.

`manage.py up` and `manage.py demo` run it. It starts, watches, restarts and stops processes; it knows nothing of tasks.
"""

import contextlib
import http.client
import itertools
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import redis
from honcho.colour import get_colours
from honcho.printer import Message, Printer

from longtasks.local_stack import child_process, up_lock
from longtasks.local_stack.embedded_valkey import EmbeddedError, EmbeddedValkey
from longtasks.local_stack.procfile import PROJECT_DIR, process_environment, procfile_command, read_procfile
from settings.service_url import parse_url
from tasks_app.process_monitor import exits

READY_SECONDS = 60
STOP_SECONDS = 10
LINE_BYTES = 128 * 1024  # printed in pieces of so many where a process ends no line
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 (to recognise them; nothing binds to them)
RESTART_FIRST_SECONDS, RESTART_MAX_SECONDS = 0.5, 10.0


class StackError(Exception):
    """The stack cannot run; the message is one line for the person in front of it."""


@dataclass(slots=True)
class _Running:
    name: str
    command: str
    colour: str
    process: subprocess.Popen[bytes]
    started_at: float
    restart_pause_seconds: float = RESTART_FIRST_SECONDS
    restart_at: float | None = None
    unfinished_line: bytes = b""
    told_exits: str = ""  # how the process before this one has ended


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
        self._printer = Printer(output)
        self._colours: Iterator[str] = get_colours()
        self._running: dict[str, _Running] = {}
        self._valkey_pause_seconds = RESTART_FIRST_SECONDS
        self._valkey_started_at = time.monotonic()
        self._valkey_restart_at: float | None = None
        self._selector = selectors.DefaultSelector()

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
        self._printer.width = max(map(len, processes))
        for name, command in processes.items():
            self._start_process(name=name, command=command, colour=next(self._colours))
        self._wait_until_ready()

    def run(self) -> None:
        """Watch, restart and (on SIGUSR1) reload for ever; an interrupt ends it."""
        asked: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: asked.append(number))
        with self._holding_lock():
            while True:
                self.watch(seconds=0.5)
                if asked:
                    asked.clear()
                    self.reload()

    @contextlib.contextmanager
    def _holding_lock(self) -> Iterator[None]:
        try:
            with up_lock.hold(Path(self._environment["DATA_DIR"])):
                yield
        except up_lock.LockError as error:
            raise StackError(str(error)) from error

    def reload(self) -> None:
        """Let every process go on with the code as it is now, without a gap: SIGHUP to each."""
        for running in self._running.values():
            if running.process.poll() is None:
                self._say(running, "reloads")
                running.process.send_signal(signal.SIGHUP)

    def watch(self, *, seconds: float) -> None:
        """Pass on output for `seconds`, and start again what has ended."""
        self._pump(seconds=seconds)
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
                running.told_exits = f"{running.process.pid}={exits.name_exit(status)}"
                self._say(running, f"ended with status {status}; starts again in {running.restart_pause_seconds:g} s")
                running.restart_pause_seconds = min(running.restart_pause_seconds * 2, RESTART_MAX_SECONDS)
            elif now >= running.restart_at:
                running.restart_at, running.started_at = None, now
                running.process = self._spawn(running.command, told_exits=running.told_exits)
                self._follow(running)

    def _watch_valkey(self) -> None:
        """Start the embedded Valkey again when it has ended. What it has acknowledged is in its file."""
        status = self._embedded.exit_status() if self._embedded else None
        if self._embedded is None or status is None:
            return
        now = time.monotonic()
        if self._valkey_restart_at is None:
            if now - self._valkey_started_at > 60:
                self._valkey_pause_seconds = RESTART_FIRST_SECONDS
            self._valkey_restart_at = now + self._valkey_pause_seconds
            self._write(
                "valkey",
                f"ended with status {status}; starts again in {self._valkey_pause_seconds:g} s (see {self._embedded.log_path})",
            )
            self._valkey_pause_seconds = min(self._valkey_pause_seconds * 2, RESTART_MAX_SECONDS)
        elif now >= self._valkey_restart_at:
            self._valkey_restart_at, self._valkey_started_at = None, now
            try:
                self._embedded.start_again(mark=self.mark)
            except OSError as error:  # a full disk, a directory that is gone: tried again
                self._write("valkey", f"can't be started: {error}")

    def stop(self) -> None:
        """Gracefully, then by force; at the end nothing that this stack started is left."""
        try:
            processes = [running.process for running in self._running.values()]
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
                self._pump(seconds=0.05)
            for process in processes:
                child_process.stop(process=process, grace_seconds=0)
            self._pump(seconds=0)
            if self._embedded:
                self._embedded.stop()
        finally:
            child_process.kill_marked(mark=self.mark)
            for key in list(self._selector.get_map().values()):
                self._unfollow(key.fileobj)
            self._running.clear()

    def _refuse_used_port(self) -> None:
        if self._socket_path:
            return  # gunicorn takes the place of a socket that a killed process has left
        family = socket.AF_INET6 if ":" in self._bind else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._bind.strip("[]"), self.port))
            except OSError as error:
                raise StackError(
                    f"port {self.port} is not free ({error.strerror}): stop what listens there, or set another PORT"
                ) from error

    def _require_redis(self) -> None:
        if self._has_sentinels:
            return  # they are asked by whoever needs the primary
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
            advice = "check DATABASE_URL" if "OperationalError" in lines[-1] else "`manage.py migrate` tells more"
            raise StackError(f"the database cannot be used ({lines[-1]}): {advice}")

    def _spawn(self, command: str, *, told_exits: str = "") -> subprocess.Popen[bytes]:
        return child_process.spawn(
            command=procfile_command(command),
            environment=self._environment | {exits.VARIABLE: told_exits},
            output=subprocess.PIPE,
            directory=PROJECT_DIR,
        )

    def _start_process(self, *, name: str, command: str, colour: str) -> None:
        running = _Running(name, command, colour, self._spawn(command), time.monotonic())
        self._running[name] = running
        self._follow(running)

    def _follow(self, running: _Running) -> None:
        pipe = running.process.stdout
        assert pipe
        os.set_blocking(pipe.fileno(), False)
        self._selector.register(pipe, selectors.EVENT_READ, running)

    def _unfollow(self, pipe: Any) -> None:
        self._selector.unregister(pipe)
        pipe.close()

    def _pump(self, *, seconds: float) -> None:
        """Print what the processes write, for `seconds`."""
        deadline = time.monotonic() + seconds
        for turn in itertools.count():
            left = deadline - time.monotonic()
            if turn and left <= 0:
                return
            if not self._selector.get_map():
                time.sleep(max(left, 0))
                continue
            for key, _ in self._selector.select(timeout=max(left, 0)):
                self._read(running=key.data, pipe=key.fileobj)

    def _read(self, *, running: _Running, pipe: Any) -> None:
        written = os.read(pipe.fileno(), 65536)
        *lines, running.unfinished_line = (running.unfinished_line + written).split(b"\n")
        if not written:
            lines, running.unfinished_line = [running.unfinished_line], b""
            self._unfollow(pipe)
        elif len(running.unfinished_line) > LINE_BYTES:
            lines, running.unfinished_line = [*lines, running.unfinished_line], b""
        for line in lines:
            self._say(running, line.decode(errors="replace"))

    def _say(self, running: _Running, text: str) -> None:
        self._write(running.name, text, colour=running.colour)

    def _write(self, name: str, text: str, *, colour: str | None = None) -> None:
        self._printer.write(Message("line", text, datetime.now().astimezone(), name, colour))

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_live():
            self._pump(seconds=0.1)
            for running in self._running.values():
                if running.process.poll() is not None:
                    self._pump(seconds=0.1)
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
