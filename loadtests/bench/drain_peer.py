"""Measures tasks and rows per second of the peer, as drain.py does: waiting tasks, two worker processes."""

import signal
import time
from typing import Any

from loadtests.bench.cells import cell_tasks, guess_rate
from loadtests.bench.context import Bench
from loadtests.bench.errors import BenchError
from loadtests.bench.peer import Peer
from loadtests.bench.watch import CpuWatch
from longtasks.local_stack import child_process

PROCESSES = 2
CONCURRENCIES = (1, 8)  # of each process: the peer's default, and a higher one that Bull supports
CELL_DEADLINE_SECONDS = 300
SLOWER = 10  # than the estimate for longtasks
MOST_RECORDS = 40_000


def measure_peer(bench: Bench) -> list[dict[str, Any]]:
    cells = []
    with Peer(directory=bench.peer_directory or bench.directory, ground=bench.ground) as peer:
        peer.start_api()
        for concurrency in CONCURRENCIES:
            peer.start_workers(processes=PROCESSES, concurrency=concurrency)
            run_cell(bench, peer, tasks=PROCESSES * 4, records=1, are_ready=False)  # waits for the workers
            for records in bench.scale.peer_sizes:
                cells.append(
                    {"concurrency": concurrency, "records": records, "runs": measure_cell(bench, peer, records)}
                )
            peer.stop_workers()
    return cells


def measure_cell(bench: Bench, peer: Peer, records: int) -> list[dict[str, Any]]:
    scale = bench.scale
    rate = guess_rate(records=records) / SLOWER
    most = max(1, min(scale.peer_most_tasks, MOST_RECORDS // records))
    if scale.probe_seconds and rate * scale.cell_seconds > PROCESSES:
        tasks = cell_tasks(rate=rate, seconds=scale.probe_seconds, workers=PROCESSES, most=most)
        rate = run_cell(bench, peer, tasks=tasks, records=records)["tasks_per_second"]
    tasks = cell_tasks(rate=rate, seconds=scale.cell_seconds, workers=PROCESSES, most=most)
    results = []
    for run in range(scale.runs):
        figures = run_cell(bench, peer, tasks=tasks, records=records)
        bench.say(
            f"peer, {tasks} tasks of {records}, run {run + 1}: "
            f"{figures['tasks_per_second']:.1f} tasks/s, {figures['rows_per_second']:.0f} rows/s"
        )
        results.append(figures)
    return results


def run_cell(bench: Bench, peer: Peer, *, tasks: int, records: int, are_ready: bool = True) -> dict[str, Any]:
    ground = bench.ground
    pids = peer.worker_pids() if are_ready else []
    child_process.signal_pids(pids=pids, signal_number=signal.SIGSTOP)
    peer.fill(tasks=tasks, records=records)
    roles = {
        "worker": peer.worker_pids,
        "redis": lambda: [ground.redis_server.pid],
        "mariadb": lambda: [ground.database.pid],
    }
    with CpuWatch(roles) as watch:
        started = time.monotonic()
        child_process.signal_pids(pids=pids, signal_number=signal.SIGCONT)
        peer.wait_until_idle(deadline_seconds=CELL_DEADLINE_SECONDS)
        seconds = time.monotonic() - started
    counts = peer.count_rows()
    expected = dict.fromkeys(("order_items", "products", "users"), tasks * records) | {"completed": tasks}
    if dict(counts) != expected:
        raise BenchError(f"the peer wrote {dict(counts)}, not {expected}")
    peer.empty()
    return {
        "tasks": tasks,
        "seconds": seconds,
        "tasks_per_second": tasks / seconds,
        "rows_per_second": tasks * records * 3 / seconds,
        "cpu": watch.shares,
    }
