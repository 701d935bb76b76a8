"""Measures the mirror alone at 2,000 accepted tasks per second: its lag and its CPU.

The tasks are sent a hundred per request, at a fixed rate: with one per request, web and the load generator would use
all the cores, and the mirror would receive fewer tasks.
"""

import time
from typing import Any

from loadtests.bench.context import Bench
from loadtests.bench.ground import BenchStack
from loadtests.bench.watch import CpuWatch, QueueWatch

TASKS = 100  # of one request


def measure(bench: Bench) -> dict[str, Any]:
    rate, seconds = bench.scale.mirror_rate, bench.scale.mirror_seconds
    runs = []
    with bench.ground.stack() as stack:
        stack.start_web()
        for run in range(bench.scale.runs):
            stack.restart_empty()
            with (
                stack.redis() as client,
                QueueWatch(client) as queue,
                CpuWatch(bench.ground.roles(stack, "web", "mirror")) as watch,
            ):
                accepted = accept(stack, rate=rate, seconds=seconds)
            figures = queue.lag_figures() | {"rate": accepted / watch.elapsed_seconds, "cpu": watch.shares}
            bench.say(
                f"mirror run {run + 1}: {figures['rate']:.0f} tasks/s, lag p99 {figures['lag_p99_ms']:.0f} ms, "
                f"{watch.shares['mirror']:.3f} cores"
            )
            runs.append(figures)
            stack.wait_until_mirrored()
    return {"rate": rate, "seconds": seconds, "runs": runs}


def accept(stack: BenchStack, *, rate: int, seconds: int) -> int:
    """Start tasks at a fixed rate, late ones at once; returns their number."""
    began = time.monotonic()
    requests = rate * seconds // TASKS
    for number in range(requests):
        time.sleep(max(0.0, began + number * TASKS / rate - time.monotonic()))
        stack.start_tasks(count=TASKS, records=1)
    time.sleep(max(0.0, began + seconds - time.monotonic()))  # the interval of the last request
    return requests * TASKS
