"""Owns the basis of every measurement: a private MariaDB and Redis, and longtasks' processes on them.

The servers run as deploy/ recommends: InnoDB and Redis sync every commit to the disk.
"""

import configparser
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from loadtests.bench.errors import BenchError
from loadtests.started.servers import MariaDB, RedisServer
from loadtests.started.stack import TABLES, ProcfileStack
from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import PROJECT_DIR

MARIADB_CONFIG = PROJECT_DIR / "deploy" / "mariadb.cnf"
REDIS_CONFIG = PROJECT_DIR / "deploy" / "redis.conf"
BULK = 1000  # tasks of one POST /tasks/bulk


def mariadb_options(path: Path = MARIADB_CONFIG) -> list[str]:
    """Return deploy/'s recommendations as options: the server reads no file, so the machine's own do not apply."""
    config = configparser.ConfigParser(allow_no_value=True, inline_comment_prefixes=("#",))
    config.read(path, encoding="utf-8")
    named = [(name.replace("_", "-"), (value or "").strip("'\"")) for name, value in config["mysqld"].items()]
    return [f"--{name}={value}" if value else f"--{name}" for name, value in named]


class BenchMariaDB(MariaDB):
    """The tests' server with the options of deploy/mariadb.cnf and LOAD DATA LOCAL."""

    def _command(self) -> list[str]:
        return [*super()._command(), *mariadb_options(), "--local-infile=ON"]

    def truncate(self, name: str, tables: list[str]) -> None:
        """Empty tables despite their foreign keys."""
        import MySQLdb

        connection = MySQLdb.connect(unix_socket=str(self.socket_path), user="root", database=name, autocommit=True)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
            for table in tables:
                cursor.execute(f"TRUNCATE TABLE `{table}`")


class BenchRedis(RedisServer):
    """The tests' server with the options of deploy/redis.conf."""

    def _command(self) -> list[str]:
        binary, *options = super()._command()
        return [binary, str(REDIS_CONFIG), *options]


class BenchStack(ProcfileStack):
    """The Procfile's processes; a measurement starts the roles that it needs."""

    database: BenchMariaDB

    def begin(self) -> None:
        """Prepare an empty database and Redis; start no process."""
        self.database.create_database(self.database_name)
        with self.redis() as client:
            client.flushdb()
        self.manage("migrate", "--noinput", "--verbosity", "0")

    def start_web(self) -> None:
        """web as the Procfile starts it."""
        self.start_role("web")
        self.wait_for(lambda: self.get("/health/live").status == 200, deadline_seconds=30, what="web answers")

    def start_workers(self, count: int, *, nice: bool = False) -> None:
        prefix = "nice -n 19 " if nice else ""
        self.start_role("worker", command=f"{prefix}python manage.py workers {count}")
        with self.redis() as client:
            self.wait_for(
                lambda: client.scard("rq:workers") >= count, deadline_seconds=30, what=f"{count} workers are there"
            )

    def start_mirror(self) -> None:
        """Start the mirror; returns when it has mirrored a task, which is then deleted."""
        self.start_role("mirror")
        self.fill(tasks=1, records=1)
        self.empty()

    def stop_if_running(self, role: str) -> None:
        if self.is_running(role):
            self.stop_role(role)

    def fill(self, *, tasks: int, records: int) -> None:
        """Start tasks, a thousand per request, and wait until they are mirrored."""
        for start in range(0, tasks, BULK):
            self.start_tasks(count=min(BULK, tasks - start), records=records)
        self.wait_until_mirrored()

    def start_tasks(self, *, count: int, records: int) -> None:
        """Start tasks in one request."""
        new = {"name": "upload", "params": {"numRecords": records}}
        answer = self.post("/tasks/bulk", {"tasks": [new] * count})
        if answer.status != 201:
            raise BenchError(f"POST /tasks/bulk: {answer.status} {answer.body[:500]!r} {answer.error}")

    def wait_until_mirrored(self, *, deadline_seconds: float = 120) -> None:
        with self.redis() as client:
            self.wait_for(
                lambda: client.xlen("longtasks:events") == 0,
                deadline_seconds=deadline_seconds,
                what="the mirror has applied everything",
            )

    def wait_until_idle(self, *, deadline_seconds: float) -> None:
        """Wait until no task waits or runs, and everything is mirrored."""
        with self.redis() as client:

            def is_idle() -> bool:
                pipeline = client.pipeline(transaction=False)
                for name in ("high", "low"):
                    pipeline.llen(f"rq:queue:{name}")
                    pipeline.zcard(f"rq:wip:{name}")
                pipeline.xlen("longtasks:events")
                return not any(pipeline.execute())

            self.wait_for(is_idle, deadline_seconds=deadline_seconds, what="all tasks have ended and are mirrored")

    def empty(self) -> None:
        """Delete all tasks and rows. Call it only while workers and mirror are idle or ended."""
        shown = self.database.query(self.database_name, "SHOW TABLES LIKE 'tasks_app\\_%%'")
        self.database.truncate(self.database_name, [*TABLES, *(str(name) for (name,) in shown)])
        with self.redis() as client:
            client.flushdb()

    def restart_empty(self, *, workers: int = 0, nice: bool = False) -> None:
        """Empty the stack: web remains, the mirror and the workers are restarted."""
        for role in ("worker", "mirror"):
            self.stop_if_running(role)
        self.empty()
        self.start_mirror()
        if workers:
            self.start_workers(workers, nice=nice)

    def run_inside(self, module: str, *arguments: str, timeout_seconds: float = 300) -> str:
        """Run a module with this stack's settings, on its database and Redis; returns its output."""
        result = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=self.environment,
            cwd=self.project_directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        if result.returncode:
            raise BenchError(f"{module} ended with status {result.returncode}:\n{result.stdout}{result.stderr}")
        return result.stdout


class Ground:
    """`with Ground() as ground:` a new, empty MariaDB and Redis; removed at the end."""

    def __init__(self) -> None:
        self.database = BenchMariaDB()
        self.redis_server = BenchRedis()

    def __enter__(self) -> "Ground":
        try:
            self.database.start()
            self.redis_server.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        self.database.remove()
        self.redis_server.remove()

    @contextlib.contextmanager
    def stack(
        self, *, environment: Mapping[str, str] | None = None, project_directory: Path = PROJECT_DIR
    ) -> Iterator[BenchStack]:
        """Yield a stack with an empty database and Redis, without processes; its code is that of `project_directory`."""
        stack = BenchStack(
            database=self.database,
            redis_server=self.redis_server,
            environment={"DJANGO_SETTINGS_MODULE": "settings.development", **(environment or {})},
            project_directory=project_directory,
        )
        try:
            stack.begin()
            yield stack
        finally:
            stack.close()

    def roles(self, stack: BenchStack, *names: str) -> dict[str, Any]:
        """Return the processes whose CPU is watched: roles of the stack, and both servers."""
        watched: dict[str, Any] = {name: lambda name=name: stack.pids(name) for name in names}
        return watched | {"redis": lambda: [self.redis_server.pid], "mariadb": lambda: [self.database.pid]}


def wait(condition: Any, *, deadline_seconds: float, what: str) -> float:
    """Wait until `condition()`; returns the seconds that it took. Raises BenchError at the deadline."""
    started = time.monotonic()
    if not child_process.wait_until(condition, deadline_seconds=deadline_seconds, pause_seconds=0.01):
        raise BenchError(f"not within {deadline_seconds} s: {what}")
    return time.monotonic() - started
