"""Priorities: the queue of a task by its priority.

Owns the numbers 1 to 10, of which 1 to 3 mean `high`. Must not know tasks, Redis or HTTP.
"""

from __future__ import annotations

from typing import Final

from tasks_app.conf import queue_names

HIGH: Final = queue_names.HIGH
LOW: Final = queue_names.LOW
NAMES: Final = (HIGH, LOW)
FIRST, LAST_OF_HIGH, LAST = 1, 3, 10
_BY_TEXT: Final[dict[str, str | int]] = {
    **{name: name for name in NAMES},
    **{str(number): number for number in range(FIRST, LAST + 1)},
}


def is_urgency(number: object) -> bool:
    """Return whether the value is a valid numeric priority."""
    return type(number) is int and FIRST <= number <= LAST


def read_priority(text: str) -> str | int | None:
    """Parse a priority from the text of a form, a URL or an argument; None if it is not a priority."""
    return _BY_TEXT.get(text)


def find_queue(priority: str | int, *, own_queue: str) -> str:
    """Return the queue of a new task: `high` for high and 1 to 3, else its task type's own queue."""
    if isinstance(priority, int):
        return HIGH if priority <= LAST_OF_HIGH else own_queue
    return HIGH if priority == HIGH else own_queue


def describe_priority(*, queue: str, urgency: int | None) -> str | int:
    """Return a task's priority as the client gave it: the number, or `high` or `low`."""
    if urgency is not None:
        return urgency
    return HIGH if queue == HIGH else LOW
