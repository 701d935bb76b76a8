"""Function tasks while workers are killed: `python -m tests.chaos.function_tasks --tasks 1000` must leave one row for each.

Owns the enqueues, the kills and the comparison of the rows. LONGTASKS_TEST_STACK=embedded uses SQLite.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter

from loadtests.started.stack import ProcfileStack
from tests.chaos.faults import find_victim
from tests.chaos.started_stack import started_stack

# Every third function is async. One pauses in its transaction, so that kills hit functions that have written.
ENQUEUE = """
from tests.django_tasks.functions import insert_slowly, insert_slowly_async
for number in range({tasks}):
    (insert_slowly if number % 3 else insert_slowly_async).enqueue(number, {pause_ms})
"""
RUN = "018f000000007000" + "8000000000000000"  # tests.django_tasks.functions.RUN
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "tests.django_tasks.settings",
    "LEASE_SECONDS": "2",
    "RETRY_ATTEMPTS": "50",
}


def enqueue(stack: ProcfileStack, *, tasks: int, pause_ms: int) -> None:
    """Enqueue the functions, as the code of a project does."""
    stack.manage("shell", "-c", ENQUEUE.format(tasks=tasks, pause_ms=pause_ms), timeout_seconds=600)


def count_statuses(stack: ProcfileStack) -> Counter[str]:
    rows = stack.sql("SELECT status, COUNT(*) FROM tasks_app_taskrecord WHERE name = 'function' GROUP BY status")
    return Counter({str(status): int(number) for status, number in rows})


def kill_workers(stack: ProcfileStack, *, tasks: int, every_seconds: float, deadline_seconds: float) -> int:
    """Kill a busy worker again and again until all tasks have ended; return how many were killed."""
    dice, kills, ends_at = random.Random(1), 0, time.monotonic() + deadline_seconds
    while time.monotonic() < ends_at:
        due = time.monotonic() + every_seconds
        while time.monotonic() < due:
            found = count_statuses(stack)
            if sum(found[status] for status in ("finished", "failed", "canceled", "stopped")) >= tasks:
                return kills
            time.sleep(0.1)
        if victim := find_victim(stack, dice):
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                kills += 1
    return kills


def find_faults(stack: ProcfileStack, *, tasks: int) -> list[str]:
    """Return what differs from one row and one result for each task; nothing if all is right."""
    positions = [int(position) for (position,) in stack.sql("SELECT position FROM products WHERE task_id = %s", RUN)]
    rows = Counter(positions)
    results = stack.sql(
        "SELECT c.result FROM tasks_app_taskcheckpoint c JOIN tasks_app_taskrecord r ON r.id = c.task_id "
        "WHERE r.name = 'function' AND c.outcome = 'finished'"
    )
    faults = []
    if missing := [number for number in range(tasks) if not rows[number]]:
        faults.append(f"{len(missing)} rows are missing: {missing[:10]}")
    if twice := [number for number, count in rows.items() if count > 1]:
        faults.append(f"{len(twice)} rows are there more than once: {twice[:10]}")
    if sorted(int(result) for (result,) in results) != list(range(tasks)):
        faults.append("the results are not those of the functions")
    if (found := count_statuses(stack)) != {"finished": tasks}:
        faults.append(f"the tasks are {dict(found)}")
    return faults


def run(stack: ProcfileStack, *, tasks: int, pause_ms: int, every_seconds: float, deadline_seconds: float) -> list[str]:
    """Enqueue, kill and compare; print one line. Returns what is wrong."""
    enqueue(stack, tasks=tasks, pause_ms=pause_ms)
    began = time.monotonic()
    kills = kill_workers(stack, tasks=tasks, every_seconds=every_seconds, deadline_seconds=deadline_seconds)
    seconds = time.monotonic() - began
    [(again,)] = stack.sql(
        "SELECT COUNT(*) FROM tasks_app_taskcheckpoint c JOIN tasks_app_taskrecord r ON r.id = c.task_id "
        "WHERE r.name = 'function' AND c.epoch > 1"
    )
    faults = find_faults(stack, tasks=tasks)
    print(f"{tasks} functions, {seconds:.1f} s, {kills} kills, {again} claimed again: {'; '.join(faults) or 'exact'}")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.function_tasks")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kills")
    parser.add_argument("--pause-ms", type=int, default=100, help="pause of each function after its insert")
    options = parser.parse_args()
    with started_stack(workers=options.workers, environment=ENVIRONMENT) as stack:
        faults = run(
            stack,
            tasks=options.tasks,
            pause_ms=options.pause_ms,
            every_seconds=options.every,
            deadline_seconds=1800,
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
