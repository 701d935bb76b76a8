"""Back-fills and clean-ups of a whole table while workers are killed: `python -m tests.chaos.collections --rows 1000000`.

Owns the rows, the kills and the comparison of every row with what it must be. LONGTASKS_TEST_STACK=embedded uses SQLite.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from catalog.task_types.normalise_user_phones import to_e164
from loadtests.started.servers import create_servers
from loadtests.started.stack import ENDED, ProcfileStack
from tests.chaos.faults import find_victim

NAMES = ("add_one", "normalise_user_phones", "prune_order_items")
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.support.engine_settings"}
IDS_A_READ = 50_000
ITEM_COLUMNS = ("task_id", "position", "user_id", "product_id", "quantity", "unit_price", "total", "ordered_at")


@dataclass(frozen=True)
class Filled:
    """What the tables held before the tasks, and must hold after them."""

    users: int
    items: int
    cutoff: str  # order items that are older are pruned
    old_items: int
    phones: str  # the digest of the users' phones after `normalise_user_phones`

    def params_of(self, name: str) -> dict[str, Any]:
        return {"orderedBefore": f"{self.cutoff.replace(' ', 'T')}Z"} if name == "prune_order_items" else {}

    def rows_of(self, name: str) -> int:
        return {"add_one": self.items, "normalise_user_phones": self.users, "prune_order_items": self.old_items}[name]


def fill(stack: ProcfileStack, *, rows: int) -> Filled:
    """Insert users and their order items, with gaps among the items, and keep a copy of the items."""
    stack.manage("generate_fake_data", "--records", str(rows), timeout_seconds=1200)
    stack.sql("DELETE FROM order_items WHERE (position & 3) = 1 AND position >= %s", rows // 2)
    stack.sql("DELETE FROM order_items WHERE position >= %s AND position < %s", rows // 5, rows // 4)
    stack.sql("CREATE TABLE items_before AS SELECT * FROM order_items")
    [(items,)] = stack.sql("SELECT COUNT(*) FROM order_items")
    [(cutoff,)] = stack.sql("SELECT ordered_at FROM order_items ORDER BY ordered_at LIMIT 1 OFFSET %s", items * 3 // 4)
    [(old,)] = stack.sql("SELECT COUNT(*) FROM order_items WHERE ordered_at < %s", str(cutoff))
    phones = digest_phones(stack, lambda phone: to_e164(phone, country_code=1) or phone)
    return Filled(rows, items, str(cutoff), old, phones)


def digest_phones(stack: ProcfileStack, change: Callable[[str], str] = str) -> str:
    """Return a digest of all users' phones, each changed by `change`."""
    digest, after = hashlib.sha256(), -1
    while rows := stack.sql("SELECT id, phone FROM users WHERE id > %s ORDER BY id LIMIT %s", after, IDS_A_READ):
        for key, phone in rows:
            digest.update(f"{key}:{change(phone)}\n".encode())
        after = rows[-1][0]
    return digest.hexdigest()


def start_task(stack: ProcfileStack, name: str, filled: Filled) -> str:
    """Start a task as an operator does; return its id."""
    output = stack.manage("task", "start", name, "--params", json.dumps(filled.params_of(name)), "--json")
    return str(json.loads(output)["id"])


def kill_workers(stack: ProcfileStack, *, task_id: str, every_seconds: float, deadline_seconds: float) -> int:
    """Kill a worker that runs a task, again and again until the task has ended; return how many were killed."""
    dice, kills, ends_at = random.Random(1), 0, time.monotonic() + deadline_seconds
    while time.monotonic() < ends_at:
        due = time.monotonic() + every_seconds
        while time.monotonic() < due:
            if stack.task(task_id)["status"] in ENDED:
                return kills
            time.sleep(0.05)
        if victim := find_victim(stack, dice):
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                kills += 1
    return kills


def find_faults(stack: ProcfileStack, name: str, task: dict[str, Any], filled: Filled) -> list[str]:
    """Return what differs from exactly one visit of each row; nothing if all is right."""
    number = filled.rows_of(name)
    counts = {
        "add_one": {"changed": number},
        "normalise_user_phones": task["counts"],
        "prune_order_items": {"archived_order_items": number, "deleted_order_items": number},
    }[name]
    expected: dict[str, tuple[Any, Any]] = {
        "status": (task["status"], "finished"),
        "progress": (task["progress"], {"done": number, "total": number, "isEstimate": False}),
        "counts": (task["counts"], counts),
    }
    expected |= _compare_tables(stack, name, task, filled)
    return [f"{what}: {found}, not {right}" for what, (found, right) in expected.items() if found != right]


def _compare_tables(
    stack: ProcfileStack, name: str, task: dict[str, Any], filled: Filled
) -> dict[str, tuple[Any, Any]]:
    def count(what: str) -> int:
        return int(stack.sql(f"SELECT COUNT(*) FROM {what}")[0][0])

    if name == "normalise_user_phones":
        return {
            "phones": (digest_phones(stack), filled.phones),
            "sum of the counts": (sum(task["counts"].values()), filled.users),
        }
    if name == "add_one":
        same = "order_items o JOIN items_before b ON o.id = b.id WHERE o.quantity = b.quantity + 1"
        return {"items": (count("order_items"), filled.items), "items with one more": (count(same), filled.items)}
    equal = " AND ".join(f"a.{column} = b.{column}" for column in ITEM_COLUMNS)
    copies = f"archived_order_items a JOIN items_before b ON a.id = b.id WHERE {equal}"
    return {
        "archived": (count("archived_order_items"), filled.old_items),
        "true copies": (count(copies), filled.old_items),
        "left": (count("order_items"), filled.items - filled.old_items),
        "in both": (count("archived_order_items a JOIN order_items o ON a.id = o.id"), 0),
    }


def restore_items(stack: ProcfileStack) -> None:
    """Undo `add_one`, for the next task."""
    stack.sql("UPDATE order_items SET quantity = quantity - 1")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.collections")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--shard-records", type=int, default=100_000)
    parser.add_argument("--names", nargs="*", default=NAMES, choices=NAMES)
    options = parser.parse_args()
    os.environ["ENV_FILE"] = ""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    database, redis_server = create_servers()
    environment = {**ENVIRONMENT, "SHARD_RECORDS": str(options.shard_records), "RETRY_ATTEMPTS": "50"}
    stack = None
    is_right = True
    try:
        for server in (database, redis_server):
            server.start()
        stack = ProcfileStack(
            database=database, redis_server=redis_server, environment=environment, workers=options.workers
        )
        stack.start()
        filled = fill(stack, rows=options.rows)
        print(f"{filled.users:,} users, {filled.items:,} order items, {filled.old_items:,} of them old")
        for name in options.names:
            began = time.monotonic()
            task_id = start_task(stack, name, filled)
            kills = kill_workers(stack, task_id=task_id, every_seconds=options.every, deadline_seconds=3600)
            seconds = time.monotonic() - began
            task = stack.task(task_id)
            shards = stack.sql(
                "SELECT COUNT(*) FROM tasks_app_taskcheckpoint WHERE parent_id = %s", uuid.UUID(task_id).hex
            )[0][0]
            faults = find_faults(stack, name, task, filled)
            is_right &= not faults
            rate = task["progress"]["done"] / seconds
            print(
                f"{name}: {seconds:.1f} s, {rate:,.0f} rows/s, {kills} kills, {shards} shards, attempts {task['attempts']}"
            )
            print(f"  {task['counts']}: {'; '.join(faults) or 'exact'}", flush=True)
            if name == "add_one":
                restore_items(stack)
    finally:
        if stack is not None:
            stack.close()
        for server in (redis_server, database):
            server.remove()
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
