"""The plan of a task that its worker makes at the first claim: total, first state, and shards with a state each.

Owns the form of a plan and its check. Must not know how a plan is stored, nor any concrete task type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tasks_app.task_types.task_type import TaskType

PARTS: Final = 256  # of a plan, at most: the shards of one task


@dataclass(frozen=True, slots=True)
class Part:
    """One shard of a task: the state with which it begins, and how many records it has, about."""

    state: Mapping[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What `TaskType.make_plan` returns. Stored once, so that a task that is resumed is not planned again."""

    total: int  # records of the task
    is_estimate: bool = False  # is the total only about right?
    state: Mapping[str, Any] = field(default_factory=dict)  # of the first chunk, if the task is not split
    parts: Sequence[Part] = ()  # shards; fewer than two: the task is not split


def check_plan(plan: object, *, task_type: TaskType) -> Plan:
    """Return the plan in plain values, or raise InvalidTaskResult."""
    from tasks_app.task_types.task_results import MOST, InvalidTaskResult, check_state

    def check_number(name: str, value: object, *, least: int) -> int:
        if type(value) is int and least <= value <= MOST:
            return value
        accepted = f"an int from {least} to 2**63 - 1"
        raise InvalidTaskResult(task_type=task_type, field=f"make_plan().{name}", value=value, accepted=accepted)

    if not isinstance(plan, Plan):
        raise InvalidTaskResult(task_type=task_type, field="make_plan()", value=plan, accepted="a Plan")
    if not isinstance(plan.parts, (list, tuple)) or len(plan.parts) > PARTS:
        accepted = f"a list or tuple of at most {PARTS} Parts"
        raise InvalidTaskResult(task_type=task_type, field="make_plan().parts", value=plan.parts, accepted=accepted)
    parts = []
    for part in plan.parts:
        if not isinstance(part, Part):
            raise InvalidTaskResult(
                task_type=task_type, field="make_plan(): a part", value=part, accepted="a Part(state, size)"
            )
        size = check_number("parts: size", part.size, least=1)
        parts.append(Part(check_state(part.state, task_type=task_type), size))
    return replace(
        plan,
        total=check_number("total", plan.total, least=0),
        is_estimate=bool(plan.is_estimate),
        state=check_state(plan.state, task_type=task_type),
        parts=tuple(parts) if len(parts) > 1 else (),
    )
