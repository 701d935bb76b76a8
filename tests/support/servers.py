"""The started servers, for tests: the names of `loadtests.started.servers`.

Owns: nothing; the load tests need the servers without the tests.
Must not: start a server.
"""

from loadtests.started.servers import (
    IS_EMBEDDED,
    REDIS_DATABASES,
    Database,
    MariaDB,
    RedisServer,
    Server,
    ServerError,
    SQLite,
    create_servers,
)

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
