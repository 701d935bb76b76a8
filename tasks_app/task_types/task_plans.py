"""The plan of a task that its worker makes at the first claim: total, first state, and shards with a state each.

Owns the form of a plan (task_results checks it). Must not know how a plan is stored, nor any task type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

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
