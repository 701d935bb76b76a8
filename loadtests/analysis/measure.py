"""Runs each load against a stack, with k6 and, if it is installed, with Artillery; keeps their figures and those of /proc.

Must not: judge a figure; the page does.
"""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.analysis.loads import DIRECTORY, Load
from loadtests.bench.errors import BenchError
from loadtests.bench.machine import cpu_ticks
from loadtests.bench.watch import TICKS_PER_SECOND, CpuWatch
from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.procfile import PROJECT_DIR

K6, ARTILLERY = "k6", "Artillery"
DRAIN_TASKS: Final = 1000
# The figures of Artillery that are stored; k6's run has the same names.
COUNTERS: Final = ("http.", "errors.", "vusers.completed", "vusers.created", "vusers.failed", "vusers.skipped")
RATE: Final = "http.request_rate"
SUMMARIES: Final = ("http.response_time", "vusers.session_length")
INTERRUPTED_SECONDS: Final = 30
NO_TELEMETRY: Final = DIRECTORY / "loopback_only.cjs"
_COUNT_LINE: Final = re.compile(r"^((?:http|vusers|errors)\.[^:\n]*): \.+ (\d+)$", re.MULTILINE)
Roles = Mapping[str, Callable[[], Iterable[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The target of the loads: a running stack, the processes to watch by role, and how to empty it."""

    stack: ProcfileStack
    roles: Roles
    begin: Callable[[], None]  # called before each run; afterwards there is no task
    directory: Path
    say: Callable[[str], None]


def find_artillery() -> str:
    """Return the path of Artillery's command; "" if it is not installed."""
    return shutil.which("artillery") or ""


def measure(place: Place, *, loads: Sequence[Load], drain_tasks: int = DRAIN_TASKS) -> dict[str, Any]:
    """Run every load with every installed tool, then tasks without load; return all figures."""
    tools = [K6, *([ARTILLERY] if find_artillery() else [])]
    runs = [_run(place, load=load, tool=tool) for load in loads for tool in tools]
    return {"runs": runs, "drain": _drain(place, tasks=drain_tasks)}


def _run(place: Place, *, load: Load, tool: str) -> dict[str, Any]:
    place.begin()
    out = place.directory / "report.json"
    out.unlink(missing_ok=True)
    started = time.monotonic()
    before, (busy_before, _) = _children_seconds(), cpu_ticks()
    with CpuWatch(place.roles) as watch:
        run_tool = _run_k6 if tool == K6 else _run_artillery
        report = run_tool(load, target=place.stack.address, out=out)
    client_seconds = _children_seconds() - before
    figures: dict[str, dict[str, Any]] = {
        "counters": {name: count for name, count in report["counters"].items() if name.startswith(COUNTERS)},
        "rates": {name: report["rates"][name] for name in (RATE,) if name in report["rates"]},
        "summaries": {name: report["summaries"][name] for name in SUMMARIES if name in report["summaries"]},
    }
    place.say(f"{load.key} by {tool}: {figures['counters'].get('http.requests', 0):,} requests")
    busy_seconds = (cpu_ticks()[0] - busy_before) / TICKS_PER_SECOND
    others = max(0.0, busy_seconds - client_seconds - sum(watch.seconds.values())) / watch.elapsed_seconds
    service_seconds = {role: round(seconds, 2) for role, seconds in watch.seconds.items()}
    return {
        "load": load.key,
        "tool": tool,
        "ended": out.exists(),
        "seconds": round(time.monotonic() - started, 1),
        "cpuSeconds": service_seconds | {"client": round(client_seconds, 2)},
        "othersCores": round(others, 2),
        "memoryMib": {role: round(_memory_mib(find()), 1) for role, find in place.roles.items()},
        **figures,
    }


def _run_k6(load: Load, *, target: str, out: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "loadtests", "artillery", str(load.k6_file), "--out", str(out)]
    return _run_tool(command, environment={"TARGET": target}, out=out, deadline_seconds=load.deadline_seconds)


def _run_artillery(load: Load, *, target: str, out: Path) -> dict[str, Any]:
    *config, script = load.artillery_files
    options = [word for path in config for word in ("--config", str(path))]
    command = [find_artillery(), "run", "--target", target, "--output", str(out), *options, str(script)]
    environment = {"NODE_OPTIONS": f"--require {NO_TELEMETRY}", "ARTILLERY_DISABLE_TELEMETRY": "true"}
    return _run_tool(command, environment=environment, out=out, deadline_seconds=load.deadline_seconds)


def _run_tool(
    command: Sequence[str], *, environment: Mapping[str, str], out: Path, deadline_seconds: float
) -> dict[str, Any]:
    """Run a load generator to its end and return its figures, which include all that its exit code means.

    One that has not ended by the deadline is interrupted, and its counts until then are returned. Raises BenchError
    if it failed.
    """
    log = out.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=PROJECT_DIR,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its children can then be ended with it
        )
        is_late = False
        try:
            process.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            is_late = True
            os.killpg(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(INTERRUPTED_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    printed = log.read_text(errors="replace")
    if out.exists():
        aggregate: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))["aggregate"]
        return aggregate
    if not is_late:
        raise BenchError(f"{' '.join(command)} ended with status {process.returncode}:\n{printed[-2000:]}")
    return {"counters": add_periods(printed), "rates": {}, "summaries": {}}


def add_periods(printed: str) -> dict[str, int]:
    """Return the sum of the counts that Artillery prints every ten seconds: it writes its file at the end only."""
    counts: Counter[str] = Counter()
    for name, count in _COUNT_LINE.findall(printed):
        counts[name] += int(count)
    return dict(counts)


def _drain(place: Place, *, tasks: int) -> dict[str, Any]:
    """Run the document's tasks without load on web; return the CPU time of one task by part."""
    place.begin()
    stack = place.stack
    with CpuWatch(place.roles) as watch:
        answer = stack.post("/tasks/bulk", {"tasks": [{"name": "upload", "description": "user upload"}] * tasks})
        if answer.status != 201:
            raise BenchError(f"POST /tasks/bulk: {answer.status} {answer.body[:500]!r}")
        with stack.redis() as client:
            stack.wait_for(
                lambda: (
                    not any((client.llen("rq:queue:low"), client.zcard("rq:wip:low"), client.xlen("longtasks:events")))
                ),
                deadline_seconds=120,
                what="all tasks have ended and are mirrored",
            )
    place.say(f"{tasks:,} tasks done in {watch.elapsed_seconds:.1f} s")
    return {
        "tasks": tasks,
        "seconds": round(watch.elapsed_seconds, 2),
        "cpuMicrosecondsPerTask": {role: round(seconds / tasks * 1e6) for role, seconds in watch.seconds.items()},
    }


def _children_seconds() -> float:
    """Return the CPU time of the ended load generators; the stack's processes still run and are not included."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _memory_mib(pids: Iterable[int]) -> float:
    """Return the memory of processes; shared pages are divided among their users."""
    kib = 0
    for pid in pids:
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kib += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return kib / 1024
