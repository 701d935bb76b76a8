"""Chooses the servers of the tests; the names of `databases`, `redis_server` and `server` can be imported from here."""

import os

from loadtests.started.databases import Database, MariaDB, SQLite
from loadtests.started.redis_server import REDIS_DATABASES, RedisServer
from loadtests.started.server import Server, ServerError

__all__ = [
    "IS_EMBEDDED",
    "REDIS_DATABASES",
    "Database",
    "MariaDB",
    "RedisServer",
    "SQLite",
    "Server",
    "ServerError",
    "create_servers",
]

IS_EMBEDDED = os.environ.get("LONGTASKS_TEST_STACK", "") == "embedded"


def create_servers() -> tuple[Database, RedisServer]:
    """Return the pair that LONGTASKS_TEST_STACK selects, not started."""
    return (SQLite(), RedisServer(is_valkey=True)) if IS_EMBEDDED else (MariaDB(), RedisServer())
