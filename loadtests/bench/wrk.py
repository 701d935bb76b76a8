"""Runs wrk and reads its figures: a closed loop of 32 connections, each sends after its last answer."""

import json
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

from loadtests.bench.errors import BenchError

CONNECTIONS = 32
SCRIPT = Path(__file__).with_name("wrk.lua")


def run_wrk(*, url: str, seconds: int, body: str = "", paths: Path | None = None, token: str = "") -> dict[str, Any]:
    """Return requests per second, latencies and failures; `cpu_seconds` is wrk's own CPU time."""
    variables = {"BODY": body, "PATHS": str(paths or ""), "TOKEN": token}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-s", str(SCRIPT), url],
        env={**os.environ, **{name: value for name, value in variables.items() if value}},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode:
        raise BenchError(f"wrk ended with status {result.returncode}:\n{result.stdout}")
    return parse_wrk(result.stdout) | {
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    }


def parse_wrk(output: str) -> dict[str, Any]:
    """Return the figures of wrk.lua's last line."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchError(f"wrk printed no figures:\n{output}")
    figures: dict[str, Any] = json.loads(lines[-1])
    figures["failed"] += figures.pop("unanswered")
    return figures | {"rate": figures["requests"] / figures["seconds"]}
