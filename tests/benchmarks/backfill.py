"""Rows a second of a back-fill beside a loop of save(), iterator() with bulk_update(), and one UPDATE; and the memory of each.

`python -m tests.benchmarks.backfill [--rows 1000000] [--rounds 3] [--workers 4] [--save-rows 50000]`. A MariaDB and a Redis of
its own, the settings of the tests; every way changes the same column of the same order items, in turns whose order is
reversed in every second round, with the calibration of loadtests/bench beside each. The loop of save() does `--save-rows`
rows only. After each turn all quantities must be what they should be. Prints a table in Markdown; exits with 1 if a worker's
memory grows by more than GROWTH_MIB from the first tenth of a back-fill to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from loadtests.bench.calibration import calibrate
from loadtests.bench.watch import cpu_seconds
from loadtests.started.servers import create_servers
from loadtests.started.stack import ENDED, ProcfileStack
from tests.chaos.faults import list_workers

GROWTH_MIB: Final = 16
ENVIRONMENT: Final = {"DJANGO_SETTINGS_MODULE": "tests.support.engine_settings"}
BASE: Final = "iterator() and bulk_update()"
Turn = Callable[[], tuple[int, float, float, tuple[float, float]]]  # rows, seconds, seconds of CPU, MiB as in Seen
Histogram = dict[int, int]  # how many order items have a quantity


@dataclass(slots=True)
class Seen:
    """The turns of one way."""

    rates: list[float] = field(default_factory=list)
    client_cpu: list[float] = field(default_factory=list)  # µs a row: of the workers, or of the process
    database_cpu: list[float] = field(default_factory=list)  # µs a row
    calibrations: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)  # MiB: early, or before; and the highest afterwards


def read_histogram(stack: ProcfileStack) -> Histogram:
    return {
        int(key): int(number)
        for key, number in stack.sql("SELECT quantity, COUNT(*) FROM order_items GROUP BY quantity")
    }


def rotate(before: Histogram) -> Histogram:
    return {key % 9 + 1: number for key, number in before.items()}


def run_task(stack: ProcfileStack, name: str) -> tuple[int, float, float, tuple[float, float]]:
    """Run one back-fill; return its rows, its seconds by the database's clock, the workers' CPU, and their memory."""
    early = late = max(read_rss_mib(pid) for pid in list_workers(stack).values())
    before = cpu_seconds(stack.child_pids("worker"))
    task_id = str(json.loads(stack.manage("task", "start", name, "--json"))["id"])
    while True:
        task = stack.task(task_id)
        used = max((read_rss_mib(pid) for pid in list_workers(stack).values()), default=0.0)
        progress = task["progress"]
        if progress["done"] <= (progress["total"] or 0) // 10:
            early = max(early, used)
        late = max(late, used)
        if task["status"] in ENDED:
            break
        time.sleep(0.1)
    if task["status"] != "finished":
        raise RuntimeError(f"{name}: {task}")
    [(seconds,)] = stack.sql(
        "SELECT TIMESTAMPDIFF(MICROSECOND, started_at, ended_at) / 1e6 FROM tasks_app_taskcheckpoint WHERE task_id = %s",
        task_id.replace("-", ""),
    )
    used_cpu = cpu_seconds(stack.child_pids("worker")) - before
    return progress["done"], float(seconds), used_cpu, (early, late)


def read_rss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def run_way(stack: ProcfileStack, way: str, *, rows: int) -> tuple[int, float, float, tuple[float, float]]:
    """Run one of tests.benchmarks.backfill_ways; return its rows, its seconds, its CPU, and its memory."""
    command = [sys.executable, "-m", "tests.benchmarks.backfill_ways", way, "--rows", str(rows)]
    result = subprocess.run(command, env=stack.environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{way}: {result.stderr}")
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures["rows"], figures["seconds"], figures["cpu_seconds"], (figures["mib_before"], figures["mib_peak"])


def take_turn(stack: ProcfileStack, label: str, turn: Turn, seen: Seen, *, rows: int) -> None:
    """Run one way once, and check what it has written."""
    before = read_histogram(stack)
    seen.calibrations.append(calibrate())
    database_before = cpu_seconds([stack.database.pid])
    done, seconds, client_cpu, memory = turn()
    database_cpu = cpu_seconds([stack.database.pid]) - database_before
    seen.rates.append(done / seconds)
    seen.client_cpu.append(client_cpu / done * 1e6)
    seen.database_cpu.append(database_cpu / done * 1e6)
    seen.memory.append(memory)
    after = read_histogram(stack)
    if done >= rows and after != rotate(before):
        raise RuntimeError(f"{label}: quantities {after} after {before}")
    print(f"{label}: {done:,} rows in {seconds:.1f} s", file=sys.stderr, flush=True)


def show(seen: dict[str, Seen]) -> bool:
    """Print the tables; return whether the memory of all back-fills is flat."""
    base = median(seen[BASE].rates)
    is_flat = True
    print(
        "| way | rows/s: median | lowest | highest | of bulk_update() | CPU µs a row | of the database | MiB early | highest "
        "| calibration ms |"
    )
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
    for label, one in seen.items():
        early, late = (median(values) for values in zip(*one.memory, strict=True))
        if label.startswith("back-fill"):
            is_flat &= late - early <= GROWTH_MIB
        rate = median(one.rates)
        print(
            f"| {label} | {rate:,.0f} | {min(one.rates):,.0f} | {max(one.rates):,.0f} | {rate / base:.2f} | "
            f"{median(one.client_cpu):.0f} | {median(one.database_cpu):.0f} | {early:.0f} | {late:.0f} | "
            f"{median(one.calibrations):.0f} |"
        )
    return is_flat


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.backfill")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--save-rows", type=int, default=50_000)
    options = parser.parse_args()
    database, redis_server = create_servers()
    environment = {**ENVIRONMENT, "SHARD_RECORDS": str(max(1, options.rows // (2 * options.workers)))}
    stack = None
    try:
        for server in (database, redis_server):
            server.start()
        stack = ProcfileStack(
            database=database, redis_server=redis_server, environment=environment, workers=options.workers
        )
        stack.start()
        stack.manage("generate_fake_data", "--records", str(options.rows), timeout_seconds=3600)
        turns: dict[str, Turn] = {
            "back-fill, one worker": partial(run_task, stack, "rotate_quantities_alone"),
            f"back-fill, {options.workers} workers": partial(run_task, stack, "rotate_quantities"),
            "one UPDATE": partial(run_way, stack, "update", rows=options.rows),
            BASE: partial(run_way, stack, "bulk_update", rows=options.rows),
            "loop of save()": partial(run_way, stack, "save", rows=options.save_rows),
        }
        seen = {label: Seen() for label in turns}
        for number in range(options.rounds):
            for label in list(turns)[:: 1 if number % 2 == 0 else -1]:
                take_turn(stack, label, turns[label], seen[label], rows=options.rows)
        is_flat = show(seen)
        memory = "flat" if is_flat else "grows"
        print(f"{options.rows:,} rows, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}; memory {memory}")
        return 0 if is_flat else 1
    finally:
        if stack is not None:
            stack.close()
        for server in (redis_server, database):
            server.remove()


if __name__ == "__main__":
    sys.exit(main())
