"""The context of every log line: the request, task, worker and chunk that the logging code works for.

Owns four context variables, each set where a request, task, worker or chunk begins. Must not format lines:
longtasks/log_formatters.py does that.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="")
task_id: Final[ContextVar[str]] = ContextVar("task_id", default="")
worker: Final[ContextVar[str]] = ContextVar("worker", default="")
chunk: Final[ContextVar[str]] = ContextVar("chunk", default="")  # "first record+limit"

VARIABLES: Final = (request_id, task_id, worker, chunk)


def begin_task(*, task: str, request: str) -> None:
    """Set the task of the following log lines, and the request that started it; empty texts clear both."""
    task_id.set(task)
    request_id.set(request)
    chunk.set("")


def get_context() -> dict[str, str]:
    """Return the variables that are set, by name."""
    return {variable.name: value for variable in VARIABLES if (value := variable.get())}
