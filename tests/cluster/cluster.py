"""Owns the running cluster: its network, its servers, and the project's processes on their hosts.

It starts, kills, isolates and repairs; `faults` owns what is done in which order. Must not know pytest.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from loadtests.started.servers import Server
from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import PROJECT_DIR, process_environment, procfile_command, read_procfile
from tests.cluster.network import Network
from tests.cluster.nodes import DATABASE, PASSWORD, USER, Balancer, GaleraNode, RedisNode, SentinelNode
from tests.support.sentinel_config import MASTER_NAME

WEB = ("web1", "web2")
WORKERS = ("worker1", "worker2", "worker3")
SPARE = "worker4"
MIRRORS = ("mirror1", "mirror2")
REDIS = ("redis1", "redis2", "redis3")
DB = ("db1", "db2", "db3")
BALANCER = "balancer"
LOAD = "load"
HOSTS = (*WEB, *WORKERS, SPARE, *MIRRORS, *REDIS, *DB, BALANCER, LOAD)
TABLES = ("users", "products", "order_items")


class ClusterError(Exception):
    """The cluster is not healthy; the message names the cause and shows the last lines of a log."""


class Cluster:
    """`with Cluster() as cluster:`; the end of the block ends every process and removes every namespace."""

    def __init__(self, *, single_writer: bool = False, redis_wait_replicas: int = 1) -> None:
        self.network = Network(HOSTS)
        self.directory = Path(tempfile.mkdtemp(prefix="longtasks-cluster-"))
        self.mark = uuid.uuid4().hex
        self.redis: dict[str, RedisNode] = {}
        self.sentinels: dict[str, SentinelNode] = {}
        self.databases: dict[str, GaleraNode] = {}
        self._single_writer = single_writer
        self._wait_replicas = redis_wait_replicas
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._secret_key = secrets.token_urlsafe(50)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Cluster:
        try:
            self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
            self._stack.enter_context(self.network)
            self._stack.callback(child_process.kill_marked, mark=self.mark)
            self._start_servers()
            self.manage("migrate", "--noinput", "--verbosity", "0")
            for host in (*WEB, *WORKERS, *MIRRORS):
                self.start_host(host)
            self._own(self._make_balancer())
            self.wait_for(lambda: self.get("/health/ready") == 200, what="the balancer has a web host", seconds=60)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- its servers

    def _start_servers(self) -> None:
        for host in DB:
            node = self.databases[host] = GaleraNode(network=self.network, host=host, hosts=DB)
            self._own(node)
            if host == DB[0]:
                node.make_user()
        for host in REDIS:
            self.redis[host] = RedisNode(network=self.network, host=host, primary=REDIS[0])
            self._own(self.redis[host])
        self.wait_for(lambda: self.replicas() == len(REDIS) - 1, what="the replicas follow", seconds=20)
        for host in REDIS:
            self.sentinels[host] = SentinelNode(network=self.network, host=host, primary=REDIS[0])
            self._own(self.sentinels[host])
        self.wait_for(
            lambda: all(sentinel.sees() == (2, 2) for sentinel in self.sentinels.values()),
            what="the Sentinels know each other",
            seconds=30,
        )

    def _make_balancer(self) -> Balancer:
        self.balancer = Balancer(network=self.network, host=BALANCER, web_hosts=WEB)
        return self.balancer

    def _own(self, server: Server) -> None:
        self._stack.callback(server.remove)
        server.start()

    def primary(self) -> str:
        """Return the host of the Redis primary according to a majority of Sentinels; "" while there is none."""
        votes: dict[str, int] = {}
        for sentinel in self.sentinels.values():
            with contextlib.suppress(redis.RedisError, OSError):
                address = sentinel.primary_address()
                votes[address] = votes.get(address, 0) + 1
        for host in REDIS:
            if votes.get(self.network.address(host), 0) >= 2 and self.redis[host].role() == "master":
                return host
        return ""

    def replicas(self) -> int:
        """Return how many replicas follow the primary, as it reports."""
        host = self.primary() if self.sentinels else REDIS[0]
        if not host:
            return 0
        with contextlib.suppress(redis.RedisError, OSError), self.redis[host].client() as client:
            state = client.info("replication")
            return sum(state.get(f"slave{number}", {}).get("state") == "online" for number in range(len(REDIS)))
        return 0

    def client(self) -> redis.Redis:
        return self.redis[self.primary() or REDIS[0]].client()

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Query a node of the cluster that has caught up with the others."""
        for node in self.databases.values():
            if node.members():
                return node.query(statement, parameters, database=DATABASE)
        raise ClusterError("no Galera node is in the cluster")

    def is_whole(self) -> bool:
        """Tell whether every server is back in its place."""
        return (
            all(node.members() == len(DB) for node in self.databases.values())
            and self.replicas() == len(REDIS) - 1
            and all(self.is_running(host) for host in (*WEB, *WORKERS, *MIRRORS))
        )

    # --- the project's processes

    def environment(self, host: str) -> dict[str, str]:
        """Return the environment that an operator would write for this host."""
        first = 0 if self._single_writer else HOSTS.index(host) % len(DB)
        order = [DB[(first + step) % len(DB)] for step in range(len(DB))]
        nodes = ",".join(f"{self.network.address(node)}:3306" for node in order)
        data = self.directory / host
        data.mkdir(exist_ok=True)
        # Without the tests' own environment: the hosts are another installation.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS", "DATABASE"))}
        return process_environment(inherited) | {
            "DJANGO_SETTINGS_MODULE": "settings.production",
            "ENV_FILE": "",
            "SECRET_KEY": self._secret_key,
            "ALLOWED_HOSTS": "*",
            "HTTPS_ONLY": "0",
            "DATA_DIR": str(data),
            "BIND": self.network.address(host),
            "PORT": "3000",
            "WEB_WORKERS": "1",
            "WORKERS": "2",
            "DATABASE_URL": f"mysql://{USER}:{PASSWORD}@{nodes}/{DATABASE}?read_timeout=5&write_timeout=5",
            "REDIS_URL": f"redis://:{PASSWORD}@/0",
            "REDIS_SENTINELS": ",".join(f"{self.network.address(node)}:26379" for node in REDIS),
            "REDIS_MASTER_NAME": MASTER_NAME,
            "REDIS_SENTINEL_PASSWORD": PASSWORD,
            "REDIS_WAIT_REPLICAS": str(self._wait_replicas),
            "LEASE_SECONDS": "4",
            "LOG_LEVEL": "INFO",
            child_process.MARK: self.mark,
        }

    def start_host(self, host: str) -> None:
        """Start the host's processes that do not run."""
        if self.is_running(host):
            return
        role = host.rstrip("0123456789")
        with self.log_path(host).open("ab") as log:
            self._processes[host] = child_process.spawn(
                command=self.network.command(host, procfile_command(read_procfile()[role])),
                environment=self.environment(host) | {"LONGTASKS_HOST": host},
                output=log,
                directory=PROJECT_DIR,
            )

    def is_running(self, host: str) -> bool:
        return host in self._processes and self._processes[host].poll() is None

    def kill_host(self, host: str) -> None:
        """Kill (-9) all processes of the project on the host at once."""
        pids = child_process.marked_pids(mark=self.mark, also={"LONGTASKS_HOST": host})
        child_process.signal_pids(pids=pids, signal_number=signal.SIGKILL)
        self._processes[host].wait()

    def stop_host(self, host: str) -> None:
        """Send SIGTERM, as for a deploy."""
        child_process.stop(process=self._processes[host], grace_seconds=30)

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            self.network.command(MIRRORS[0], [sys.executable, "manage.py", *arguments]),
            env=self.environment(MIRRORS[0]), cwd=PROJECT_DIR, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=180, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ClusterError(f"manage.py {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    # --- from outside

    def get(self, path: str) -> int:
        """Return the status of a GET from the load host; 0 without an answer."""
        script = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).status)"
        asked = subprocess.run(
            self.network.command(LOAD, [sys.executable, "-c", script, self.balancer.url + path]),
            capture_output=True,
            text=True,
            check=False,
        )
        return int(asked.stdout or 0)

    def log_path(self, host: str) -> Path:
        return self.directory / f"{host}.log"

    def log_tail(self, host: str, *, lines: int = 15) -> str:
        path = self.log_path(host)
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def wait_for(self, condition: Callable[[], object], *, what: str, seconds: float) -> None:
        if not child_process.wait_until(condition, deadline_seconds=seconds, pause_seconds=0.2):
            logs = "\n".join(f"--- {host}\n{self.log_tail(host)}" for host in self._processes)
            raise ClusterError(f"not within {seconds} s: {what}\n{logs}")
