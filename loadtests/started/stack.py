"""Owns a Procfile stack under test: real processes on a database and a Redis number of their own, used from outside.

Must not: know pytest; longer suites use it too.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.started.http_client import Answer, send_request
from loadtests.started.manage_command import run_manage
from loadtests.started.role_processes import RoleProcesses
from loadtests.started.servers import REDIS_DATABASES, Database, RedisServer
from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import PROJECT_DIR, free_port, process_environment, read_procfile

TABLES = ("users", "products", "order_items")
ENDED = frozenset({"finished", "failed", "canceled", "stopped"})
NEEDED_ROLES = ("web", "worker", "mirror")
ALL_ROLES = tuple(read_procfile())
_taken_numbers: set[int] = set()


def take_number() -> int:
    """Return the lowest number that no open stack has: the suite has more stacks than Redis has databases."""
    number = next(number for number in range(1, REDIS_DATABASES) if number not in _taken_numbers)
    _taken_numbers.add(number)
    return number


class ProcfileStack(RoleProcesses):
    """The processes of the Procfile on a database and a Redis number of their own."""

    def __init__(
        self,
        *,
        database: Database,
        redis_server: RedisServer,
        environment: Mapping[str, str] | None = None,
        workers: int = 2,
        roles: Sequence[str] = NEEDED_ROLES,
        project_directory: Path = PROJECT_DIR,
    ) -> None:
        number = take_number()
        self.project_directory = project_directory  # whose code runs
        self.database = database
        self.redis_server = redis_server
        self.database_name = f"stack_{number}"
        self.redis_number = number  # 0 belongs to the tests without a stack
        self.port = free_port()
        self._is_closed = False
        directory = Path(tempfile.mkdtemp(prefix="longtasks-stack-"))
        own_environment = {
            "DJANGO_SETTINGS_MODULE": "settings.test",
            "ENV_FILE": "",
            "DATABASE_URL": database.url(self.database_name),
            "REDIS_URL": redis_server.url(number),
            "DATA_DIR": str(directory),
            "BIND": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_WORKERS": "2",
            "WORKERS": str(workers),
        }
        super().__init__(
            commands={role: command for role, command in read_procfile().items() if role in roles},
            environment=process_environment(os.environ) | own_environment | dict(environment or {}),
            directory=directory,
            mark=uuid.uuid4().hex,
            project_directory=project_directory,
        )

    # Start and end

    def start(self) -> None:
        """Empty the database and Redis, start every role, and return when web answers."""
        self.database.create_database(self.database_name)
        with self.redis() as client:
            client.flushdb()
        self.manage("migrate", "--noinput", "--verbosity", "0")
        self.ensure_running()

    def ensure_running(self) -> None:
        """Start the roles that have ended and resume those that are paused."""
        for role in self.roles:
            child_process.signal_pids(pids=self.pids(role), signal_number=signal.SIGCONT)
            self.start_role(role)
        self.wait_for(lambda: self.get("/health/live").status == 200, deadline_seconds=90, what="web answers")

    def close(self) -> None:
        """End all processes that were started here, and delete their files."""
        try:
            self.end_processes()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
            self._return_number()

    def _return_number(self) -> None:
        if not self._is_closed:
            _taken_numbers.discard(self.redis_number)
        self._is_closed = True

    # As a client

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, timeout_seconds: float = 30) -> Answer:
        return send_request("GET", self.address + path, body=None, headers=headers, timeout_seconds=timeout_seconds)

    def post(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, timeout_seconds: float = 30
    ) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        return send_request("POST", self.address + path, body=content, headers=headers, timeout_seconds=timeout_seconds)

    def start_upload(self, *, records: int, priority: str = "low") -> str:
        """Start an upload; returns its id."""
        answer = self.post("/tasks", {"name": "upload", "params": {"numRecords": records}, "priority": priority})
        assert answer.status == 201, (
            f"POST /tasks: {answer.status} {answer.body.decode(errors='replace')} {answer.error}"
        )
        return str(answer.json["id"])

    def task(self, task_id: str) -> dict[str, Any]:
        """Return the task as GET /tasks/{id} shows it."""
        answer = self.get(f"/tasks/{task_id}")
        assert answer.status == 200, f"GET /tasks/{task_id}: {answer.status} {answer.body.decode(errors='replace')}"
        return dict(answer.json)

    def wait_for_end(self, task_id: str, *, deadline_seconds: float) -> dict[str, Any]:
        """Wait until the task has ended; returns it as a client sees it."""
        self.wait_for(
            lambda: self.task(task_id)["status"] in ENDED,
            deadline_seconds=deadline_seconds,
            what=lambda: f"task {task_id} ends; it is {self.task(task_id)}",
        )
        return self.task(task_id)

    def wait_for_record(self, task_id: str, *, deadline_seconds: float = 30) -> None:
        """Wait until the mirror has written the task's end: lists, history and `verify` follow Redis a moment later."""
        statement = "SELECT status FROM tasks_app_taskrecord WHERE id = %s"
        self.wait_for(
            lambda: {status for (status,) in self.sql(statement, uuid.UUID(task_id).hex)} & ENDED,
            deadline_seconds=deadline_seconds,
            what=f"the mirror writes the end of {task_id}",
        )

    # In the stores

    def row_counts(self, task_id: str) -> dict[str, int]:
        """Count the task's rows in each table."""
        return {table: self._count("COUNT(*)", table, task_id) for table in TABLES}

    def position_counts(self, task_id: str) -> dict[str, int]:
        """Count the distinct positions in each table: as many as rows, unless one was written twice."""
        return {table: self._count("COUNT(DISTINCT position)", table, task_id) for table in TABLES}

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run one statement (%s for parameters) in this stack's database."""
        return self.database.query(self.database_name, statement, parameters)

    def redis(self) -> Any:
        """Return a client of this stack's Redis database."""
        return self.redis_server.client(self.redis_number)

    def manage(self, *arguments: str, timeout_seconds: float = 120) -> str:
        """Run a management command that must succeed; returns its output."""
        result = self.run_manage(*arguments, timeout_seconds=timeout_seconds)
        assert result.returncode == 0, f"manage.py {' '.join(arguments)}: {result.returncode}\n{result.stdout}"
        return result.stdout

    def run_manage(self, *arguments: str, timeout_seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a management command, whatever its exit code; `stdout` holds its errors too."""
        return run_manage(
            *arguments,
            environment=self.environment,
            timeout_seconds=timeout_seconds,
            stderr=subprocess.STDOUT,
            project_directory=self.project_directory,
        )

    def _count(self, what: str, table: str, task_id: str) -> int:
        # Without hyphens: SQLite and MySQL store it so, and MariaDB's uuid type accepts it.
        return int(self.sql(f"SELECT {what} FROM {table} WHERE task_id = %s", uuid.UUID(task_id).hex)[0][0])
