"""Backup and restore of a test stack's stores, as docs/operations.md describes them. Must not know tasks.

The database: a dump in one transaction (SQLite: its backup API). Redis: an RDB file that a client fetches.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
from pathlib import Path

from loadtests.started.servers import Database, MariaDB, RedisServer, SQLite
from longtasks.local_stack import child_process


def dump_database(database: Database, name: str, path: Path) -> None:
    """Back up a database while clients write to it."""
    if isinstance(database, SQLite):
        with (
            contextlib.closing(sqlite3.connect(database._path(name))) as source,
            contextlib.closing(sqlite3.connect(path)) as copy,
        ):
            source.backup(copy)
        return
    assert isinstance(database, MariaDB)
    with path.open("wb") as dump:
        command = [
            "mysqldump",
            "--no-defaults",
            f"--socket={database.socket_path}",
            "--user=root",
            "--single-transaction",
            name,
        ]
        subprocess.run(command, stdout=dump, check=True)


def restore_database(database: Database, name: str, path: Path) -> None:
    """Replace a database by its backup; no client may be connected."""
    database.create_database(name)
    if isinstance(database, SQLite):
        shutil.copy(path, database._path(name))
        return
    assert isinstance(database, MariaDB)
    with path.open("rb") as dump:
        command = ["mysql", "--no-defaults", f"--socket={database.socket_path}", "--user=root", name]
        subprocess.run(command, stdin=dump, check=True)


def copy_redis(server: RedisServer, path: Path) -> None:
    """Fetch a copy of all data while clients write."""
    subprocess.run(["redis-cli", "-s", str(server.socket_path), "--rdb", str(path)], check=True, capture_output=True)


class RestorableRedis(RedisServer):
    """A Redis whose data can be replaced by a copy's."""

    _reads_rdb = False

    def restore(self, path: Path) -> None:
        """Replace all data by a copy's. With appendonly Redis ignores the RDB file, so it is enabled afterwards."""
        self.stop()
        shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)
        (self.directory / "appendonly.aof").unlink(missing_ok=True)
        shutil.copy(path, self.directory / "dump.rdb")
        self._reads_rdb = True
        self.start()
        self._reads_rdb = False
        with self.client() as client:
            client.config_set("appendonly", "yes")
            child_process.wait_until(
                lambda: (
                    not client.info("persistence")["aof_rewrite_in_progress"]
                    and not client.info("persistence")["aof_rewrite_scheduled"]
                ),
                deadline_seconds=30,
            )
        self.restart()  # its append-only file counts from now on

    def _command(self) -> list[str]:
        command = super()._command()
        if self._reads_rdb:
            command[command.index("--appendonly") + 1] = "no"
        return command
