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

from catalog.phone_numbers import to_e164
from loadtests.started.stack import ENDED, ProcfileStack
from tests.chaos.faults import find_victim
from tests.chaos.started_stack import started_stack

NAMES = ("add_one", "normalise_user_phones", "deduplicate_users", "prune_order_items")
COPIES = 10**12  # the id of a user's copy is so much higher
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.support.engine_settings"}
IDS_A_READ = 50_000
ITEM_COLUMNS = ("task_id", "position", "user_id", "product_id", "quantity", "unit_price", "total", "ordered_at")


@dataclass(frozen=True)
class Filled:
    """What the tables held before the tasks, and must hold after them."""

    users: int
    items: int
    copies: int  # of users, before `deduplicate_users`
    moved_items: int  # order items of those copies
    cutoff: str  # order items that are older are pruned
    old_items: int
    phones: str  # the digest of the users' phones after `normalise_user_phones`

    def params_of(self, name: str) -> dict[str, Any]:
        return {"orderedBefore": f"{self.cutoff.replace(' ', 'T')}Z"} if name == "prune_order_items" else {}

    def rows_of(self, name: str) -> int:
        return {
            "add_one": self.items,
            "normalise_user_phones": self.users,
            "deduplicate_users": self.users + self.copies,
            "prune_order_items": self.old_items,
        }[name]


def fill(stack: ProcfileStack, *, rows: int) -> Filled:
    """Insert users and their order items, with gaps among the items, and keep a copy of the items."""
    stack.manage("generate_fake_data", "--records", str(rows), timeout_seconds=3600)
    stack.sql("DELETE FROM order_items WHERE (position & 3) = 1 AND position >= %s", rows // 2)
    stack.sql("DELETE FROM order_items WHERE position >= %s AND position < %s", rows // 5, rows // 4)
    stack.sql("CREATE TABLE items_before AS SELECT * FROM order_items")
    [(items,)] = stack.sql("SELECT COUNT(*) FROM order_items")
    [(cutoff,)] = stack.sql("SELECT ordered_at FROM order_items ORDER BY ordered_at LIMIT 1 OFFSET %s", items * 3 // 4)
    [(old,)] = stack.sql("SELECT COUNT(*) FROM order_items WHERE ordered_at < %s", str(cutoff))
    phones = digest_phones(stack, lambda phone: to_e164(phone, country_code=1) or phone)
    copies = (rows + 3) // 4 + (rows + 15) // 16
    [(moved,)] = stack.sql(f"SELECT COUNT(*) FROM order_items WHERE {_MOVED}")
    return Filled(rows, items, copies, moved, str(cutoff), old, phones)


def digest_phones(stack: ProcfileStack, change: Callable[[str], str] = str) -> str:
    """Return a digest of all users' phones, each changed by `change`."""
    digest, after = hashlib.sha256(), -1
    while rows := stack.sql("SELECT id, phone FROM users WHERE id > %s ORDER BY id LIMIT %s", after, IDS_A_READ):
        for key, phone in rows:
            digest.update(f"{key}:{change(phone)}\n".encode())
        after = rows[-1][0]
    return digest.hexdigest()


_MOVED = "(position & 7) = 0"  # order items that belong to a copy of their user


def prepare(stack: ProcfileStack, name: str) -> None:
    """Bring the tables into the state that a task finds."""
    if name == "deduplicate_users":
        columns = "task_id, position, first_name, last_name, email, phone, city, birth_date, created_at"
        for copy, mask in ((1, 3), (2, 15)):
            stack.sql(
                f"INSERT INTO users (id, {columns}) SELECT id + {copy * COPIES}, {columns} FROM users "
                f"WHERE id < {COPIES} AND (position & {mask}) = 0"
            )
        stack.sql(f"UPDATE order_items SET user_id = user_id + {COPIES} WHERE {_MOVED}")


def clean_up(stack: ProcfileStack, name: str) -> None:
    """Undo what the next tasks do not expect."""
    if name == "add_one":
        stack.sql("UPDATE order_items SET quantity = quantity - 1")


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
        "deduplicate_users": {
            "kept_users": filled.users,
            "deleted_users": filled.copies,
            "moved_order_items": filled.moved_items,
        },
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
    if name == "deduplicate_users":
        return {
            "users": (count("users"), filled.users),
            "copies": (count(f"users WHERE id >= {COPIES}"), 0),
            "true items": (count(f"order_items a JOIN items_before b ON a.id = b.id WHERE {equal}"), filled.items),
        }
    copies = f"archived_order_items a JOIN items_before b ON a.id = b.id WHERE {equal}"
    return {
        "archived": (count("archived_order_items"), filled.old_items),
        "true copies": (count(copies), filled.old_items),
        "left": (count("order_items"), filled.items - filled.old_items),
        "in both": (count("archived_order_items a JOIN order_items o ON a.id = o.id"), 0),
    }


def run_task(stack: ProcfileStack, name: str, filled: Filled, *, every_seconds: float) -> bool:
    """Run one task under kills and print what it did; return whether its tables are right."""
    prepare(stack, name)
    began = time.monotonic()
    task_id = start_task(stack, name, filled)
    kills = kill_workers(stack, task_id=task_id, every_seconds=every_seconds, deadline_seconds=3600)
    seconds = time.monotonic() - began
    task = stack.task(task_id)
    [(shards,)] = stack.sql(
        "SELECT COUNT(*) FROM tasks_app_taskcheckpoint WHERE parent_id = %s", uuid.UUID(task_id).hex
    )
    faults = find_faults(stack, name, task, filled)
    done = task["progress"]["done"]
    print(
        f"| {name} | {done:,} | {shards or 1} | {kills} | {seconds:.0f} | {done / seconds:,.0f} | "
        f"{'; '.join(faults) or 'exact'} |",
        flush=True,
    )
    clean_up(stack, name)
    return not faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.collections")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--shard-records", type=int, default=100_000)
    parser.add_argument("--names", nargs="*", default=NAMES, choices=NAMES)
    options = parser.parse_args()
    environment = {**ENVIRONMENT, "SHARD_RECORDS": str(options.shard_records), "RETRY_ATTEMPTS": "50"}
    is_right = True
    with started_stack(workers=options.workers, environment=environment) as stack:
        filled = fill(stack, rows=options.rows)
        print(
            f"{filled.users:,} users, {filled.items:,} order items, {filled.old_items:,} of them old, {filled.copies:,} "
            f"copies of users; {stack.database.name}, {options.workers} workers, one killed every {options.every:g} s\n\n"
            "| task | rows | shards | kills | seconds | rows/s | tables and counts |\n|---|---|---|---|---|---|---|",
            flush=True,
        )
        for name in options.names:
            is_right &= run_task(stack, name, filled, every_seconds=options.every)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
