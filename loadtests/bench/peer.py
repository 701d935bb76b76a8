"""The peer: the original's stack (Express, Bull, Sequelize), run unchanged on the same MariaDB and Redis.

Owns: its copy, its processes and its tables. Must not: write to the original, which PEER_DIR names.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from loadtests.bench.errors import BenchError
from loadtests.bench.ground import Ground, wait
from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import free_port

DATABASE = "peer"
REDIS_NUMBER = 62  # above those of the stacks
TABLES = ["order_items", "products", "users", "tasks"]
QUEUES = ("highPriority", "lowPriority")
API_PROCESSES = 2
FILL_THREADS = 8
INSTALL_SECONDS = 300


def install_peer(*, source: Path, target: Path) -> Path:
    """Copy the peer and install its packages in the copy, without running their scripts."""
    for needed in ("package.json", "api.js", "worker.js"):
        if not (source / needed).is_file():
            raise BenchError(
                f"PEER_DIR={str(source)!r} holds no {needed}: name the directory of the Express + Bull peer"
            )
    npm = shutil.which("npm")
    if npm is None:
        raise BenchError("PEER_DIR is set, but npm is not installed: apt-get install npm, or unset PEER_DIR")
    shutil.copytree(source, target)
    target.chmod(0o755)
    if (target / "node_modules").is_dir():
        return target
    result = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=target,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if result.returncode:
        raise BenchError(f"npm install of the peer ended with status {result.returncode}:\n{result.stdout[-2000:]}")
    return target


class Peer:
    """`with Peer(…) as peer:` the peer with an empty database; api and workers are started by name."""

    def __init__(self, *, directory: Path, ground: Ground) -> None:
        self.directory = directory
        self.ground = ground
        self.port = free_port()
        self._mark = uuid.uuid4().hex
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._log_path = directory / "log"
        self._environment = {
            **os.environ,
            "NODE_ENV": "production",
            "PEER_REDIS_URL": ground.redis_server.url(REDIS_NUMBER),
            "PEER_DATABASE_URL": f"mysql://root@localhost/{DATABASE}",
            "PEER_DB_SOCKET": str(ground.database.socket_path),
            "PROCESSES": str(API_PROCESSES),
            "PORT": str(self.port),
            child_process.MARK: self._mark,
        }

    def __enter__(self) -> "Peer":
        self.ground.database.create_database(DATABASE)
        with self.ground.redis_server.client(REDIS_NUMBER) as client:
            client.flushdb()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._processes.values():
            child_process.stop(process=process, grace_seconds=5)
        child_process.kill_marked(mark=self._mark)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_api(self) -> None:
        self._start("api", "node", "api.js")
        wait(self._is_up, deadline_seconds=30, what=f"the peer's API answers:\n{self._log()}")

    def start_workers(self, *, processes: int, concurrency: int) -> None:
        for number in range(processes):
            self._start(f"worker-{number}", "node", "worker.js", str(concurrency))

    def stop_workers(self) -> None:
        for role in [role for role in self._processes if role.startswith("worker")]:
            child_process.stop(process=self._processes.pop(role), grace_seconds=10)

    def pids(self) -> list[int]:
        return child_process.marked_pids(mark=self._mark)

    def worker_pids(self) -> list[int]:
        return [process.pid for role, process in self._processes.items() if role.startswith("worker")]

    def post(self, *, records: int, connection: http.client.HTTPConnection | None = None) -> int:
        """Start a task; returns its id."""
        line = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = json.dumps({"name": "upload", "description": "user upload", "numRecords": records})
        line.request("POST", "/tasks", body, {"Content-Type": "application/json"})
        answer = line.getresponse()
        content = answer.read()
        if answer.status != 201:
            raise BenchError(f"the peer's POST /tasks: {answer.status} {content[:500]!r}")
        return int(json.loads(content)["id"])

    def fill(self, *, tasks: int, records: int) -> None:
        """Start tasks over a few connections."""
        failures: list[Exception] = []

        def post(count: int) -> None:
            try:
                line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                for _ in range(count):
                    self.post(records=records, connection=line)
            except Exception as failure:
                failures.append(failure)

        counts = [len(range(number, tasks, FILL_THREADS)) for number in range(FILL_THREADS)]
        threads = [threading.Thread(target=post, args=(count,)) for count in counts if count]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def wait_until_idle(self, *, deadline_seconds: float) -> None:
        with self.ground.redis_server.client(REDIS_NUMBER) as client:

            def is_idle() -> bool:
                pipeline = client.pipeline(transaction=False)
                for name in QUEUES:
                    pipeline.llen(f"bull:{name}:wait")
                    pipeline.llen(f"bull:{name}:active")
                return not any(pipeline.execute())

            wait(is_idle, deadline_seconds=deadline_seconds, what=f"the peer has run its tasks:\n{self._log()}")

    def count_rows(self) -> Mapping[str, int]:
        """Return the number of rows by table; of tasks only the completed ones."""
        query = self.ground.database.query
        counts = {table: int(query(DATABASE, f"SELECT COUNT(*) FROM {table}")[0][0]) for table in TABLES[:3]}
        completed = query(DATABASE, "SELECT COUNT(*) FROM tasks WHERE status = 'completed'")[0][0]
        return counts | {"completed": int(completed)}

    def empty(self) -> None:
        self.ground.database.truncate(DATABASE, TABLES)

    def _start(self, role: str, *command: str) -> None:
        with self._log_path.open("ab") as log:
            self._processes[role] = child_process.spawn(
                command=command, environment=self._environment, output=log, directory=self.directory
            )

    def _is_up(self) -> bool:
        # 404 for an unknown task: the API listens and its tables exist.
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            line.request("GET", "/tasks/0")
            return line.getresponse().status == 404
        except OSError:
            return False
        finally:
            line.close()

    def _log(self) -> str:
        return self._log_path.read_text(errors="replace")[-2000:] if self._log_path.exists() else ""
