"""The commands that RQ publishes to a worker (`rq.command`): what a message says, and why a worker does not obey it.

Owns the checks: any program that reaches Redis may publish. Obeys nothing itself: the worker does.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

STOPS: Final = ("stop-job", "stop-execution")
CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True)
class RqCommand:
    """A command; `name` is "" where the message is none."""

    name: str
    job_id: str = ""


def read(message: Any) -> RqCommand:
    """Return the command that a message of Redis's PubSub holds. Raises nothing, whatever it holds."""
    try:
        payload = json.loads(message["data"])
        name, job_id = payload["command"], payload.get("job_id", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return RqCommand("")
    if not isinstance(name, str) or not isinstance(job_id, str):
        return RqCommand("")
    return RqCommand(ascii(name[:CHARACTERS])[1:-1], job_id)


def find_refusal(command: RqCommand, *, running: Collection[str]) -> str:
    """Return why a worker that runs these tasks does not stop the one that was named; "" where it does."""
    if command.name in STOPS:
        if command.job_id in running:
            return ""
        return f"task {command.job_id[:CHARACTERS]!a} does not run in this worker. To cancel it: manage.py task cancel"
    if command.name == "kill-horse":
        return "this worker runs tasks in its own process. Send stop-job, or end the process: its tasks are rescued"
    return "a worker obeys stop-job and shutdown"
