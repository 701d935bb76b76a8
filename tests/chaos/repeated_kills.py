"""Kills the workers of a task, one after the other, until the task has ended.

Owns the loop. Must not judge the task.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from typing import Any

from loadtests.started.stack import ENDED, ProcfileStack
from tests.chaos.faults import find_victim


def kill_workers(stack: ProcfileStack, *, task_id: str, every_seconds: float, deadline_seconds: float) -> int:
    """Kill a worker that runs a task, again and again until the task has ended; return how many were killed.

    Only one kill falls into the pass that counts the records: on a busy machine it takes longer than the time between two
    kills, and it begins again after each.
    """
    dice, kills, ends_at = random.Random(1), 0, time.monotonic() + deadline_seconds
    task: dict[str, Any] = {}
    while time.monotonic() < ends_at:
        due = time.monotonic() + every_seconds
        while time.monotonic() < due:
            task = stack.task(task_id)
            if task["status"] in ENDED:
                return kills
            time.sleep(0.05)
        if kills and task["progress"]["total"] is None:
            continue
        if victim := find_victim(stack, dice):
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                kills += 1
    return kills
