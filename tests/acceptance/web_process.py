"""A stack with one process of web, whose requests a test may cut off, hold or crowd out.

Owns the environment that such tests share: few threads, and a time limit for Redis that a busy machine keeps.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import ProcfileStack

THREADS: Final = 2


@contextmanager
def run_web(
    servers: tuple[Database, RedisServer],
    *,
    roles: Sequence[str] = ("web",),
    environment: Mapping[str, str] | None = None,
) -> Iterator[ProcfileStack]:
    """Yield a running stack of these roles; it lives as long as the block."""
    stack = ProcfileStack(
        database=servers[0],
        redis_server=servers[1],
        roles=roles,
        environment={
            "WEB_WORKERS": "1",
            "WEB_THREADS": str(THREADS),
            "REDIS_TIMEOUT_SECONDS": "10",
            **(environment or {}),
        },
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.close()
