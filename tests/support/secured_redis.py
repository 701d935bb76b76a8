"""A Redis with a password and TLS, and a Sentinel that watches one, all on this machine."""

from pathlib import Path

import redis

from loadtests.started.server import Server, find_binary
from loadtests.started.servers import RedisServer
from longtasks.local_stack.procfile import free_port
from tests.support.sentinel_config import MASTER_NAME, write_sentinel_config


class SecuredRedis(RedisServer):
    """redis-server with a password, and with a TLS port if certificates are given."""

    def __init__(self, *, password: str = "", certificates: Path | None = None) -> None:
        super().__init__()
        self.tls_port = free_port()
        self._password, self._certificates = password, certificates

    def client(self, database: int = 0) -> redis.Redis:
        """Return a client through the server's socket file: whatever the ports require."""
        return redis.Redis(
            unix_socket_path=str(self.socket_path), password=self._password or None, db=database, socket_timeout=15
        )

    def _command(self) -> list[str]:
        command = super()._command()
        if self._password:
            command += ["--requirepass", self._password, "--masterauth", self._password]
        if self._certificates is not None:
            command += [
                "--tls-port", str(self.tls_port), "--tls-auth-clients", "no",
                "--tls-cert-file", str(self._certificates / "server.pem"),
                "--tls-key-file", str(self._certificates / "server.key"),
                "--tls-ca-cert-file", str(self._certificates / "ca.pem"),
            ]  # fmt: skip
        return command


class Sentinel(Server):
    """One Sentinel, which alone may declare a failover of the primary that it watches."""

    name = "sentinel"

    def __init__(self, *, primary: SecuredRedis, password: str, down_seconds: float) -> None:
        super().__init__()
        self.port = free_port()
        self._primary, self._password, self._down_seconds = primary, password, down_seconds

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=self._password, socket_timeout=15, decode_responses=True)

    def find_primary_port(self) -> int:
        """Return the port of the primary, as the Sentinel reports it to clients."""
        with self.client() as client:
            return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[1])

    def has_primary(self, port: int) -> bool:
        """Return whether clients get this primary, and the Sentinel has reached it."""
        with self.client() as client:
            found = client.sentinel_master(MASTER_NAME)
        return (int(found["port"]), found["flags"]) == (port, "master")

    def knows_replica(self) -> bool:
        """Return whether a replica could be promoted: the Sentinel has reached it, and it is connected to the primary."""
        with self.client() as client:
            replicas = client.sentinel_slaves(MASTER_NAME)
        return any(each["flags"] == "slave" and each.get("master-link-status") == "ok" for each in replicas)

    def fail_over(self) -> None:
        """Have the replica promoted, though the primary answers."""
        with self.client() as client:
            client.execute_command("SENTINEL", "FAILOVER", MASTER_NAME)

    def _prepare(self) -> None:
        write_sentinel_config(
            self.directory / "sentinel.conf",
            listens=("bind 127.0.0.1", f"port {self.port}"),
            password=self._password,
            primary=("127.0.0.1", self._primary.port),
            quorum=1,
            down_seconds=self._down_seconds,
        )

    def _command(self) -> list[str]:
        binary = find_binary("redis-server", package="redis-server")
        return [binary, str(self.directory / "sentinel.conf"), "--sentinel"]

    def _answers(self) -> bool:
        try:
            return bool(self.find_primary_port())
        except (redis.RedisError, OSError, TypeError):
            return False
