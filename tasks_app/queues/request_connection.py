"""The pipelined connection that all requests of this process share.

Owns that connection. Must not know what the commands mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from tasks_app.queues.pipelined_connection import Paused, PipelinedConnection
from tasks_app.queues.redis_connection import get_connection

Result = TypeVar("Result")
shared_connection: Final = PipelinedConnection(get_connection)


def run_concurrently(
    calls: Sequence[Callable[[], Result]], *, on_pause: Callable[[int, Paused, Any], bool] | None = None
) -> list[Result | None]:
    """Run calls that start tasks or read snapshots concurrently in this thread: Redis gets their commands together.

    See `PipelinedConnection.run_concurrently`.
    """
    return shared_connection.run_concurrently(calls, on_pause=on_pause)


def resume(paused: Sequence[tuple[Paused, Any]]) -> None:
    """Continue calls that have paused in `run_concurrently`, each with its value. See `PipelinedConnection.resume`."""
    shared_connection.resume(paused)
