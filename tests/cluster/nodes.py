"""Owns the servers of the cluster test: Redis with Sentinels, Galera nodes, HAProxy; each on its own host.

They answer this process through sockets in their directories, whatever the state of the network between the hosts.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from loadtests.started.server import Server, ServerError
from loadtests.started.server import find_binary as _find
from tests.cluster.network import Network
from tests.support.sentinel_config import MASTER_NAME, write_sentinel_config

PASSWORD = "cluster-test"
USER = "longtasks"
DATABASE = "longtasks"
GALERA_LIBRARIES = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib/libgalera_smm.so")
# How soon a silent host counts as down. The defaults (30 s, 5 s) would only make the test longer.
SENTINEL_SECONDS = 3
GALERA_SUSPECT_SECONDS = 3
TRANSFER_SECONDS = 150  # a returning node catches up before it answers


class Node(Server):
    """A server on a host."""

    def __init__(self, *, network: Network, host: str) -> None:
        super().__init__()
        self.network = network
        self.host = host
        self.address = network.address(host)
        self.socket_path = self.directory / "s"

    def _on_host(self, *command: str) -> list[str]:
        return self.network.command(self.host, command)


class RedisNode(Node):
    """redis-server with a configuration file, which Sentinels rewrite; the first one starts as the primary."""

    name = "redis"

    def __init__(self, *, network: Network, host: str, primary: str) -> None:
        super().__init__(network=network, host=host)
        self._primary = primary

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket_path), password=PASSWORD, socket_timeout=5)

    def role(self) -> str:
        """Return master or slave; "" if it does not answer."""
        try:
            with self.client() as client:
                return str(client.role()[0].decode())
        except (redis.RedisError, OSError):
            return ""

    def _prepare(self) -> None:
        path = self.directory / "redis.conf"
        if path.exists():
            return
        lines = [
            f"bind {self.address}",
            "port 6379",
            f"unixsocket {self.socket_path}",
            f"dir {self.directory}",
            'save ""',
            "appendonly yes",
            "appendfsync always",
            "hash-max-listpack-value 512",
            f"requirepass {PASSWORD}",
            f"masterauth {PASSWORD}",
            # A primary without replicas refuses writes, which would be lost.
            "min-replicas-to-write 1",
            "min-replicas-max-lag 2",
            "repl-ping-replica-period 1",
            "repl-timeout 5",
            "repl-diskless-sync-delay 0",
        ]
        if self.host != self._primary:
            lines.append(f"replicaof {self.network.address(self._primary)} 6379")
        path.write_text("\n".join(lines) + "\n")

    def _command(self) -> list[str]:
        return self._on_host(_find("redis-server", package="redis-server"), str(self.directory / "redis.conf"))

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
            return False


class SentinelNode(Node):
    """A Sentinel."""

    name = "sentinel"

    def __init__(self, *, network: Network, host: str, primary: str) -> None:
        super().__init__(network=network, host=host)
        self._primary = primary

    def primary_address(self) -> str:
        with redis.Redis(unix_socket_path=str(self.socket_path), password=PASSWORD, socket_timeout=5) as client:
            return client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[0].decode()

    def sees(self) -> tuple[int, int]:
        """Return how many replicas and how many other Sentinels it knows."""
        with redis.Redis(unix_socket_path=str(self.socket_path), password=PASSWORD, socket_timeout=5) as client:
            state = client.sentinel_master(MASTER_NAME)
        return int(state["num-slaves"]), int(state["num-other-sentinels"])

    def _prepare(self) -> None:
        write_sentinel_config(
            self.directory / "sentinel.conf",
            listens=(f"bind {self.address}", "port 26379", f"unixsocket {self.socket_path}"),
            password=PASSWORD,
            primary=(self.network.address(self._primary), 6379),
            quorum=2,
            down_seconds=SENTINEL_SECONDS,
        )

    def _command(self) -> list[str]:
        binary = _find("redis-server", package="redis-server")
        return self._on_host(binary, str(self.directory / "sentinel.conf"), "--sentinel")

    def _answers(self) -> bool:
        try:
            return bool(self.primary_address())
        except (redis.RedisError, OSError):
            return False


class GaleraNode(Node):
    """mariadbd as a node of a Galera cluster; the first one creates the cluster, once.

    flush_log_at_trx_commit=2, as Galera recommends: a commit is safe because the other nodes have it.
    """

    name = "galera"

    def __init__(self, *, network: Network, host: str, hosts: Sequence[str]) -> None:
        super().__init__(network=network, host=host)
        self._members = hosts
        self._makes_cluster = host == hosts[0]

    def wait_until_ready(self, *, deadline_seconds: float = TRANSFER_SECONDS) -> None:
        super().wait_until_ready(deadline_seconds=deadline_seconds)

    def query(self, sql: str, parameters: Sequence[Any] = (), *, database: str = "") -> list[tuple[Any, ...]]:
        import MySQLdb

        connection = MySQLdb.connect(
            unix_socket=str(self.socket_path), user="root", database=database, autocommit=True, connect_timeout=5,
            read_timeout=60,
        )  # fmt: skip
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            return list(cursor.fetchall())

    def members(self) -> int:
        """Return how many nodes it sees; 0 if it is out of the cluster or unavailable."""
        import MySQLdb

        try:
            state = dict(self.query("SHOW GLOBAL STATUS LIKE 'wsrep%'"))
        except MySQLdb.Error:
            return 0
        is_in = state["wsrep_ready"] == "ON" and state["wsrep_local_state_comment"] == "Synced"
        return int(state["wsrep_cluster_size"]) if is_in else 0

    def make_user(self) -> None:
        self.query(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        self.query(f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'")
        self.query(f"GRANT ALL ON {DATABASE}.* TO '{USER}'@'%'")

    def _prepare(self) -> None:
        if (self.directory / "data").exists():
            return
        # As root, the rsync of the state transfer would switch to the user nobody, which may not write here.
        shutil.chown(self.directory, "mysql")
        made = subprocess.run(
            [
                _find("mariadb-install-db", package="mariadb-server"), "--no-defaults", "--skip-test-db",
                "--auth-root-authentication-method=normal", f"--datadir={self.directory / 'data'}", "--user=mysql",
                "--innodb-log-file-size=32M", "--innodb-buffer-pool-size=64M",
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise ServerError(f"mariadb-install-db ended with status {made.returncode}:\n{made.stdout}{made.stderr}")

    def _command(self) -> list[str]:
        others = ",".join(self.network.address(host) for host in self._members)
        first_start = self._makes_cluster
        self._makes_cluster = False
        return self._on_host(
            _find("mariadbd", package="mariadb-server"), "--no-defaults", "--user=mysql",
            f"--datadir={self.directory / 'data'}", f"--socket={self.socket_path}", f"--pid-file={self.directory / 'pid'}",
            f"--tmpdir={self.directory}", f"--bind-address={self.address}", "--port=3306", "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M", "--innodb-flush-log-at-trx-commit=2",
            "--performance-schema=OFF", "--max-connections=200", "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
            "--wsrep-on=ON", f"--wsrep-provider={find_galera()}", "--wsrep-cluster-name=longtasks",
            f"--wsrep-cluster-address=gcomm://{others}", f"--wsrep-node-address={self.address}",
            f"--wsrep-node-name={self.host}", "--wsrep-sst-method=rsync", f"--wsrep-sst-receive-address={self.address}:4444",
            "--wsrep-slave-threads=2",
            "--wsrep-provider-options="
            f"gmcast.listen_addr=tcp://{self.address}:4567;gcache.size=64M;"
            f"evs.suspect_timeout=PT{GALERA_SUSPECT_SECONDS}S;evs.inactive_timeout=PT{GALERA_SUSPECT_SECONDS * 2}S;"
            f"evs.inactive_check_period=PT1S;ist.recv_addr={self.address}:4568",
            *(["--wsrep-new-cluster"] if first_start else []),
        )  # fmt: skip

    def _answers(self) -> bool:
        return self.members() > 0


class Balancer(Node):
    """HAProxy in front of the web hosts. It repeats a request only if no host can have received it."""

    name = "haproxy"

    def __init__(self, *, network: Network, host: str, web_hosts: Sequence[str]) -> None:
        super().__init__(network=network, host=host)
        self._web_hosts = web_hosts

    @property
    def url(self) -> str:
        return f"http://{self.address}:8080"

    def _prepare(self) -> None:
        servers = "\n".join(
            f"  server {host} {self.network.address(host)}:3000 check inter 500ms fall 2 rise 1"
            for host in self._web_hosts
        )
        (self.directory / "haproxy.cfg").write_text(
            f"""global
  maxconn 500
  stats socket {self.socket_path} mode 600
defaults
  mode http
  timeout connect 1s
  timeout client 70s
  timeout server 70s
  retries 2
  option redispatch
  retry-on conn-failure
frontend api
  bind {self.address}:8080
  default_backend web
backend web
  balance leastconn
  option httpchk GET /health/live
  http-check send hdr Host {self.address}
{servers}
"""
        )

    def _command(self) -> list[str]:
        return self._on_host(_find("haproxy", package="haproxy"), "-db", "-f", str(self.directory / "haproxy.cfg"))

    def _answers(self) -> bool:
        return self.socket_path.exists()


def find_galera() -> str:
    """Return the path of Galera's library; raises ServerError if it is missing."""
    for path in GALERA_LIBRARIES:
        if Path(path).exists():
            return path
    raise ServerError("Galera is not installed: apt-get install galera-4")


def list_missing() -> list[str]:
    """Return the Debian packages that the cluster test needs and this machine lacks."""
    wanted = {"mariadbd": "mariadb-server", "redis-server": "redis-server", "haproxy": "haproxy", "rsync": "rsync"}
    path = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
    missing = [package for binary, package in wanted.items() if shutil.which(binary, path=path) is None]
    return missing + ([] if any(Path(library).exists() for library in GALERA_LIBRARIES) else ["galera-4"])
