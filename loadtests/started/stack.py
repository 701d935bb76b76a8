"""Owns a Procfile stack under test: the real processes, each to be started, stopped, killed or paused by its role.

It knows nothing of pytest, so that longer suites can drive it too. It signals only processes that carry its mark.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.started.servers import REDIS_DATABASES, Database, RedisServer
from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import PROJECT_DIR, free_port, process_environment, procfile_command, read_procfile

TABLES = ("users", "products", "order_items")
ENDED = frozenset({"finished", "failed", "canceled", "stopped"})
ROLE = "LONGTASKS_STACK_ROLE"
NEEDED_ROLES = ("web", "worker", "mirror")
ALL_ROLES = tuple(read_procfile())
_taken_numbers: set[int] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client saw: status 0 with `error` when there was no answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    error: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def take_number() -> int:
    """Return the lowest number that no open stack has: Redis has only so many databases, and the suite more stacks."""
    number = next(number for number in range(1, REDIS_DATABASES) if number not in _taken_numbers)
    _taken_numbers.add(number)
    return number


class ProcfileStack:
    """The processes of the Procfile on a database and a Redis number of their own."""

    def __init__(
        self,
        *,
        database: Database,
        redis_server: RedisServer,
        environment: Mapping[str, str] | None = None,
        workers: int = 2,
        roles: Sequence[str] = NEEDED_ROLES,
    ) -> None:
        number = take_number()
        self.database = database
        self.redis_server = redis_server
        self.database_name = f"stack_{number}"
        self.redis_number = number  # 0 belongs to the tests without a stack
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="longtasks-stack-"))
        self._mark = uuid.uuid4().hex
        self._is_closed = False
        self._commands = {role: command for role, command in read_procfile().items() if role in roles}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = process_environment(os.environ) | {
            "DJANGO_SETTINGS_MODULE": "settings.test",
            "ENV_FILE": "",
            "DATABASE_URL": database.url(self.database_name),
            "REDIS_URL": redis_server.url(number),
            "DATA_DIR": str(self.directory),
            "BIND": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_WORKERS": "2",
            "WORKERS": str(workers),
            child_process.MARK: self._mark,
            **(environment or {}),
        }

    # Its life

    def start(self) -> None:
        """An empty database and Redis, then every role; returns when web answers."""
        self.database.create_database(self.database_name)
        with self.redis() as client:
            client.flushdb()
        self.manage("migrate", "--noinput", "--verbosity", "0")
        self.ensure_running()

    def ensure_running(self) -> None:
        """Start what has ended, let go on what was paused."""
        for role in self.roles:
            child_process.signal_pids(pids=self.pids(role), signal_number=signal.SIGCONT)
            self.start_role(role)
        self.wait_for(lambda: self.get("/health/live").status == 200, deadline_seconds=90, what="web answers")

    def close(self) -> None:
        """End everything that was started here, and delete its files."""
        try:
            for role in self._processes:
                child_process.signal_pids(pids=self.pids(role), signal_number=signal.SIGCONT)
                self._processes[role].terminate()
            for process in self._processes.values():
                child_process.stop(process=process, grace_seconds=10)
        finally:
            child_process.kill_marked(mark=self._mark)
            shutil.rmtree(self.directory, ignore_errors=True)
            self._give_number_back()

    def _give_number_back(self) -> None:
        if not self._is_closed:
            _taken_numbers.discard(self.redis_number)
        self._is_closed = True

    # Roles

    @property
    def roles(self) -> list[str]:
        return list(self._commands)

    def start_role(self, role: str, *, command: str = "") -> None:
        """Start what the Procfile says of a role, or `command` under a name of its own."""
        if self.is_running(role):
            return
        with self.log_path(role).open("ab") as log:
            self._processes[role] = child_process.spawn(
                command=procfile_command(command or self._commands[role]),
                environment=self.environment | {ROLE: role},
                output=log,
                directory=PROJECT_DIR,
            )

    def is_running(self, role: str) -> bool:
        return role in self._processes and self._processes[role].poll() is None

    def stop_role(self, role: str, *, grace_seconds: float = 30) -> float:
        """SIGTERM, as a deploy does; returns the seconds until its end. Who ignores it is killed."""
        process = self._processes[role]
        started = time.monotonic()
        process.terminate()
        try:
            process.wait(timeout=grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(
                f"{role} did not end {grace_seconds} s after SIGTERM:\n{self.log_tail(role)}"
            ) from None
        return time.monotonic() - started

    def kill_role(self, role: str) -> None:
        """kill -9 of the parent and of every descendant, at once."""
        pids = set(self.pids(role))
        child_process.signal_pids(pids=pids, signal_number=signal.SIGKILL)
        self._processes[role].wait()
        child_process.wait_until(lambda: not pids & set(self.pids(role)), deadline_seconds=10)

    def kill_parent(self, role: str) -> None:
        """kill -9 of the parent alone."""
        self._processes[role].kill()
        self._processes[role].wait()

    def kill_child(self, role: str, *, index: int = 0) -> int:
        """kill -9 of one child; returns its pid."""
        pid = self.child_pids(role)[index]
        os.kill(pid, signal.SIGKILL)
        return pid

    def hang_up(self, role: str) -> None:
        """SIGHUP of the parent: what `make reload` sends."""
        self._processes[role].send_signal(signal.SIGHUP)

    def restart_role(self, role: str) -> None:
        self.stop_role(role)
        self.start_role(role)

    def parent_pid(self, role: str) -> int:
        return self._processes[role].pid

    def pids(self, role: str) -> list[int]:
        """Every living process of a role, orphans too."""
        return child_process.marked_pids(mark=self._mark, also={ROLE: role})

    def child_pids(self, role: str) -> list[int]:
        parent = self.parent_pid(role) if role in self._processes else 0
        return [pid for pid in self.pids(role) if pid != parent]

    def pause_pids(self, pids: list[int]) -> None:
        self._refuse_strangers(pids)
        child_process.signal_pids(pids=pids, signal_number=signal.SIGSTOP)

    def resume_pids(self, pids: list[int]) -> None:
        self._refuse_strangers(pids)
        child_process.signal_pids(pids=pids, signal_number=signal.SIGCONT)

    def peak_rss_mib(self, role: str) -> float:
        """The highest VmHWM among the living children of a role."""
        peaks = [0]
        for pid in self.child_pids(role):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
                peaks += [int(match[1])] if match else []
        return max(peaks) / 1024

    def log_path(self, role: str) -> Path:
        return self.directory / f"{role}.log"

    def log_tail(self, role: str, *, lines: int = 30) -> str:
        path = self.log_path(role)
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _refuse_strangers(self, pids: list[int]) -> None:
        strangers = set(pids) - set(child_process.marked_pids(mark=self._mark))
        if strangers:
            raise AssertionError(f"processes {sorted(strangers)} are not of this stack")

    # From outside

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, timeout_seconds: float = 30) -> Answer:
        return self._request("GET", path, body=None, headers=headers, timeout_seconds=timeout_seconds)

    def post(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, timeout_seconds: float = 30
    ) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self._request("POST", path, body=content, headers=headers, timeout_seconds=timeout_seconds)

    def start_upload(self, *, records: int, priority: str = "low") -> str:
        """The id of an accepted upload."""
        answer = self.post("/tasks", {"name": "upload", "params": {"numRecords": records}, "priority": priority})
        assert answer.status == 201, (
            f"POST /tasks: {answer.status} {answer.body.decode(errors='replace')} {answer.error}"
        )
        return str(answer.json["id"])

    def task(self, task_id: str) -> dict[str, Any]:
        answer = self.get(f"/tasks/{task_id}")
        assert answer.status == 200, f"GET /tasks/{task_id}: {answer.status} {answer.body.decode(errors='replace')}"
        return dict(answer.json)

    def wait_for_end(self, task_id: str, *, deadline_seconds: float) -> dict[str, Any]:
        """The task as a client sees it once it has ended."""
        self.wait_for(
            lambda: self.task(task_id)["status"] in ENDED,
            deadline_seconds=deadline_seconds,
            what=lambda: f"task {task_id} ends; it is {self.task(task_id)}",
        )
        return self.task(task_id)

    def wait_for_record(self, task_id: str, *, deadline_seconds: float = 30) -> None:
        """Returns when the tables tell of a task's end too: lists, history and `verify` follow Redis a moment later."""
        statement = "SELECT status FROM tasks_app_taskrecord WHERE id = %s"
        self.wait_for(
            lambda: {status for (status,) in self.sql(statement, uuid.UUID(task_id).hex)} & ENDED,
            deadline_seconds=deadline_seconds,
            what=f"the mirror tells of the end of {task_id}",
        )

    def wait_for(
        self,
        condition: Callable[[], object],
        *,
        deadline_seconds: float,
        what: str | Callable[[], str] = "the condition",
    ) -> None:
        if not child_process.wait_until(condition, deadline_seconds=deadline_seconds):
            logs = "\n".join(f"--- {role}\n{self.log_tail(role)}" for role in self.roles)
            raise AssertionError(f"not within {deadline_seconds} s: {what() if callable(what) else what}\n{logs}")

    # From below

    def row_counts(self, task_id: str) -> dict[str, int]:
        return {table: self._count("COUNT(*)", table, task_id) for table in TABLES}

    def position_counts(self, task_id: str) -> dict[str, int]:
        """Distinct positions: equal to the rows unless one was written twice."""
        return {table: self._count("COUNT(DISTINCT position)", table, task_id) for table in TABLES}

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.database.query(self.database_name, statement, parameters)

    def redis(self) -> Any:
        return self.redis_server.client(self.redis_number)

    def manage(self, *arguments: str, timeout_seconds: float = 120) -> str:
        """Run a management command on this stack's database and Redis; returns what it printed."""
        result = self.run_manage(*arguments, timeout_seconds=timeout_seconds)
        assert result.returncode == 0, f"manage.py {' '.join(arguments)}: {result.returncode}\n{result.stdout}"
        return result.stdout

    def run_manage(self, *arguments: str, timeout_seconds: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environment,
            cwd=PROJECT_DIR,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    def _count(self, what: str, table: str, task_id: str) -> int:
        # Without hyphens: what SQLite and MySQL store, and MariaDB's uuid type accepts.
        return int(self.sql(f"SELECT {what} FROM {table} WHERE task_id = %s", uuid.UUID(task_id).hex)[0][0])

    def _request(
        self, method: str, path: str, *, body: bytes | None, headers: Mapping[str, str] | None, timeout_seconds: float
    ) -> Answer:
        request = urllib.request.Request(self.address + path, data=body, headers=dict(headers or {}), method=method)
        started = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
                status, answered, content, error = response.status, dict(response.headers), response.read(), ""
        except urllib.error.HTTPError as refusal:
            status, answered, content, error = refusal.code, dict(refusal.headers), refusal.read(), ""
        except (OSError, http.client.HTTPException) as failure:  # killed before, or in the middle of, its answer
            status, answered, content, error = 0, {}, b"", str(failure)
        return Answer(status=status, headers=answered, body=content, seconds=time.monotonic() - started, error=error)
