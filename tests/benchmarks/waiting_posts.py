"""Many POSTs that wait for their tasks' ends: prints tables (Markdown) of their cost for web, and of others' times meanwhile.

`python -m tests.benchmarks.waiting_posts [--waiters 1000] [--rounds 3] [--seconds 8] [--rate 50]`. The production settings
on a MariaDB and a Redis of its own. A queue is paused, so that all waiters wait at once; others send requests at a fixed rate,
as in good_clients.py, alternately without and with the waiters, and in the calibration against a server that does nothing.
Then the queue is resumed, and every waiter must get a 201 with the rows of its task.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.started.servers import create_servers
from loadtests.started.stack import ProcfileStack
from tests.benchmarks.good_clients import CALIBRATION, PRODUCTION, Measured, ask_at_rate, calibrate, p99
from tests.benchmarks.http_connection import Connection, compose

WAIT_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources that web's processes use together."""

    threads: int
    rss_mib: float
    sockets: int

    @staticmethod
    def read(stack: ProcfileStack) -> Usage:
        threads = rss_kib = sockets = 0
        for pid in stack.child_pids("web"):
            status = dict(
                line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
            )
            threads += int(status["Threads"])
            rss_kib += int(status["VmRSS"].split()[0])
            sockets += sum(1 for fd in os.scandir(f"/proc/{pid}/fd") if is_socket(fd.path))
        return Usage(threads, rss_kib / 1024, sockets)


def is_socket(path: str) -> bool:
    try:
        return os.readlink(path).startswith("socket:")
    except OSError:
        return False


async def send_waiters(stack: ProcfileStack, token: str, *, count: int) -> list[asyncio.Task[tuple[int, bytes]]]:
    """Send one waiting POST for each client, on a connection of its own; returns before the answers."""
    body = json.dumps({"name": "upload", "params": {"numRecords": 1}, "priority": "high"}).encode()
    request = compose("POST", f"/tasks?wait={WAIT_SECONDS}", token, body)
    return [asyncio.create_task(Connection(stack.port).ask(request)) for _ in range(count)]


async def measure_round(
    stack: ProcfileStack, *, token: str, task_id: str, count: int, rate: float, seconds: float, results: dict[str, Any]
) -> None:
    usages: dict[str, list[Usage]] = results["usages"]
    seen: dict[str, Measured] = results["seen"]

    async def ask(case: str) -> None:
        measured = await ask_at_rate(stack.port, token=token, task_id=task_id, rate=rate, seconds=seconds)
        note(seen, case, measured)

    loop = asyncio.get_running_loop()
    await ask("without waiters")
    usages.setdefault("before", []).append(Usage.read(stack))
    await loop.run_in_executor(None, stack.manage, "queue", "pause", "high")
    waiters = await send_waiters(stack, token, count=count)
    redis = stack.redis()
    while redis.llen("rq:queue:high") < count:
        await asyncio.sleep(0.05)
    await ask(f"with {count} waiters")
    usages.setdefault(f"while {count} wait", []).append(Usage.read(stack))
    began = time.monotonic()
    await loop.run_in_executor(None, stack.manage, "queue", "resume", "high")
    answers = await asyncio.gather(*waiters)
    results["answered_seconds"].append(time.monotonic() - began)
    for status, text in answers:
        body = json.loads(text)
        assert (status, body["status"], body["insertedRecords"]) == (
            201,
            "finished",
            {"users": 1, "products": 1, "order_items": 1},
        ), body
    usages.setdefault("after", []).append(Usage.read(stack))


def note(seen: dict[str, Measured], case: str, measured: Measured) -> None:
    one = seen.setdefault(case, Measured())
    one.milliseconds += measured.milliseconds
    one.p99s.append(p99(measured.milliseconds))
    one.statuses += measured.statuses


def main(*, waiters: int, rounds: int, seconds: float, rate: float) -> None:
    database, redis_server = create_servers()
    stack = None
    try:
        for server in (database, redis_server):
            server.start()
        stack = ProcfileStack(database=database, redis_server=redis_server, environment=PRODUCTION)
        stack.start()
        made = json.loads(stack.manage("token", "create", "good", "--scope", "write", "--json").splitlines()[-1])
        token = made["token"]
        started = stack.post("/tasks", {"name": "upload"}, headers={"Authorization": f"Bearer {token}"})
        assert started.status == 201, started
        results: dict[str, Any] = {"usages": {}, "seen": {}, "answered_seconds": []}
        for _ in range(rounds):
            note(results["seen"], CALIBRATION, calibrate(rate=rate, seconds=seconds))
            asyncio.run(
                measure_round(
                    stack,
                    token=token,
                    task_id=started.json["id"],
                    count=waiters,
                    rate=rate,
                    seconds=seconds,
                    results=results,
                )
            )
        print_tables(results, rate=rate, rounds=rounds, seconds=seconds)
    finally:
        if stack is not None:
            stack.close()
        database.remove()
        redis_server.remove()


def print_tables(results: dict[str, Any], *, rate: float, rounds: int, seconds: float) -> None:
    print(
        f"Others: {rate:g} requests a second, {rounds} rounds of {seconds:g} s for each case; {os.cpu_count()} cores.\n"
    )
    print("| others | requests | not 200 or 201 | p50, ms | p99, ms | p99 of the rounds, ms |")
    print("| --- | --: | --: | --: | --: | --: |")
    for case, seen in results["seen"].items():
        others = seen.statuses.total() - seen.statuses["200"] - seen.statuses["201"]
        print(
            f"| {case} | {len(seen.milliseconds):,} | {others} | {statistics.median(seen.milliseconds):.1f} |"
            f" {p99(seen.milliseconds):.1f} | {min(seen.p99s):.1f} to {max(seen.p99s):.1f} |"
        )
    print("\n| web's processes together | threads | sockets | resident, MiB |")
    print("| --- | --: | --: | --: |")
    for case, usages in results["usages"].items():
        print(
            f"| {case} | {max(usage.threads for usage in usages)} | {max(usage.sockets for usage in usages)} |"
            f" {', '.join(f'{usage.rss_mib:.0f}' for usage in usages)} |"
        )
    shown = ", ".join(f"{each:.1f}" for each in results["answered_seconds"])
    print(f"\nAfter `queue resume` all waiters had their 201 with one row in each table within: {shown} s.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiters", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rate", type=float, default=50)
    main(**vars(parser.parse_args()))
