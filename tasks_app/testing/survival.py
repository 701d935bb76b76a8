"""`assert_survives_crashes`: kills a task at each of its commits, and compares what it leaves with an undisturbed run.

Owns the runs and the report. Must not know how a crash is simulated (crashes) nor how rows are compared (table_rows).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.db.models import Model, Q

from tasks_app.domain.callers import COMMAND_LINE, Caller
from tasks_app.domain.error_text import error_line
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.files.storage import get_storage
from tasks_app.models import TaskCheckpoint, TaskFailure, TaskFile
from tasks_app.resilience import failpoints
from tasks_app.testing.crashes import Crash, CrashAlways, CrashOnce, CrashPoint, When, forget_process
from tasks_app.testing.inline_task import InlineTask, check_transactions
from tasks_app.testing.new_task import accept_task
from tasks_app.testing.table_rows import TableRows, WatchedTables
from tasks_app.testing.task_result import TaskResult, read_result

CRASHES_OF_A_RUN: Final = 10_000
_SHOWN: Final = 20  # differences


@dataclass(frozen=True, slots=True)
class _Left:
    """What one run has left."""

    result: TaskResult
    rows: TableRows
    outside: Any


def assert_survives_crashes(
    name: str,
    params: Mapping[str, Any] | None = None,
    *,
    models: Sequence[type[Model]] | None = None,
    ignore: Collection[str] = (),
    chunk_records: int = 3,
    shard_records: int = 0,
    max_failures: int | str = 0,
    caller: Caller = COMMAND_LINE,
    outside: Callable[[], Any] | None = None,
    reset: Callable[[], None] | None = None,
    most_points: int = 50,
) -> TaskResult:
    """Run a task undisturbed; then kill it before and after each commit, resume it, and compare what it leaves.

    Compared are the rows of all tables, or of `models`; status, counts, failed records, result and artifacts
    of the task; and what `outside` returns (the text of a file, calls of a mock). The rows that the test has made are
    restored before each run; `reset` undoes what is outside of the database. `ignore` has columns that differ between
    any two runs, as `created_at` or `customers.created_at`; generated primary keys of new rows and columns with auto_now
    are ignored by themselves. Of more than `most_points` points, some are left out evenly.

    Returns the result of the undisturbed run, and leaves the tables as they were before. Raises AssertionError that names
    the crash and the differences.
    """
    check_transactions()
    task = _Task(
        accept_task(name, params, max_failures=max_failures, caller=caller),
        tables=WatchedTables(models, ignore=ignore),
        chunk_records=chunk_records,
        shard_records=shard_records,
        outside=outside or (lambda: None),
        reset=reset or (lambda: None),
    )
    try:
        counter = CrashOnce()
        wanted = task.run(counter)
        if lines := list(task.compare(wanted, task.run(CrashOnce()))):
            raise AssertionError(
                _report(
                    f"Two undisturbed runs of {name} differ, so crashes cannot be judged. Make it repeatable, restore what is "
                    "outside of the database by `reset`, or name the columns in `ignore`.",
                    lines,
                )
            )
        for point in list_points(counter.commits, most=most_points):
            task.check(wanted, listener=CrashOnce(point), words=f"{point} of {counter.commits}")
        task.check(wanted, listener=CrashAlways(), words="crashes before and after every commit")
        return wanted.result
    finally:
        task.restore()


def list_points(commits: int, *, most: int) -> list[CrashPoint]:
    """Return the points before and after each commit; of more than `most`, the first, the last and some between."""
    points = [CrashPoint(when, commit) for commit in range(1, commits + 1) for when in When]
    if len(points) <= max(2, most):
        return points
    step = (len(points) - 1) / (max(2, most) - 1)
    return [points[round(number * step)] for number in range(max(2, most))]


class _Task:
    """One task that is run again and again, from the same rows."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        tables: WatchedTables,
        chunk_records: int,
        shard_records: int,
        outside: Callable[[], Any],
        reset: Callable[[], None],
    ) -> None:
        self._snapshot = snapshot
        self._tables = tables
        self._chunk_records, self._shard_records = chunk_records, shard_records
        self._outside, self._reset = outside, reset
        self._before = tables.read()

    def run(self, listener: Callable[[str], None]) -> _Left:
        """Run the task to its end, as often as `listener` crashes it, and return what it has left."""
        self.restore()
        with failpoints.listening(listener):
            for _ in range(CRASHES_OF_A_RUN):
                task = InlineTask(self._snapshot, chunk_records=self._chunk_records, shard_records=self._shard_records)
                try:
                    task.run()
                    break
                except Crash:
                    forget_process(self._snapshot.name)
        return _Left(read_result(self._snapshot), self._tables.read(), self._outside())

    def check(self, wanted: _Left, *, listener: Callable[[str], None], words: str) -> None:
        """Run the task with crashes. Raises AssertionError if it fails, or leaves something else than `wanted`."""
        head = f"{self._snapshot.name} does not survive {words}"
        try:
            found = self.run(listener)
        except Exception as error:
            raise AssertionError(f"{head}: when it was resumed, it raised {error_line(error)}") from error
        if lines := list(self.compare(wanted, found)):
            raise AssertionError(_report(f"{head}. Against the undisturbed run it left:", lines))

    def restore(self) -> None:
        """Restore the rows, and forget what the task has left."""
        forget_process(self._snapshot.name)
        self._tables.restore(self._before)
        task_id = uuid.UUID(self._snapshot.id)
        files = TaskFile.objects.filter(task_id=task_id)
        for file in files:
            get_storage().delete(file.storage_key)
        files.delete()
        TaskFailure.objects.filter(task_id=task_id).delete()
        TaskCheckpoint.objects.filter(Q(pk=task_id) | Q(parent_id=task_id)).delete()
        self._reset()

    def compare(self, wanted: _Left, found: _Left) -> Iterator[str]:
        """Yield a line for each difference between what two runs have left."""
        for name in ("status", "done", "total", "counts", "result"):
            yield from _compare_values(name, getattr(wanted.result, name), getattr(found.result, name))
        yield from _compare_values("failures", *(_list_failures(left.result) for left in (wanted, found)))
        yield from _compare_values("artifacts", *(_list_artifacts(left.result) for left in (wanted, found)))
        yield from _compare_values("outside", wanted.outside, found.outside)
        yield from self._tables.compare(before=self._before, wanted=wanted.rows, found=found.rows)


def _list_failures(result: TaskResult) -> list[Any]:
    return [replace(failure, id=0, failed_at=None) for failure in result.failures]


def _list_artifacts(result: TaskResult) -> list[tuple[str, int, str]]:
    return [(each.name, each.size, each.sha256) for each in result.artifacts]


def _compare_values(name: str, wanted: Any, found: Any) -> Iterator[str]:
    if found != wanted:
        yield f"{name}: {found!r:.500}, undisturbed: {wanted!r:.500}"


def _report(head: str, lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - _SHOWN} more differences"] if len(lines) > _SHOWN else []
    return "\n".join([head, *(f"- {line}" for line in [*lines[:_SHOWN], *more])])
