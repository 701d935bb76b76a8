"""Additional checks of schemathesis: what a scope may do, and whose tasks a token sees. Starts of tasks become near ones.

Loaded by schemathesis (SCHEMATHESIS_HOOKS), in a process of its own per token; test_schemathesis.py starts them.
"""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import schemathesis

SCOPE = os.environ["FUZZ_SCOPE"]
FOREIGN_MARK = os.environ["FUZZ_FOREIGN_MARK"]  # in the description of each task of an owner without a token
SEEN = Path(os.environ["FUZZ_SEEN"])  # the tasks of the answers; the test reads their owners from the database
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
_seen: set[str] = set()
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@schemathesis.hook
def before_call(ctx: Any, case: Any, **kwargs: Any) -> None:
    """Replace a valid time: no schema can express that a start is at most a year ahead."""
    body = case.body if isinstance(case.body, dict) else {}
    many = body.get("tasks")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for task in (body, *(many if isinstance(many, list) else ())):
        start_at = task.get("startAt") if isinstance(task, dict) else None
        if isinstance(start_at, str) and _TIME.fullmatch(start_at):
            task["startAt"] = tomorrow


@schemathesis.check
def a_read_token_changes_nothing(ctx: Any, response: Any, case: Any) -> None:
    """Unsafe requests are refused, except for a stream ticket."""
    if SCOPE == "read" and case.method.upper() not in SAFE and case.operation.path != "/stream-tickets":
        assert response.status_code >= 400, f"a token of scope read got {response.status_code}"


@schemathesis.check
def nobody_elses_tasks_are_in_the_answer(ctx: Any, response: Any, case: Any) -> None:
    """Only the administrator sees the foreign owner's mark; the ids are stored for the test."""
    if SCOPE != "admin":
        assert FOREIGN_MARK not in response.text, "the answer holds another owner's task"
    try:
        data = response.json()
    except ValueError:
        return
    new = set(find_tasks(data)) - _seen
    if new:
        _seen.update(new)
        with SEEN.open("a") as file:
            file.writelines(f"{task_id}\n" for task_id in new)


def find_tasks(data: Any) -> Iterator[str]:
    """Yield the ids of the tasks in an answer: objects with an id and a status."""
    if isinstance(data, dict):
        if isinstance(data.get("id"), str) and isinstance(data.get("status"), str):
            yield data["id"]
        for value in data.values():
            yield from find_tasks(value)
    elif isinstance(data, list):
        for value in data:
            yield from find_tasks(value)
