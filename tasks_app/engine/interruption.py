"""The interruption check between two chunks: continue, preempt, stop or abort.

Owns its results and the hooks by which the runner reaches its worker. Must not decide (worker).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tasks_app.queues.transitions import DequeuedTask


class Interruption(Enum):
    """The result of the interruption check after a chunk."""

    CONTINUE = "continue"
    PREEMPT = "yield"  # a more urgent task waits
    STOP = "stop"  # the worker was asked to stop, or the queue is paused
    ABORT = "abort"  # RQ's stop command named this task


@dataclass(slots=True)
class WorkerHooks:
    """What the runner calls in its worker, between chunks."""

    check_interruption: Callable[[DequeuedTask], Interruption]
    should_stop: Callable[[], bool]
    while_waiting: Callable[[], None]
