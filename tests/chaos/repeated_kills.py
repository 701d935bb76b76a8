"""Kills the workers of a task, one after the other, until the task has ended.

Owns the loop. Must not judge the task.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

from loadtests.started.stack import ENDED, ProcfileStack
from tests.chaos.faults import list_busy


def kill_workers(stack: ProcfileStack, *, task_id: str, every_seconds: float, deadline_seconds: float) -> int:
    """Kill a worker that runs a task, again and again until the task has ended; return how many were killed.

    Some worker has run the task for `every_seconds` before each kill: on a slow machine it would make no progress
    otherwise. Only one kill falls into the pass that counts the records, because it begins again after each.
    """
    dice, kills, ends_at = random.Random(1), 0, time.monotonic() + deadline_seconds
    due = time.monotonic() + every_seconds
    while time.monotonic() < ends_at:
        task = stack.task(task_id)
        if task["status"] in ENDED:
            break
        time.sleep(0.05)
        busy = list_busy(stack)
        if not busy or (kills and task["progress"]["total"] is None):
            due = time.monotonic() + every_seconds
        elif time.monotonic() >= due:
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(busy), signal.SIGKILL)
                kills, due = kills + 1, time.monotonic() + every_seconds
    return kills
