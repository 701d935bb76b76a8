"""Measures whether tasks of one record finish at the rate of their arrival, for a minute, without a backlog.

The backlog is what waits, runs or is parked; it is read once a second.
"""

import json
from collections.abc import Sequence
from statistics import median
from typing import Any

from loadtests.bench.context import Bench
from loadtests.bench.errors import BenchError
from loadtests.bench.h2load import run_h2load
from loadtests.bench.watch import CpuWatch, QueueWatch

WORKERS = 2
BODY = json.dumps({"name": "upload", "params": {"numRecords": 1}})


def measure(bench: Bench) -> dict[str, Any]:
    scale = bench.scale
    runs = []
    with bench.ground.stack() as stack:
        stack.start_web()
        for run in range(scale.runs):
            stack.restart_empty(workers=WORKERS)
            roles = bench.ground.roles(stack, "web", "worker", "mirror")
            with stack.redis() as client, QueueWatch(client) as queue, CpuWatch(roles) as watch:
                figures = run_h2load(
                    url=f"{stack.address}/tasks",
                    rate=scale.sustained_rate,
                    seconds=scale.sustained_seconds,
                    body=BODY,
                    directory=bench.directory,
                )
            stack.wait_until_idle(deadline_seconds=300)
            finished = stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord WHERE status = 'finished'")[0][0]
            accepted = figures["requests"] - figures["failed"]
            if finished < accepted:
                raise BenchError(f"{accepted} tasks were accepted, {finished} have finished")
            generator = figures.pop("cpu_seconds") / watch.elapsed_seconds
            backlog = each_second(queue.backlog)
            figures |= queue.lag_figures() | backlog_figures(backlog) | {"finished": finished, "backlog": backlog}
            bench.say(
                f"sustained run {run + 1}: {figures['rate']:.0f}/s, {finished} finished, backlog "
                f"{figures['backlog_first']:.0f} in the first third, {figures['backlog_last']:.0f} in the last"
            )
            runs.append(figures | {"cpu": watch.shares | {"h2load": round(generator, 4)}})
    return {"rate": scale.sustained_rate, "seconds": scale.sustained_seconds, "runs": runs}


def each_second(backlog: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the first reading of each second."""
    seconds: dict[int, tuple[float, float]] = {}
    for at, waiting in backlog:
        seconds.setdefault(int(at), (round(at, 2), waiting))
    return list(seconds.values())


def backlog_figures(backlog: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Return the backlog's maximum, its end, and its medians over the first and the last third."""
    if not backlog:
        raise BenchError("the backlog was never seen")
    waiting = [waiting for _, waiting in backlog]
    third = max(1, len(waiting) // 3)
    return {
        "backlog_max": max(waiting),
        "backlog_end": waiting[-1],
        "backlog_first": median(waiting[:third]),
        "backlog_last": median(waiting[-third:]),
    }
