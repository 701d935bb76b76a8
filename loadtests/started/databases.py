"""Owns the databases of tests and load tests: MariaDB on a unix socket, or SQLite files behind the same interface."""

import contextlib
import os
import sqlite3
import subprocess
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtests.started.server import Server, ServerError, find_binary


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
                find_binary("mariadb-install-db", package="mariadb-server"),
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
            find_binary("mariadbd", package="mariadb-server"),
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
