"""Measures whether tasks of one record finish at the rate of their arrival, for a minute, without a backlog."""

from collections.abc import Sequence
from typing import Any

from loadtests.bench.context import Bench
from loadtests.bench.errors import BenchError
from loadtests.bench.figures import slope
from loadtests.bench.k6_run import latency_figures, run_script
from loadtests.bench.watch import CpuWatch, QueueWatch

WORKERS = 2
PLOT_POINTS = 240


def measure(bench: Bench) -> dict[str, Any]:
    scale = bench.scale
    runs = []
    with bench.ground.stack() as stack:
        stack.start_web()
        for run in range(scale.runs):
            stack.restart_empty(workers=WORKERS)
            roles = bench.ground.roles(stack, "web", "worker", "mirror")
            with stack.redis() as client, QueueWatch(client) as queue, CpuWatch(roles) as watch:
                report = run_script(
                    script="responsiveness.js",
                    target=stack.address,
                    directory=bench.directory,
                    env={"RATE": scale.sustained_rate, "DURATION": scale.sustained_seconds, "NUM_RECORDS": 1},
                    deadline_seconds=scale.sustained_seconds + 90,
                )
            stack.wait_until_idle(deadline_seconds=300)
            latency = latency_figures(report)
            finished = stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord WHERE status = 'finished'")[0][0]
            accepted = latency["requests"] - latency["failed"]
            if finished < accepted:
                raise BenchError(f"{accepted} tasks were accepted, {finished} have finished")
            figures = latency | queue.lag_figures() | backlog_figures(queue.backlog) | {"finished": finished}
            bench.say(
                f"sustained run {run + 1}: {latency['rate']:.0f}/s accepted, "
                f"backlog at most {figures['backlog_max']:.0f}, at the end {figures['backlog_end']:.0f}"
            )
            cpu = watch.shares | {"k6": round(report["cpu_seconds"] / watch.elapsed_seconds, 4)}
            runs.append(figures | {"cpu": cpu, "backlog": thinned(queue.backlog)})
    return {"rate": scale.sustained_rate, "seconds": scale.sustained_seconds, "runs": runs}


def backlog_figures(backlog: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Return the backlog's maximum, its end, and its growth per second over the second half."""
    if not backlog:
        raise BenchError("the backlog was never seen")
    half = backlog[-1][0] / 2
    return {
        "backlog_max": max(waiting for _, waiting in backlog),
        "backlog_end": backlog[-1][1],
        "backlog_growth": slope([point for point in backlog if point[0] >= half]),
    }


def thinned(backlog: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Reduce the points for storing and drawing; the highest of each interval remains, so no peak is lost."""
    size = max(1, -(-len(backlog) // PLOT_POINTS))
    stretches = [backlog[start : start + size] for start in range(0, len(backlog), size)]
    return [(round(stretch[0][0], 2), max(waiting for _, waiting in stretch)) for stretch in stretches]
