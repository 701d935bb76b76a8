"""An import of a big file while workers are killed: `python -m tests.chaos.imports --lines 1000000 --workers 4`.

Owns the file, the kills and the comparison of every row with its line. LONGTASKS_TEST_STACK=embedded uses SQLite.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from loadtests.started.stack import ProcfileStack
from tests.chaos.repeated_kills import kill_workers
from tests.chaos.started_stack import started_stack

NAME = "import_products"
ROWS_A_READ = 50_000
COLUMNS = ("position", "sku", "name", "category", "price", "stock")
FORMATS = ("csv", "csv.gz", "jsonl")


def make_rows(records: int) -> Iterator[tuple[int, str, str, str, str, int]]:
    """Yield the row that each record of a file becomes, in the order of COLUMNS; every third has a line break."""
    for number in range(records):
        name = f'Größe\r\n{number}, "x"' if number % 3 == 0 else f"Name {number}"
        yield number, f"S{number}", name, "a" if number % 2 else "", f"{number % 90_000}.25", number % 9


def write_file(path: Path, *, records: int) -> None:
    """Write the records in the format that the name says."""
    with cast(BinaryIO, gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else path.open("wb")) as file:
        if path.suffix == ".jsonl":
            for _, *values in make_rows(records):
                file.write(json.dumps(dict(zip(COLUMNS[1:], values, strict=True))).encode() + b"\n")
            return
        file.write(";".join(COLUMNS[1:]).encode() + b"\r\n")
        for _, sku, name, category, price, stock in make_rows(records):
            quoted = '"' + name.replace('"', '""') + '"'
            file.write(f"{sku};{quoted};{category};{price};{stock}\r\n".encode())


def digest_rows(rows: Iterator[tuple[Any, ...]]) -> tuple[int, str]:
    """Return the number of rows and a digest of their values."""
    digest, number = hashlib.sha256(), 0
    for position, sku, name, category, price, stock in rows:
        digest.update(repr((int(position), sku, name, category, f"{float(price):.2f}", int(stock))).encode())
        number += 1
    return number, digest.hexdigest()


def read_rows(stack: ProcfileStack, task_id: str) -> Iterator[tuple[Any, ...]]:
    """Yield all rows of a task in the order of their positions; equal positions one after the other."""
    key, after, read = uuid.UUID(task_id).hex, (-1, -1), ROWS_A_READ
    statement = (
        f"SELECT id, {', '.join(COLUMNS)} FROM products WHERE task_id = %s AND (position > %s OR (position = %s AND id > %s))"
        " ORDER BY position, id LIMIT %s"
    )
    while read == ROWS_A_READ:
        rows = stack.sql(statement, key, after[0], after[0], after[1], ROWS_A_READ)
        read = len(rows)
        for row in rows:
            yield row[1:]
        if rows:
            after = (rows[-1][1], rows[-1][0])


def start_import(stack: ProcfileStack, path: Path) -> str:
    """Upload a file and start its import as an operator does; return the task's id."""
    output = stack.manage("task", "start", NAME, "--file", str(path), "--json", timeout_seconds=600)
    return str(json.loads(output)["id"])


def find_faults(stack: ProcfileStack, task: dict[str, Any], *, records: int) -> list[str]:
    """Return what differs from exactly one row for each record; nothing if all is right."""
    expected: dict[str, tuple[Any, Any]] = {
        "status": (task["status"], "finished"),
        "progress": (task["progress"], {"done": records, "total": records, "isEstimate": False}),
        "counts": (task["counts"], {"products": records}),
        "rows and their digest": (digest_rows(read_rows(stack, task["id"])), digest_rows(make_rows(records))),
    }
    return [f"{what}: {found}, not {right}" for what, (found, right) in expected.items() if found != right]


def count_shards(stack: ProcfileStack, task_id: str) -> int:
    statement = "SELECT COUNT(*) FROM tasks_app_taskcheckpoint WHERE parent_id = %s"
    return int(stack.sql(statement, uuid.UUID(task_id).hex)[0][0])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.imports")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--shard-records", type=int, default=100_000, help="0: one worker reads the file")
    parser.add_argument("--formats", nargs="*", default=["csv"], choices=FORMATS)
    options = parser.parse_args()
    environment = {"SHARD_RECORDS": str(options.shard_records), "RETRY_ATTEMPTS": "50"}
    is_right = True
    with started_stack(workers=options.workers, environment=environment) as stack:
        for format_ in options.formats:
            path = stack.directory / f"products.{format_}"
            write_file(path, records=options.lines)
            began = time.monotonic()
            task_id = start_import(stack, path)
            kills = kill_workers(stack, task_id=task_id, every_seconds=options.every, deadline_seconds=3600)
            seconds = time.monotonic() - began
            task = stack.task(task_id)
            faults = find_faults(stack, task, records=options.lines)
            is_right &= not faults
            rate = task["progress"]["done"] / seconds
            print(
                f"{format_}: {path.stat().st_size:,} bytes, {seconds:.1f} s, {rate:,.0f} records/s, {kills} kills, "
                f"{count_shards(stack, task_id)} shards, attempts {task['attempts']}: {'; '.join(faults) or 'exact'}",
                flush=True,
            )
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
