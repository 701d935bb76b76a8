"""The context of every log line: request, task, worker and chunk of the code that writes it.

Owns four context variables, each set where the thing begins. Must not know how lines look: longtasks/log_formatters.py does.
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
    """From here on lines belong to a task and to the request that started it; empty names end that."""
    task_id.set(task)
    request_id.set(request)
    chunk.set("")


def get_context() -> dict[str, str]:
    """Return what is known here and now, by name."""
    return {variable.name: value for variable in VARIABLES if (value := variable.get())}
