"""Which failed records of an ended task a new task runs: a part of that task's list of failures.

Owns the parameter of the new task that says so, which no request can give. Must not read the list (collections/failure_walk).
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tasks_app.errors import HopelessError
from tasks_app.task_types.failed_record import ListedFailure

# No field of a serializer has such a name, so a request that gives it is refused as one with an unknown parameter.
RETRIED: Final = "@failures"


@dataclass(frozen=True, slots=True)
class FailureRange:
    """The entries of a task's list with an id greater than `after`, up to `up_to`: they do not change any more."""

    task_id: uuid.UUID
    after: int
    up_to: int

    def add_to(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return params that limit a task to these failures, instead of others that they were limited to."""
        return {**params, RETRIED: {"task": str(self.task_id), "after": self.after, "upTo": self.up_to}}


class FailureList(ABC):
    """What `TaskType.retry_params` gets: the failures in the order of their positions, read while they are iterated."""

    def __init__(self, range_: FailureRange) -> None:
        self.range = range_

    @abstractmethod
    def __iter__(self) -> Iterator[ListedFailure]: ...


def find_range(params: Mapping[str, Any]) -> FailureRange | None:
    """Return the failures that a task is limited to by its params; None: it runs all of its records.

    Raises HopelessError if another version has stored them in a form that is not known here.
    """
    stored = params.get(RETRIED)
    if stored is None:
        return None
    try:
        return FailureRange(uuid.UUID(stored["task"]), int(stored["after"]), int(stored["upTo"]))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise HopelessError(
            f"The task's parameter {RETRIED} is {str(stored)[:200]}; accepted: task, after and upTo. Start the retry again."
        ) from error


def without_range(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the params as the request gave them."""
    return params if RETRIED not in params else {name: value for name, value in params.items() if name != RETRIED}
