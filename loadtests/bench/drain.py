"""Measures tasks and rows per second of longtasks: waiting tasks, run by 1, 2 and 4 workers with either writer.

The time counts from the release of the workers until every task has finished, its rows are counted and it is mirrored.
"""

import time
from typing import Any

from loadtests.bench.cells import cell_tasks, guess_rate
from loadtests.bench.context import Bench
from loadtests.bench.drain_peer import measure_peer
from loadtests.bench.errors import BenchError
from loadtests.bench.ground import BenchStack
from loadtests.bench.load_data import measure_load_data
from loadtests.bench.watch import CpuWatch
from loadtests.started.stack import TABLES

WRITERS = {"orm": "0", "bulk": "1"}
CELL_DEADLINE_SECONDS = 600


def measure(bench: Bench) -> dict[str, Any]:
    cells: list[dict[str, Any]] = []
    raw: list[dict[str, Any]] = []
    peer: list[dict[str, Any]] = []
    for workers in bench.scale.workers:
        for writer, bulk_writer in WRITERS.items():
            with bench.ground.stack(environment={"BULK_WRITER": bulk_writer}) as stack:
                stack.start_web()
                stack.start_mirror()
                stack.start_workers(workers)
                run_cell(bench, stack, tasks=workers * 20, records=10, workers=workers)  # fills caches, not counted
                for records in bench.scale.sizes:
                    cells.append(
                        {"writer": writer, "workers": workers, "records": records}
                        | {"runs": measure_cell(bench, stack, records=records, workers=workers, writer=writer)}
                    )
    with bench.ground.stack(environment={"BULK_WRITER": "1"}) as stack:
        raw = measure_load_data(bench, stack)
    if bench.peer_directory is not None:
        peer = measure_peer(bench)
    return {"cells": cells, "loadData": raw, "peer": peer}


def measure_cell(bench: Bench, stack: BenchStack, *, records: int, workers: int, writer: str) -> list[dict[str, Any]]:
    """Run a probe that determines the number of tasks, then the measured runs."""
    scale = bench.scale
    runs = 1 if records >= scale.once_from else scale.runs
    rate = guess_rate(records=records)
    most = max(1, min(scale.most_tasks, 10_000_000 // records))
    if scale.probe_seconds and runs > 1 and rate * scale.cell_seconds > workers:  # otherwise one task for each worker
        tasks = cell_tasks(rate=rate, seconds=scale.probe_seconds, workers=workers, most=most)
        rate = run_cell(bench, stack, tasks=tasks, records=records, workers=workers)["tasks_per_second"]
    tasks = 1 if runs == 1 else cell_tasks(rate=rate, seconds=scale.cell_seconds, workers=workers, most=most)
    results = []
    for run in range(runs):
        figures = run_cell(bench, stack, tasks=tasks, records=records, workers=workers)
        bench.say(
            f"{writer}, {workers} workers, {tasks} tasks of {records}, run {run + 1}: "
            f"{figures['tasks_per_second']:.1f} tasks/s, {figures['rows_per_second']:.0f} rows/s"
        )
        results.append(figures)
    return results


def run_cell(bench: Bench, stack: BenchStack, *, tasks: int, records: int, workers: int) -> dict[str, Any]:
    """Release the waiting tasks, wait until all have ended, count them, and empty the stack."""
    pids = stack.child_pids("worker")
    if len(pids) != workers:
        raise BenchError(f"{len(pids)} workers run, not {workers}:\n{stack.log_tail('worker')}")
    stack.pause_pids(pids)
    stack.fill(tasks=tasks, records=records)
    with CpuWatch(bench.ground.roles(stack, "worker", "mirror")) as watch:
        started = time.monotonic()
        stack.resume_pids(pids)
        stack.wait_until_idle(deadline_seconds=CELL_DEADLINE_SECONDS)
        seconds = time.monotonic() - started
    require_exact_counts(stack, tasks=tasks, records=records)
    stack.empty()
    return {
        "tasks": tasks,
        "seconds": seconds,
        "tasks_per_second": tasks / seconds,
        "rows_per_second": tasks * records * len(TABLES) / seconds,
        "cpu": watch.shares,
    }


def require_exact_counts(stack: BenchStack, *, tasks: int, records: int) -> None:
    """Check the run: a speed is valid only if every task has finished and the number of rows is exact."""
    finished = stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord WHERE status = 'finished'")[0][0]
    if finished != tasks:
        statuses = stack.sql("SELECT status, COUNT(*), MAX(error) FROM tasks_app_taskrecord GROUP BY status")
        raise BenchError(f"{finished} of {tasks} tasks have finished: {statuses}\n{stack.log_tail('worker')}")
    for table in TABLES:
        rows = stack.sql(f"SELECT COUNT(*) FROM {table}")[0][0]
        if rows != tasks * records:
            raise BenchError(f"{table} holds {rows} rows after {tasks} tasks of {records} records")
