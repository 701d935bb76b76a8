"""Bad records in an import while workers are killed: `python -m tests.chaos.failing_records --rows 1000000 --bad 1000`.

Owns the file, its bad records, and the comparison of the list and the table with what they must be; then it corrects the
list and imports it. LONGTASKS_TEST_STACK=embedded uses SQLite.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import random
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from loadtests.started.servers import IS_EMBEDDED
from loadtests.started.stack import ProcfileStack
from tests.chaos.repeated_kills import kill_workers
from tests.chaos.started_stack import started_stack

NAME = "import_products"
COLUMNS = ("sku", "name", "price", "stock")
ROWS_A_READ = 50_000
REFUSED = "refused by the table"  # the name of a product that a trigger refuses: only halving finds its record
_TRIGGER = (
    "CREATE TRIGGER refuse_name BEFORE INSERT ON products FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'refused') "
    f"WHERE NEW.name = '{REFUSED}'; END"
    if IS_EMBEDDED
    else "CREATE TRIGGER refuse_name BEFORE INSERT ON products FOR EACH ROW IF NEW.name = "
    f"'{REFUSED}' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF"
)
Row = tuple[str, str, str, int]


@dataclass(frozen=True)
class Records:
    """The records of the file. Of the bad ones each fourth fails for the same reason."""

    number: int
    bad: tuple[int, ...]

    def write(self) -> Iterator[str]:
        """Yield the lines of the file."""
        kinds = {position: index % 4 for index, position in enumerate(self.bad)}
        yield ",".join(COLUMNS) + "\n"
        for position in range(self.number):
            kind = kinds.get(position)
            sku, name, price, stock = make_row(position)
            if kind == 2:
                yield f"{sku},{name}\n"
                continue
            price = "cheap" if kind == 0 else price
            yield f"{sku},{REFUSED if kind == 1 else name},{price},{-5 if kind == 3 else stock}\n"

    def list_good(self) -> Iterator[tuple[int, *Row]]:
        """Yield position and row of each good record."""
        bad = set(self.bad)
        for position in range(self.number):
            if position not in bad:
                yield position, *make_row(position)


def choose_records(*, number: int, bad: int, shard_records: int) -> Records:
    """Return records with bad ones anywhere, and also first, last, and on both sides of the edge of a shard."""
    edges = {position for position in (0, 1, shard_records - 1, shard_records, number - 1) if 0 <= position < number}
    chosen = set(sorted(edges)[:bad])
    dice = random.Random(19)
    while len(chosen) < bad:
        chosen.add(dice.randrange(number))
    return Records(number, tuple(sorted(chosen)))


def make_row(position: int) -> Row:
    """Return the row of a good record; some begin like a formula."""
    return f"{'=' if position % 3 == 0 else ''}S{position}", f"Name {position}", f"{position % 90_000}.25", position % 9


def correct(listed: str) -> str:
    """Return the list of failed records as a person corrects it in a spreadsheet."""
    corrected = io.StringIO()
    reader = csv.DictReader(io.StringIO(listed, newline=""))
    writer = csv.DictWriter(corrected, reader.fieldnames or ())
    writer.writeheader()
    for record in reader:
        _, name, price, stock = make_row(int(record["failure_position"]))
        changes = {"name": name, "price": price, "stock": str(stock), "failure_incomplete": ""}
        writer.writerow(record | changes)
    return corrected.getvalue()


def run_import(
    stack: ProcfileStack, content: bytes, *, allowed: int, every_seconds: float
) -> tuple[dict[str, Any], int, float]:
    """Upload a file and import it while workers are killed. Returns the ended task, the number of kills, and seconds."""
    stored = stack.post("/files?name=products.csv", content, headers={"Content-Type": "text/csv"}, timeout_seconds=120)
    assert stored.status == 201, stored
    began = time.monotonic()
    body = {"name": NAME, "params": {"file": stored.json["id"]}, "maxFailures": allowed}
    started = stack.post("/tasks", body)
    assert started.status == 201, started
    kills = kill_workers(stack, task_id=started.json["id"], every_seconds=every_seconds, deadline_seconds=3600)
    return stack.task(started.json["id"]), kills, time.monotonic() - began


def read_list(stack: ProcfileStack, task_id: str) -> list[dict[str, Any]]:
    """Return the list of failures, page by page, as a client reads it."""
    found, address = [], f"/tasks/{task_id}/failures?limit=1000"
    while address:
        page = stack.get(address).json
        found += page["failures"]
        address = page["next"]
    return found


def read_products(stack: ProcfileStack, task_id: str) -> Iterator[tuple[int, *Row]]:
    """Yield position and row of each product of a task in the order of the positions; duplicates follow each other."""
    key, after, read = uuid.UUID(task_id).hex, (-1, -1), ROWS_A_READ
    statement = (
        f"SELECT id, position, {', '.join(COLUMNS)} FROM products WHERE task_id = %s AND "
        "(position > %s OR (position = %s AND id > %s)) ORDER BY position, id LIMIT %s"
    )
    while read == ROWS_A_READ:
        rows = stack.sql(statement, key, after[0], after[0], after[1], ROWS_A_READ)
        read = len(rows)
        for _, position, sku, name, price, stock in rows:
            yield int(position), sku, name, f"{float(price):.2f}", int(stock)
        if rows:
            after = (rows[-1][1], rows[-1][0])


def digest(rows: Iterable[tuple[Any, ...]]) -> tuple[int, str]:
    """Return the number of rows and a digest of their values."""
    hashed, number = hashlib.sha256(), 0
    for row in rows:
        hashed.update(repr(row).encode())
        number += 1
    return number, hashed.hexdigest()


def find_faults(stack: ProcfileStack, task: dict[str, Any], records: Records) -> list[str]:
    """Return what differs in the table and the list after the first import; nothing if all is right."""
    bad, good = list(records.bad), records.number - len(records.bad)
    failures = read_list(stack, task["id"])
    kinds = [index % 4 for index in range(len(bad))]
    code = "IntegrityError" if IS_EMBEDDED else "OperationalError"
    compared: dict[str, tuple[Any, Any]] = {
        "status": (task["status"], "finished"),
        "progress": (task["progress"], {"done": records.number, "total": records.number, "isEstimate": False}),
        "counts": (task["counts"], {"products": good}),
        "failedRecords": (task["failedRecords"], len(bad)),
        "positions": ([each["position"] for each in failures], bad),
        "lines": ([each["line"] for each in failures], [position + 2 for position in bad]),
        "codes": ([each["code"] for each in failures], [code if kind == 1 else "RowRefused" for kind in kinds]),
        "complete": ([each["valuesAreExact"] for each in failures], [kind != 2 for kind in kinds]),
        "table": (digest(read_products(stack, task["id"])), digest(records.list_good())),
    }
    return [
        f"{what}: {str(found)[:300]}, not {str(right)[:300]}"
        for what, (found, right) in compared.items()
        if found != right
    ]


def find_faults_of_correction(stack: ProcfileStack, task: dict[str, Any], records: Records) -> list[str]:
    """Return what differs after the import of the corrected list."""
    expected = [(number, *make_row(position)) for number, position in enumerate(records.bad)]
    compared = {
        "status": (task["status"], "finished"),
        "failedRecords": (task["failedRecords"], 0),
        "table": (list(read_products(stack, task["id"])), expected),
    }
    return [
        f"{what}: {str(found)[:300]}, not {str(right)[:300]}"
        for what, (found, right) in compared.items()
        if found != right
    ]


def run(stack: ProcfileStack, records: Records, *, every_seconds: float) -> list[str]:
    """Import the file under kills, then its corrected list; print both results. Returns what is wrong."""
    stack.sql(_TRIGGER)
    content = "".join(records.write()).encode()
    task, kills, seconds = run_import(stack, content, allowed=len(records.bad), every_seconds=every_seconds)
    faults = find_faults(stack, task, records)
    print(
        f"{records.number:,} records, {len(records.bad):,} bad: {seconds:.1f} s, {records.number / seconds:,.0f} records/s, "
        f"{kills} kills, attempts {task['attempts']}, {task['counts']}, {task['failedRecords']} failed records: "
        f"{'; '.join(faults) or 'exact'}",
        flush=True,
    )
    answer = stack.get(f"/tasks/{task['id']}/failures?format=csv", timeout_seconds=120)
    corrected = correct(answer.body.decode()).encode()
    again, kills, seconds = run_import(stack, corrected, allowed=0, every_seconds=every_seconds)
    wrong = find_faults_of_correction(stack, again, records)
    print(
        f"the corrected list: {again['counts']}, {seconds:.1f} s, {kills} kills: {'; '.join(wrong) or 'exact'}",
        flush=True,
    )
    return faults + wrong


def make_environment(*, shard_records: int) -> dict[str, str]:
    return {"SHARD_RECORDS": str(shard_records), "RETRY_ATTEMPTS": "50"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.failing_records")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--bad", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--shard-records", type=int, default=100_000, help="0: one worker reads the file")
    options = parser.parse_args()
    records = choose_records(number=options.rows, bad=options.bad, shard_records=options.shard_records)
    environment = make_environment(shard_records=options.shard_records)
    with started_stack(workers=options.workers, environment=environment) as stack:
        return 1 if run(stack, records, every_seconds=options.every) else 0


if __name__ == "__main__":
    sys.exit(main())
