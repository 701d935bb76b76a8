"""Measures the CPU cost of a one-record task in each part, and computes the needs of higher rates.

`python -m tests.cluster.scaling [TASKS]`: drains TASKS tasks with 1, 2, 4 and 8 worker hosts (separate processes on this
machine's cores), writes docs/scaling.json and the tables of docs/scaling.md. It counts CPU time, which is the same on a
busy machine.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.started.servers import MariaDB, RedisServer
from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.procfile import PROJECT_DIR

PAGE = PROJECT_DIR / "docs" / "scaling.md"
FIGURES = PROJECT_DIR / "docs" / "scaling.json"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
HOSTS = (1, 2, 4, 8)
BULK = 500
POSTS, CLIENTS = 4000, 8
TICKS = os.sysconf("SC_CLK_TCK")
PARTS = ("web", "worker", "mirror", "redis", "mariadb")
RATES = (10_000, 100_000, 1_000_000)
BUSY = 0.6  # of a core in the long run; the rest is for peaks and failovers


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time of living processes and of their ended children."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICKS


class Meter:
    """Return the CPU seconds by part between two measurements."""

    def __init__(self, stack: ProcfileStack, workers: list[str]) -> None:
        self.stack, self.workers = stack, workers
        self.before = self._look()

    def read(self) -> dict[str, float]:
        return {part: value - self.before[part] for part, value in self._look().items()}

    def _look(self) -> dict[str, float]:
        roles = {"web": ["web"], "worker": self.workers, "mirror": ["mirror"]}
        used = {
            part: cpu_seconds([pid for role in names for pid in self.stack.pids(role)]) for part, names in roles.items()
        }
        return used | {
            "redis": cpu_seconds([self.stack.redis_server.pid]),
            "mariadb": cpu_seconds([self.stack.database.pid]),
        }


def enqueue(stack: ProcfileStack, tasks: int) -> None:
    body = {"tasks": [{"name": "upload", "params": {"numRecords": 1}}] * BULK}
    for _ in range(tasks // BULK):
        answer = stack.post("/tasks/bulk", body, timeout_seconds=60)
        assert answer.status == 201, answer.body


def count_ended(stack: ProcfileStack) -> int:
    return int(stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord WHERE status = 'finished'")[0][0])


def drain(stack: ProcfileStack, hosts: int, tasks: int) -> dict[str, Any]:
    """Let `hosts` worker hosts drain a full queue; count until the last task row is mirrored."""
    already = count_ended(stack)
    enqueue(stack, tasks)
    time.sleep(1)  # lets the mirror apply the starts
    names = [f"host{number}" for number in range(1, hosts + 1)]
    for name in names:
        stack.start_role(name, command="python manage.py workers 1")
    stack.wait_for(lambda: count_ended(stack) > already, deadline_seconds=60, what="the first tasks end")
    first, began, meter = count_ended(stack), time.monotonic(), Meter(stack, names)
    stack.wait_for(lambda: count_ended(stack) >= already + tasks, deadline_seconds=900, what="the queue is drained")
    seconds, used = time.monotonic() - began, meter.read()
    counted = already + tasks - first
    for name in names:
        stack.stop_role(name)
    return {
        "hosts": hosts,
        "tasks_per_second": round(counted / seconds),
        "cores_used": round(sum(used.values()) / seconds, 2),
        "cpu_us_per_task": {part: round(used[part] / counted * 1e6) for part in PARTS if part != "web"},
    }


def measure_posts(stack: ProcfileStack) -> dict[str, int]:
    """Measure the cost of accepting a task in web and Redis: concurrent clients on kept connections, no workers."""
    body = json.dumps({"name": "upload", "params": {"numRecords": 1}})

    def post(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
        for _ in range(number):
            connection.request("POST", "/tasks", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            assert response.status == 201, response.status
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(post, [20] * CLIENTS))
        meter = Meter(stack, [])
        list(clients.map(post, [POSTS // CLIENTS] * CLIENTS))
    used = meter.read()
    return {part: round(used[part] / POSTS * 1e6) for part in ("web", "redis")}


def model(costs: dict[str, float]) -> list[dict[str, Any]]:
    """Return the cores, and the single-writer servers, that each rate needs. `costs` in µs of CPU a task."""
    rows = []
    for rate in RATES:
        cores = {part: math.ceil(rate * cost / 1e6 / BUSY) for part, cost in costs.items()}
        rows.append({"rate": rate, **cores, "all": sum(cores.values())})
    return rows


def main() -> None:
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    database, redis_server = MariaDB(), RedisServer()
    # Without the other roles, which these tasks do not use.
    stack = ProcfileStack(database=database, redis_server=redis_server, environment={"RESULT_TTL_SECONDS": "60"})
    stack._commands = {role: stack._commands[role] for role in ("web", "mirror")}
    try:
        database.start()
        redis_server.start()
        stack.start()
        drained = [drain(stack, hosts, tasks) for hosts in HOSTS]
        posted = measure_posts(stack)
    finally:
        stack.close()
        database.remove()
        redis_server.remove()
    costs = {
        "web": posted["web"],
        **{part: min(row["cpu_us_per_task"][part] for row in drained) for part in ("worker", "mirror", "mariadb")},
        "redis": posted["redis"] + min(row["cpu_us_per_task"]["redis"] for row in drained),
    }
    outcome = {"at": str(datetime.now(UTC).date()), "tasks": tasks, "cores": os.cpu_count(), "drained": drained,
               "posted": posted, "costs_us": costs, "model": model(costs)}  # fmt: skip
    print(json.dumps(outcome, indent=1))
    FIGURES.write_text(json.dumps(outcome, indent=1) + "\n")
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables(outcome)}\n\n{END}{rest.partition(END)[2]}")


def tables(outcome: dict[str, Any]) -> str:
    lines = [
        f"Measured {outcome['at']} on {outcome['cores']} cores (shared), {outcome['tasks']} tasks of one record each time.",
        "",
        "| worker hosts | tasks/s | cores in use, all parts | worker µs | mirror µs | Redis µs | MariaDB µs |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in outcome["drained"]:
        used = row["cpu_us_per_task"]
        lines.append(
            f"| {row['hosts']} | {row['tasks_per_second']} | {row['cores_used']} | {used['worker']} | {used['mirror']} | "
            f"{used['redis']} | {used['mariadb']} |"
        )
    costs = outcome["costs_us"]
    said = ", ".join(f"{part} {costs[part]}" for part in PARTS)
    lines += [
        "",
        f"One task costs, in µs of a CPU: {said}. Web's cost is that of a single POST.",
        "",
        f"Cores that a rate needs, each {BUSY:.0%} busy:",
        "",
        f"| tasks/s | {' | '.join(PARTS)} | all |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in outcome["model"]:
        lines.append(f"| {row['rate']:,} | {' | '.join(str(row[part]) for part in PARTS)} | {row['all']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
