"""Runs a task of few records inside a migration: all of its chunks in one transaction, with what the caller adds to it.

Owns how much a task would have to do, and this run. It needs neither Redis nor a worker, and not the tables of the engine
either: where a database is new, later migrations may not have completed them. Must not know which task a gate means.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import DatabaseError, connections, transaction

from tasks_app.domain.callers import ADMIN
from tasks_app.domain.error_text import error_line
from tasks_app.migration_gates.gate_errors import GateError
from tasks_app.services.start_tasks import NewTask
from tasks_app.task_types import Chunk, TaskProgress, TaskType, get_task_type
from tasks_app.task_types.collections import CollectionTask
from tasks_app.task_types.collections.key_splits import all_rows
from tasks_app.task_types.task_results import check_plan, check_results, check_total_again


@dataclass(frozen=True, slots=True)
class Work:
    """What a task would have to do now."""

    records: int | None  # None: unknown
    is_estimate: bool = False
    state: Mapping[str, Any] = field(default_factory=dict)

    def is_at_most(self, records: int) -> bool:
        """Return whether it is surely so little."""
        return self.records is not None and not self.is_estimate and self.records <= records

    def __str__(self) -> str:
        if self.records is None:
            return "an unknown number of records"
        return f"{'about ' if self.is_estimate else ''}{self.records:,} records"


def measure_work(task: NewTask, *, using: str) -> Work:
    """Return how many records the task would have. Raises GateError if the tables are not those of the task type.

    An empty table has none, whatever its columns are: that is the state of a new database, in which the columns that the
    installed models have may be added by later migrations.
    """
    task_type = get_task_type(task.name)
    try:
        if isinstance(task_type, CollectionTask) and not _has_rows(task_type, task.params, using=using):
            return Work(0)
        if not task_type.is_planned:
            return Work(check_total_again(task_type, task.params))
        made = task_type.make_plan(task_id=uuid.uuid4(), params=task.params, shard_records=0)
        plan = check_plan(made, task_type=task_type)
        return Work(plan.total, plan.is_estimate, plan.state)
    except DatabaseError as error:
        raise _explain(task, error) from error


def has_work_left(task: NewTask, *, using: str) -> bool:
    """Return whether rows are left in the task's collection; True also for a type without one."""
    task_type = get_task_type(task.name)
    if not isinstance(task_type, CollectionTask):
        return True
    return bool(task_type.collection(task_type.read_params(task.params)).using(using).order_by().exists())


def run_inline(task: NewTask, work: Work, *, using: str) -> None:
    """Run the task to its end, in one transaction: it has done all of its work, or nothing. Raises GateError."""
    if work.records == 0:
        return
    task_type = get_task_type(task.name)
    try:
        with transaction.atomic(using=using):
            _run_chunks(task_type, task.params, work)
    except GateError:
        raise
    except DatabaseError as error:
        raise _explain(task, error) from error
    except Exception as error:
        raise GateError(
            f"{task.name} failed inside of this migration, and nothing of it was kept: {error_line(error)}. Correct the "
            "cause and run migrate again; migrate --traceback shows where it was raised."
        ) from error


def _run_chunks(task_type: TaskType, params: Mapping[str, Any], work: Work) -> None:
    done, state, task_id = 0, work.state, uuid.uuid4()
    total = None if task_type.is_planned else work.records
    while True:
        chunk = Chunk(
            task_id=task_id,
            params=params,
            start=done,
            limit=task_type.max_limit if total is None else min(task_type.max_limit, total - done),
            total=total,
            state=state,
            scope=ADMIN,
            read_progress=partial(TaskProgress, done=done),
        )
        results = task_type.run_chunks([chunk], task_type.prepare_chunks([chunk]))
        [(result, is_last)] = check_results(results, task_type=task_type, chunks=[chunk])
        if result.artifacts:
            raise GateError(
                f"{task_type.name} leaves files, so it cannot run inside of a migration: use inline_rows=0."
            )
        done, state = done + result.done, result.state
        if is_last:
            return


def _has_rows(task_type: CollectionTask, params: Mapping[str, Any], *, using: str) -> bool:
    """Return whether the table has a row. Names no column of it."""
    model = task_type.collection(task_type.read_params(params)).model
    connection = connections[using]
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
    if model._meta.db_table not in tables:
        raise GateError(
            f"{task_type.name} is a task over {model._meta.label}, and the table {model._meta.db_table} does not exist at "
            "this migration. Add the migration that makes it to the dependencies. If a later one renames the table, and this "
            "migration was applied everywhere, remove the gate from it."
        )
    return all_rows(model, using=using).order_by().exists()


def _explain(task: NewTask, error: DatabaseError) -> GateError:
    return GateError(
        f"{task.name} runs with the models of the installed code, on the tables as they are at this migration, and that "
        f"failed: {error_line(error)}. Migrate with the version of the code to which this migration belongs, or remove the "
        "gate if this migration was applied everywhere."
    )
