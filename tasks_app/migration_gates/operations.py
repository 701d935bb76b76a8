"""The operations of migrations: StartTask starts a task, RequireTask lets the migration continue when it has finished.

Owns what each does forwards and backwards, and the texts of a shut gate. The names and arguments stand in the migrations of
other projects: they must not change. Must not know the rows of gates (gate_tasks) nor run a task (inline_run).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from django.db import router, transaction
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.recorder import MigrationRecorder

from tasks_app.auth import audit_log
from tasks_app.domain import task_status
from tasks_app.domain.error_text import summarize_error
from tasks_app.domain.progress_text import describe_progress
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import LongtasksError, TaskEnded, UnknownTask
from tasks_app.migration_gates import gate_tasks
from tasks_app.migration_gates.gate_errors import TaskNotFinished
from tasks_app.migration_gates.gate_tasks import Gate
from tasks_app.migration_gates.inline_run import Work, has_work_left, measure_work, run_inline
from tasks_app.models import MigrationTask
from tasks_app.services.change_tasks import cancel_task

INLINE_ROWS: Final = 10_000


class _TaskOperation(Operation):
    """An operation that is about a task and changes no state of models."""

    reduces_to_sql = False
    reversible = True
    category = OperationCategory.PYTHON

    def __init__(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        inline_rows: int = INLINE_ROWS,
        elidable: bool = False,
    ) -> None:
        """A task of at most `inline_rows` records runs inside the migration; `elidable`: squashing may remove this."""
        if not isinstance(name, str) or not name:
            raise TypeError(f"{type(self).__name__}: the name of the task type is {name!r}: give a text")
        if not isinstance(params, Mapping | None):
            raise TypeError(f"{type(self).__name__}({name!r}): params is {params!r}: give a dict")
        if type(inline_rows) is not int or inline_rows < 0:
            raise ValueError(f"{type(self).__name__}({name!r}): inline_rows is {inline_rows!r}: give 0 or more")
        self.name, self.params, self.inline_rows = name, dict(params or {}), inline_rows
        self.elidable = elidable  # type: ignore[misc] # the stubs say ClassVar; Django's RunPython sets it so

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing: a task is no part of the models."""

    def _read_gate(self, app_label: str, schema_editor: Any) -> Gate | None:
        """Return the gate; None where nothing is to be done: `sqlmigrate`, and databases that have no tasks."""
        alias = schema_editor.connection.alias
        if schema_editor.collect_sql or alias != gate_tasks.get_alias() or not router.allow_migrate(alias, app_label):
            return None
        return gate_tasks.read_gate(self.name, self.params)

    def _run_if_small(self, gate: Gate, *, app_label: str) -> Work | None:
        """Do the work here if it is little, together with the row that says so; else return how much it is."""
        alias = gate_tasks.get_alias()
        work = measure_work(gate.task, using=alias)
        if not work.is_at_most(self.inline_rows):
            return work
        with transaction.atomic(using=alias):
            run_inline(gate.task, work, using=alias)
            gate_tasks.insert_row(gate, app_label=app_label, is_finished=True)
        return None


class StartTask(_TaskOperation):
    """Starts a task when the migration has committed; runs one of few records inside of the migration.

    Backwards it cancels the task, so that it does not write to what the earlier migrations remove.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Start the task, unless an interrupted run of this migration has done so."""
        gate = self._read_gate(app_label, schema_editor)
        if gate is None:
            return
        row = gate_tasks.find_row(gate, app_label=app_label)
        if row is None or _was_completed(row, schema_editor.connection):
            if self._run_if_small(gate, app_label=app_label) is None:
                return
            row = gate_tasks.insert_row(gate, app_label=app_label, is_finished=False)
        # At once where DDL commits by itself, as on MySQL: there the migration has no transaction.
        transaction.on_commit(partial(gate_tasks.enqueue_or_warn, row), using=gate_tasks.get_alias())

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Cancel the task and forget it: forwards again means a new task."""
        gate = self._read_gate(app_label, schema_editor)
        if gate is None:
            return
        rows = gate_tasks.list_rows(gate, app_label=app_label)
        for row in rows.filter(finished_at=None):
            transaction.on_commit(partial(_cancel, row), using=gate_tasks.get_alias())
        rows.delete()

    def describe(self) -> str:
        return f"Start the task {self.name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"start_{self.name.replace('-', '_').lower()}"


class RequireTask(_TaskOperation):
    """Lets the migration continue if the task has finished; runs one of few records inside of the migration."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Raise TaskNotFinished unless the task has finished or can be run here."""
        gate = self._read_gate(app_label, schema_editor)
        if gate is None:
            return
        try:
            lost = self._check_known(gate)
            if lost is None:
                return
        except LongtasksError as error:
            raise TaskNotFinished(f"The state of {self.name} is not known: {error}") from error
        work = self._run_if_small(gate, app_label=app_label)
        if work is not None:
            raise TaskNotFinished(
                f"{lost} It has {work}, too many to run inside of this migration. Start it with `{_start_words(gate)}`, and "
                "run migrate again when it has finished."
            )

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Do nothing: the rows stay as the task has left them."""

    def describe(self) -> str:
        return f"Require that the task {self.name} has finished"

    @property
    def migration_name_fragment(self) -> str:
        return f"require_{self.name.replace('-', '_').lower()}"

    def _check_known(self, gate: Gate) -> str | None:
        """Return None if the task has finished; a sentence if there is none. Raises TaskNotFinished for any other state."""
        row = gate_tasks.find_row(gate)
        newest = gate_tasks.find_other(gate, since=None if row is None else row.created_at)
        if row is not None and newest is None:
            if row.finished_at is not None:
                return None
            newest = gate_tasks.find_by_id(row.task_id)
            if newest is None and row.enqueued_at is None:
                # Not here: where DDL can be rolled back, this error rolls back what a start has written.
                raise TaskNotFinished(
                    f"{gate.task.name} (id {row.task_id}) could not be enqueued when its migration had committed. "
                    f"`{_wait_command(gate)}` does that and waits for it; then run migrate again."
                )
        if newest is None:
            return f"{gate.task.name} was {'started, but its task no longer exists' if row else 'never started'}."
        if newest.status != task_status.FINISHED:
            raise TaskNotFinished(_describe_open(gate, newest))
        if newest.failed_records and has_work_left(gate.task, using=gate_tasks.get_alias()):
            raise TaskNotFinished(
                f"{gate.task.name} (id {newest.id}) has finished, but {newest.failed_records:,} of its records failed. See "
                f"`manage.py task failures {newest.id}`, correct the cause, and add --retry to run them again."
            )
        return None


def _was_completed(row: MigrationTask, connection: Any) -> bool:
    """Return whether the migration that wrote the row was recorded as applied; else it is being run again."""
    recorded = MigrationRecorder(connection).migration_qs
    return bool(recorded.filter(app=row.app_label, applied__gte=row.created_at).exists())


def _cancel(row: MigrationTask) -> None:
    try:
        cancel_task(task_id=str(row.task_id), actor=gate_tasks.ACTOR, source=audit_log.CLI)
    except (UnknownTask, TaskEnded):
        return
    except LongtasksError as error:
        gate_tasks.logger.warning(
            "%s was not canceled: %s Use `manage.py task cancel %s`.", row.name, error, row.task_id
        )


def _describe_open(gate: Gate, task: Snapshot) -> str:
    head = f"{task.name} (id {task.id}) {describe_progress(task, now=datetime.now(UTC))}"
    if not task.ended:
        return f"{head}. {_wait_words(gate)}"
    cause = f": {summarize_error(task.error)}" if task.error else ""
    return (
        f"{head}{cause.rstrip('.')}. Correct the cause, continue it with `manage.py task retry {task.id}`, and run migrate "
        "again when it has finished."
    )


def _wait_words(gate: Gate) -> str:
    return f"Run migrate again when it has finished; `{_wait_command(gate)}` waits for it."


def _wait_command(gate: Gate) -> str:
    return f"manage.py task wait --name {shlex.quote(gate.task.name)}"


def _start_words(gate: Gate) -> str:
    params = f" --params {shlex.quote(json.dumps(gate.task.params))}" if gate.task.params else ""
    return f"manage.py task start {shlex.quote(gate.task.name)}{params}"
