"""`manage.py task verify`: compares the rows of one task, or of all, with their records and checkpoints.

Owns arguments and output of this action. Must not compare anything itself (operations/verification).
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Protocol

from tasks_app.management.arguments import text
from tasks_app.operations import verification


class TaskCommand(Protocol):
    """What this action needs of `manage.py task`."""

    stdout: Any
    json: bool

    def print_json(self, data: Any) -> None: ...


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `task verify`."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("id", type=text, nargs="?")
    which.add_argument("--all", action="store_true", help="verify every task that has a record")


def run(command: TaskCommand, *, task_id: str | None) -> bool:
    """Verify a task; with None, all that have a record. Return whether something differs."""
    found = verification.verify_all() if task_id is None else [verification.verify_task(task_id=task_id)]
    counts: dict[str, int] = {}
    for verdict in found:
        counts[verdict.verdict] = counts.get(verdict.verdict, 0) + 1
        line = f"{verdict.task_id} {verdict.name} {verdict.status}: "
        if command.json:
            command.print_json(_verdict_data(verdict))
        elif verdict.differences:
            command.stdout.write(f"{line}{'; '.join(verdict.differences)}")
        elif task_id is not None:
            rows = ", ".join(f"{number:,} {name}" for name, number in (verdict.rows or {}).items())
            command.stdout.write(f"{line}{verdict.verdict}. {rows}".strip())
    if task_id is None and not command.json:
        summary = ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items())) or "no tasks"
        command.stdout.write(f"Verified: {summary}.")
    return bool(counts.get(verification.DIFFERENT))


def _verdict_data(verdict: verification.Comparison) -> dict[str, Any]:
    return {
        "id": verdict.task_id,
        "name": verdict.name,
        "status": verdict.status,
        "verdict": verdict.verdict,
        "record": verdict.record,
        "checkpoint": verdict.checkpoint,
        "rows": verdict.rows,
        "differences": verdict.differences,
    }
