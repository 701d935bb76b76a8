"""Runs one of the k6 scripts against an address and returns its figures."""

import json
import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.bench.errors import BenchError
from loadtests.k6 import k6_command

THRESHOLD_NOT_MET = 99


def run_script(
    *, script: str, target: str, directory: Path, env: Mapping[str, object], deadline_seconds: float
) -> dict[str, Any]:
    """Return the script's JSON, with k6's own `cpu_seconds`. An unmet threshold is not an error here."""
    out = directory / f"{Path(script).stem}.json"
    out.unlink(missing_ok=True)
    command, environment = k6_command(
        script=script, env={"TARGET": target, "OUT": str(out), **{name: str(value) for name, value in env.items()}}
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=deadline_seconds,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode not in (0, THRESHOLD_NOT_MET) or not out.exists():
        raise BenchError(f"k6 run {script} ended with status {result.returncode}:\n{result.stdout[-3000:]}")
    report: dict[str, Any] = json.loads(out.read_text())
    return report | {"cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def latency_figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of responsiveness.js under short names."""
    metrics = report["metrics"]
    duration = metrics["http_req_duration"]
    return {
        "mean_ms": duration["avg"],
        "median_ms": duration["med"],
        "p95_ms": duration["p(95)"],
        "p99_ms": duration["p(99)"],
        "max_ms": duration["max"],
        "requests": metrics["http_reqs"]["count"],
        "rate": metrics["http_reqs"]["rate"],
        "failed": metrics["http_req_failed"].get("passes", 0),
        "dropped": metrics.get("dropped_iterations", {}).get("count", 0),
    }
