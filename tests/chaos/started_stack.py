"""A stack of its own for a command: new servers and the Procfile's processes, removed at the end.

Owns the order of start and end. Must not start a task.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from loadtests.started.servers import create_servers
from loadtests.started.stack import ProcfileStack


@contextmanager
def started_stack(*, workers: int, environment: Mapping[str, str]) -> Iterator[ProcfileStack]:
    """Yield a running stack. SIGTERM ends the command as Ctrl-C does, so that the servers are removed."""
    os.environ["ENV_FILE"] = ""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    database, redis_server = create_servers()
    stack = None
    try:
        for server in (database, redis_server):
            server.start()
        stack = ProcfileStack(
            database=database, redis_server=redis_server, environment=dict(environment), workers=workers
        )
        stack.start()
        yield stack
    finally:
        if stack is not None:
            stack.close()
        for server in (redis_server, database):
            server.remove()
