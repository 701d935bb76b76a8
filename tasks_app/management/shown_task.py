"""A task as the command line shows it: its state, its results, and the changes of a dry run.

Owns the text. Must not read a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from textwrap import indent
from typing import Any, Protocol

from tasks_app.api.json_rendering import to_json
from tasks_app.domain.error_text import escape, summarize_error
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.read_model.row_change_list import ListedChange
from tasks_app.read_model.task_results import TaskResults


class Output(Protocol):
    """Where a command writes: its `stdout`."""

    def write(self, msg: str) -> None: ...


def write_task(out: Output, snapshot: Snapshot, results: TaskResults, *, trace: bool = True) -> None:
    """Write a task, with the traceback of its last failed attempt, or one line of it without `trace`."""
    counts = ", ".join(f"{number:,} {name}" for name, number in snapshot.counts.items())
    dry_run = ", dry run" if snapshot.dry_run else ""
    out.write(f"{snapshot.id} {snapshot.name} ({snapshot.given_priority}) {snapshot.status}{dry_run}")
    out.write(
        f"  {snapshot.done:,} of {describe_total(snapshot)} records; {counts or 'no rows'}; attempts {snapshot.attempts}"
    )
    if snapshot.start_at is not None:
        out.write(f"  {'begins' if snapshot.waits_for_start else 'was to begin'} at {_format_time(snapshot.start_at)}")
    if snapshot.failed_records:
        out.write(
            f"  {snapshot.failed_records:,} failed records (manage.py task failures {snapshot.id}); "
            f"allowed: {snapshot.given_max_failures}"
        )
    if snapshot.error:
        text = escape(snapshot.error.rstrip()) if trace else summarize_error(snapshot.error)
        out.write(indent(text, "  "))
    if results.result is not None:
        out.write(f"  result {to_json(results.result).decode()}")
    for row in results.artifacts:
        out.write(f"  file {row.name} {row.size:,} bytes, SHA-256 {row.sha256}, id {row.id}")
    if results.changes is not None:
        out.write(
            f"  nothing was kept; the first {len(results.changes)} changes:" if results.changes else "  no changes"
        )
        for change in results.changes:
            out.write(f"    {_describe_change(change)}")


def write_valid_task(out: Output, snapshot: Snapshot) -> None:
    """Write a task that was only validated."""
    dry_run = ", dry run" if snapshot.dry_run else ""
    out.write(
        f"valid, nothing was started: {snapshot.name} ({snapshot.given_priority}), queue {snapshot.priority}{dry_run}"
    )
    out.write(f"  params {to_json(snapshot.params).decode()}")
    out.write(f"  {describe_total(snapshot)} records; failed records allowed: {snapshot.given_max_failures}")
    if snapshot.start_at is not None:
        out.write(f"  would begin at {_format_time(snapshot.start_at)}")


def describe_total(snapshot: Snapshot) -> str:
    """Return the total of a task, with a sign if it is an estimate."""
    if snapshot.total is None:
        return "?"
    return f"{'≈ ' if snapshot.total_is_estimate else ''}{snapshot.total:,}"


def _format_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _describe_change(change: ListedChange) -> str:
    where = f"line {change.line}" if change.line is not None else f"record {change.position}"
    row = " ".join(filter(None, (escape(change.model), escape(change.key))))
    named = f"{where}, {row}" if row else where
    if change.before is None:
        return f"{named}: inserted {_to_line(change.after or {})}"
    if change.after is None:
        return f"{named}: deleted {_to_line(change.before)}"
    return f"{named}: {_to_line(change.before)} -> {_to_line(change.after)}"


def _to_line(values: Mapping[str, Any]) -> str:
    return escape(to_json(values).decode())
