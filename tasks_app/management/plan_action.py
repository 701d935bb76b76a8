"""`manage.py task plan NAME`: shows how many records a task would have, how long it would take, and how it reads them.

Owns arguments and output of this action. Must not plan or measure anything itself (operations/task_plans, engine).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from tasks_app.api.request_serializers import read_new_task
from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.engine.chunk_sample import measure_sample
from tasks_app.management.actor import find_actor
from tasks_app.management.arguments import json_object, text
from tasks_app.management.param_options import TypeParser
from tasks_app.operations.task_plans import CannotPlan, Pace, TaskPlan, plan_task
from tasks_app.services.start_tasks import validate_tasks
from tasks_app.task_types import get_task_type

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class TaskCommand(Protocol):
    """What this action needs of `manage.py task`."""

    stdout: Any
    json: bool

    def print_json(self, data: Any) -> None: ...


def add_arguments(parser: TypeParser) -> None:
    """Declare the arguments of `task plan`."""
    parser.adds_params = True
    parser.add_argument("name", type=text, help="the task type")
    parser.add_argument("--params", type=json_object, default={}, metavar="JSON", help="parameters of the task type")
    parser.add_argument(
        "--sample",
        action="store_true",
        help="if no task of the type has finished: run one chunk, roll it back, and measure it",
    )


def run(command: TaskCommand, *, name: str, params: dict[str, Any], with_sample: bool) -> None:
    """Show the plan of a task. Raises as the services do, and CannotPlan."""
    task = read_new_task({"name": name, "params": params})
    validate_tasks(tasks=[task], caller=replace(COMMAND_LINE, actor=find_actor()))
    plan = plan_task(name=task.name, params=task.params)
    if with_sample and plan.pace is None:
        if not get_task_type(name).supports_dry_run:
            raise CannotPlan(f"--sample rolls a chunk back, and the task type {name!r} has no dry run.")
        speed = measure_sample(name=task.name, params=task.params, state=plan.first_state, total=plan.total)
        plan = replace(
            plan, pace=None if speed is None else Pace(speed, "as a sample of one chunk ran, for one worker")
        )
    if command.json:
        command.print_json(_plan_data(plan))
        return
    command.stdout.write(plan.name)
    command.stdout.write(f"  rows    {_describe_rows(plan)}")
    command.stdout.write(f"  time    {_describe_time(plan)}")
    command.stdout.write(f"  cursor  {plan.cursor.text if plan.cursor is not None else 'unknown'}")


def _plan_data(plan: TaskPlan) -> dict[str, Any]:
    cursor = plan.cursor
    return {
        "name": plan.name,
        "rows": plan.total,
        "isEstimate": plan.is_estimate,
        "shards": plan.shards,
        "seconds": None if plan.seconds is None else round(plan.seconds, 1),
        "secondsFrom": None if plan.pace is None else plan.pace.source,
        "cursor": None if cursor is None else cursor.text,
        "isServedByIndex": None if cursor is None else cursor.is_served,
    }


def _describe_rows(plan: TaskPlan) -> str:
    if plan.total is None:
        return "unknown"
    estimate = " (estimate)" if plan.is_estimate else ""
    return f"{plan.total:,}{estimate}" + (f", {plan.shards:,} shards" if plan.shards else "")


def _describe_time(plan: TaskPlan) -> str:
    if plan.pace is None:
        has_dry_run = get_task_type(plan.name).supports_dry_run
        return "unknown: no task of this type has finished" + ("; --sample measures one chunk" if has_dry_run else "")
    if plan.seconds is None:
        return f"unknown; {plan.pace.records_per_second:,.0f} records/s, {plan.pace.source}"
    return f"about {_format_seconds(plan.seconds)}, {plan.pace.source}"


def _format_seconds(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:.1f} days"
