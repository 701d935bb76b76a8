"""Measures the document's critical event: how long a high task waits for its start under a flood of low ones."""

from typing import Any

from loadtests.bench.context import Bench
from loadtests.bench.k6_run import run_script

WORKERS = 2


def measure(bench: Bench) -> dict[str, Any]:
    scale = bench.scale
    runs = []
    with bench.ground.stack() as stack:
        stack.start_web()
        for run in range(scale.runs):
            stack.restart_empty(workers=WORKERS)
            report = run_script(
                script="critical.js",
                target=stack.address,
                directory=bench.directory,
                env={
                    "DURATION": scale.critical_seconds,
                    "FLOOD_RATE": scale.flood_rate,
                    "FLOOD_RECORDS": scale.flood_records,
                    "HEAD_START": min(5, scale.critical_seconds),
                },
                deadline_seconds=scale.critical_seconds + 180,
            )
            metrics = report["metrics"]
            waited = metrics["critical_time_to_start"]
            with stack.redis() as client:
                left = client.llen("rq:queue:low")
            bench.say(f"critical run {run + 1}: started after {waited['avg']:.0f} ms on average, {left} low tasks left")
            runs.append(
                {
                    "mean_ms": waited["avg"],
                    "median_ms": waited["med"],
                    "p95_ms": waited["p(95)"],
                    "p99_ms": waited["p(99)"],
                    "max_ms": waited["max"],
                    "never_started": metrics.get("critical_never_started", {}).get("count", 0),
                    "low_left": left,
                }
            )
    return {"rate": scale.flood_rate, "records": scale.flood_records, "seconds": scale.critical_seconds, "runs": runs}
