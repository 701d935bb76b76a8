"""The interruption check between two chunks: continue, yield, stop or abort.

Owns its results and what the runner may ask its worker. Must not decide: the worker does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tasks_app.queues.transitions import DequeuedTask


class Interruption(Enum):
    """What a worker does after a chunk, having looked up."""

    CONTINUE = "continue"
    PREEMPT = "yield"  # something more urgent waits
    STOP = "stop"  # the worker shall end, or the queue is paused
    ABORT = "abort"  # this task shall be stopped (RQ's stop command)


@dataclass(slots=True)
class WorkerHooks:
    """What the runner asks its worker, between chunks."""

    check_interruption: Callable[[DequeuedTask], Interruption]
    should_stop: Callable[[], bool]
    while_waiting: Callable[[], None]
