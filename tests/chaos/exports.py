"""An export of a whole table while workers are killed: `python -m tests.chaos.exports --rows 1000000 --workers 4`.

Owns the comparison of the file with that of an export that nobody disturbed, byte by byte through its SHA-256, and with the
rows of the table. LONGTASKS_TEST_STACK=embedded uses SQLite.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import http.client
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.started.stack import ProcfileStack
from tests.chaos.collections import ENVIRONMENT, IDS_A_READ, kill_workers
from tests.chaos.started_stack import started_stack

NAME = "export_order_items"
_PIECE_BYTES = 1024 * 1024
_GENERATED = 20_000  # the rows beyond are copies of these, under other ids


@dataclass(frozen=True)
class Exported:
    """What an export has left, as its client sees it."""

    task: dict[str, Any]
    size: int
    sha256: str  # of the bytes that were downloaded
    rows: int  # lines behind the header
    ids: str  # the digest of the first column


def fill(stack: ProcfileStack, *, rows: int) -> int:
    """Insert order items with gaps among their ids; return their number, which is `rows`."""
    made = min(rows, _GENERATED)
    stack.manage("generate_fake_data", "--records", str(made), timeout_seconds=1200)
    [(made, low, high)] = stack.sql("SELECT COUNT(*), MIN(id), MAX(id) FROM order_items")
    columns = "task_id, position, user_id, product_id, quantity, unit_price, total, ordered_at"
    shift = high - low + 1_000
    while made < rows:
        copied = min(made, rows - made)
        stack.sql(
            f"INSERT INTO order_items (id, {columns}) SELECT id + {shift}, {columns} FROM order_items ORDER BY id LIMIT {copied}"
        )
        made, shift = made + copied, 2 * shift
    return made


def start_export(stack: ProcfileStack) -> str:
    """Start an export of all order items; return its id."""
    answer = stack.post("/tasks", {"name": NAME, "params": {}})
    if answer.status != 201:
        raise RuntimeError(f"the export was not started: {answer.status} {answer.body!r}")
    return str(answer.json["id"])


def download(stack: ProcfileStack, task: dict[str, Any]) -> Exported:
    """Download the artifact of a finished export by its link."""
    [artifact] = task["artifacts"]
    digest, size = hashlib.sha256(), 0
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=120)
    try:
        connection.request("GET", artifact["url"])
        answer = connection.getresponse()

        def lines() -> Iterator[str]:
            nonlocal size
            rest = b""
            while data := answer.read(_PIECE_BYTES):
                digest.update(data)
                size += len(data)
                *whole, rest = (rest + data).split(b"\n")
                yield from (f"{line.decode()}\n" for line in whole)
            if rest:
                yield rest.decode()

        ids, rows = hashlib.sha256(), -1
        for row in csv.reader(lines()):
            rows += 1
            if rows:
                ids.update(f"{row[0]}\n".encode())
    finally:
        connection.close()
    return Exported(task, size, digest.hexdigest(), rows, ids.hexdigest())


def digest_ids(stack: ProcfileStack) -> str:
    """Return the digest of the ids of all order items, in their order, as `Exported.ids` has it."""
    digest, after = hashlib.sha256(), -1
    while rows := stack.sql("SELECT id FROM order_items WHERE id > %s ORDER BY id LIMIT %s", after, IDS_A_READ):
        for (key,) in rows:
            digest.update(f"{key}\n".encode())
        after = rows[-1][0]
    return digest.hexdigest()


def find_faults(found: Exported, expected: Exported, *, rows: int) -> list[str]:
    """Return what differs from the export that nobody disturbed; nothing if all is right."""
    [artifact] = found.task["artifacts"]
    pairs = {
        "status": (found.task["status"], "finished"),
        "rows of the file": (found.rows, rows),
        "rows counted": (found.task["counts"], {"rows": rows}),
        "progress": (found.task["progress"]["done"], rows),
        "result": (found.task["result"], {"rows": rows, "bytes": expected.size}),
        "bytes": (found.size, expected.size),
        "SHA-256": (found.sha256, expected.sha256),
        "SHA-256 of the artifact": (artifact["sha256"], found.sha256),
        "ids": (found.ids, expected.ids),
    }
    return [f"{what}: {value}, not {right}" for what, (value, right) in pairs.items() if value != right]


def list_stored(stack: ProcfileStack) -> list[Path]:
    """Return the files in the storage, after what has expired was deleted."""
    stack.sql("UPDATE tasks_app_taskfile SET expires_at = '2000-01-01' WHERE is_complete = 0")
    stack.manage("prune", "--older-than", "30d", timeout_seconds=600)
    return [path for path in (stack.directory / "files").rglob("*") if path.is_file()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.exports")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--shard-records", type=int, default=100_000, help="0: one worker writes the whole file")
    parser.add_argument("--pause-ms", type=int, default=0, help="between two chunks, for more kills in each export")
    options = parser.parse_args()
    environment = {
        **ENVIRONMENT,
        "SHARD_RECORDS": str(options.shard_records),
        "RETRY_ATTEMPTS": "50",
        "PAUSE_MS": str(options.pause_ms),
    }
    with started_stack(workers=options.workers, environment=environment) as stack:
        rows = fill(stack, rows=options.rows)
        began = time.monotonic()
        reference = download(stack, stack.wait_for_end(start_export(stack), deadline_seconds=3600))
        print(f"undisturbed: {rows:,} rows, {reference.size:,} bytes, {time.monotonic() - began:.1f} s", flush=True)
        faults = find_faults(reference, reference, rows=rows)
        if reference.ids != digest_ids(stack):
            faults.append("the ids of the file are not those of the table")
        began = time.monotonic()
        task_id = start_export(stack)
        kills = kill_workers(stack, task_id=task_id, every_seconds=options.every, deadline_seconds=3600)
        seconds = time.monotonic() - began
        found = download(stack, stack.task(task_id))
        faults += find_faults(found, reference, rows=rows)
        shards = stack.sql(
            "SELECT COUNT(*) FROM tasks_app_taskcheckpoint WHERE parent_id = %s", uuid.UUID(task_id).hex
        )[0][0]
        stored = list_stored(stack)
        if len(stored) != 2:
            faults.append(f"{len(stored)} files in the storage, not 2")
        print(
            f"killed: {seconds:.1f} s, {rows / seconds:,.0f} rows/s, {kills} kills, {shards} shards, attempts "
            f"{found.task['attempts']}, SHA-256 {found.sha256}"
        )
        print(f"  {'; '.join(faults) or 'the same bytes'}", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
