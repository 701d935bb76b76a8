"""Outages of MariaDB for tests/outages.py: full disk, limits, password, locks, DNS and other errors.

Owns the server that suffers them: on its own disk, reached over TCP by name, by a user without privileges.
Needs root for the disk and for a hosts file that only this process and its children see (`hide_hosts`).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import MySQLdb

from loadtests.started.servers import MariaDB, RedisServer
from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.procfile import free_port
from tests.outages import Outage

DISK_MIB: Final = 400
USER: Final = "longtasks"
DATABASE_HOST: Final = "database.longtasks.test"
REDIS_HOST: Final = "redis.longtasks.test"
# Disk full, table full, resource limit, interrupted, statement time, connections of a user, lock wait, deadlock.
CODES: Final = (1021, 1114, 1226, 1317, 1969, 3024, 1203, 1205, 1213)
TABLES: Final = ("users", "tasks_app_taskrecord", "tasks_app_taskcheckpoint", "tasks_app_mirrorcursor")
_hosts = Path(tempfile.gettempdir()) / f"longtasks-hosts-{os.getpid()}"


class FragileMariaDB(MariaDB):
    """MariaDB on a small disk, which also listens on TCP."""

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", self.directory], check=True)

    def remove(self) -> None:
        self.kill()
        subprocess.run(["umount", self.directory], check=False)
        super().remove()

    def give_user(self, database: str) -> str:
        """Create the user with an application's privileges on `database`; return the DATABASE_URL."""
        self.query("", f"CREATE USER IF NOT EXISTS {USER}@'127.0.0.1' IDENTIFIED BY 'first'")
        self.query("", f"GRANT ALL ON `{database}`.* TO {USER}@'127.0.0.1'")
        return f"mysql://{USER}:first@{DATABASE_HOST}:{self.port}/{database}"

    def _command(self) -> list[str]:
        words = [word for word in super()._command() if word != "--skip-networking"]
        return [*words, f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve"]


def hide_hosts() -> None:
    """Give this process, which runs in its own mount namespace, its own hosts file and resolver."""
    resolver = _hosts.with_suffix(".resolver")
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    _name_hosts(DATABASE_HOST, REDIS_HOST)
    subprocess.run(["mount", "--bind", str(_hosts), "/etc/hosts"], check=True)
    subprocess.run(["mount", "--bind", str(resolver), "/etc/resolv.conf"], check=True)


def _name_hosts(*names: str) -> None:
    _hosts.write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.1 {name}\n" for name in names))


def redis_url(server: RedisServer, database: int) -> str:
    return f"redis://{REDIS_HOST}:{server.port}/{database}"


def _query(stack: ProcfileStack, statement: str, database: str = "") -> list[tuple[Any, ...]]:
    return stack.database.query(database, statement)


def _end_connections(stack: ProcfileStack) -> None:
    """End the connections: an error at login meets new connections only."""
    for (number,) in _query(stack, f"SELECT id FROM information_schema.processlist WHERE user = '{USER}'"):
        with suppress(MySQLdb.Error):
            _query(stack, f"KILL {number}")


def _then_reconnect(*statements: str) -> Callable[[ProcfileStack], None]:
    def change(stack: ProcfileStack) -> None:
        for statement in statements:
            _query(stack, statement)
        _end_connections(stack)

    return change


def _refuse_writes(code: int) -> Callable[[ProcfileStack], None]:
    def begin(stack: ProcfileStack) -> None:
        for table in TABLES:
            for event in ("INSERT", "UPDATE"):
                _query(
                    stack,
                    f"CREATE TRIGGER refuses_{table}_{event} BEFORE {event} ON {table} FOR EACH ROW"
                    f" SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'as if'",
                    stack.database_name,
                )

    return begin


def _let_write(stack: ProcfileStack) -> None:
    for table in TABLES:
        for event in ("INSERT", "UPDATE"):
            _query(stack, f"DROP TRIGGER IF EXISTS refuses_{table}_{event}", stack.database_name)


def _fill_disk(stack: ProcfileStack) -> None:
    block = b"\0" * 65536
    with suppress(OSError), (stack.database.directory / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(block)


def _empty_disk(stack: ProcfileStack) -> None:
    (stack.database.directory / "filler").unlink(missing_ok=True)


class _ReadLock:
    """FLUSH TABLES WITH READ LOCK, as a backup holds it, with a statement time limit of a second."""

    def begin(self, stack: ProcfileStack) -> None:
        _then_reconnect("SET GLOBAL max_statement_time = 1")(stack)
        assert isinstance(stack.database, MariaDB)
        self._holder = MySQLdb.connect(unix_socket=str(stack.database.socket_path), user="root")
        self._holder.cursor().execute("SET SESSION max_statement_time = 0")
        self._holder.cursor().execute("FLUSH TABLES WITH READ LOCK")

    def end(self, stack: ProcfileStack) -> None:
        self._holder.close()
        _then_reconnect("SET GLOBAL max_statement_time = 0")(stack)


_read_lock: Final = _ReadLock()


def _forget_host(gone: str) -> Callable[[ProcfileStack], None]:
    def begin(stack: ProcfileStack) -> None:
        _name_hosts(*({DATABASE_HOST, REDIS_HOST} - {gone}))
        if gone == DATABASE_HOST:
            _end_connections(stack)
        else:
            with stack.redis() as client:
                client.client_kill_filter(_type="normal", skipme=True)
                client.client_kill_filter(_type="pubsub", skipme=True)

    return begin


def _remember_hosts(stack: ProcfileStack) -> None:
    _name_hosts(DATABASE_HOST, REDIS_HOST)


def _of_database(name: str, begin: Callable[[ProcfileStack], Any], end: Callable[[ProcfileStack], Any]) -> Outage:
    """Starts are accepted during the outage; a read may fail."""
    return Outage(
        name, begin, end, starts_refused=False, reads_refused=True, not_ready=False, problem="store-unavailable"
    )


DATABASE_OUTAGES: Final = (
    *(_of_database(f"error {code}", _refuse_writes(code), _let_write) for code in CODES),
    _of_database("a full disk", _fill_disk, _empty_disk),
    _of_database(
        "another password",
        _then_reconnect(f"ALTER USER {USER}@'127.0.0.1' IDENTIFIED BY 'second'"),
        _then_reconnect(f"ALTER USER {USER}@'127.0.0.1' IDENTIFIED BY 'first'"),
    ),
    _of_database(
        "one connection a user",
        _then_reconnect(f"ALTER USER {USER}@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1"),
        _then_reconnect(f"ALTER USER {USER}@'127.0.0.1' WITH MAX_USER_CONNECTIONS 0"),
    ),
    _of_database(
        "too many connections",
        _then_reconnect("SET GLOBAL max_connections = 10", "SET GLOBAL extra_max_connections = 1"),
        _then_reconnect("SET GLOBAL max_connections = 300"),
    ),
    _of_database("read-only", _then_reconnect("SET GLOBAL read_only = 1"), _then_reconnect("SET GLOBAL read_only = 0")),
    _of_database("a backup's read lock", _read_lock.begin, _read_lock.end),
    _of_database("no DNS for the database", _forget_host(DATABASE_HOST), _remember_hosts),
    Outage("no DNS for Redis", _forget_host(REDIS_HOST), _remember_hosts, reads_refused=True),
)
