"""Measures web at an arrival rate: 2,000 POSTs a second by h2load, with the mirror and without workers.

Owns the mirror's figures too: its lag and its CPU while it receives every task.
"""

from typing import Any

from loadtests.bench.context import BODY, Bench
from loadtests.bench.h2load import run_h2load
from loadtests.bench.watch import CpuWatch, QueueWatch


def measure(bench: Bench) -> dict[str, Any]:
    rate, seconds = bench.scale.arrival_rate, bench.scale.arrival_seconds
    runs = []
    with bench.ground.stack() as stack:
        stack.start_web()
        for run in range(bench.scale.runs):
            stack.restart_empty()
            roles = bench.ground.roles(stack, "web", "mirror")
            with stack.redis() as client, QueueWatch(client) as queue, CpuWatch(roles) as watch:
                figures = run_h2load(
                    url=f"{stack.address}/tasks", rate=rate, seconds=seconds, body=BODY, directory=bench.directory
                )
            generator = figures.pop("cpu_seconds") / watch.elapsed_seconds
            figures |= queue.lag_figures() | {"cpu": watch.shares | {"h2load": round(generator, 4)}}
            bench.say(
                f"arrival run {run + 1}: {figures['rate']:.0f}/s, mean {figures['mean_ms']:.1f} ms, "
                f"{figures['failed']} failed, {figures['late']} late, mirror's lag p99 {figures['lag_p99_ms']:.0f} ms"
            )
            runs.append(figures)
            stack.wait_until_mirrored()
    return {"rate": rate, "seconds": seconds, "runs": runs}
