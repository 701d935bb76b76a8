"""An import of 1,000,000 lines beside django-import-export and LOAD DATA: lines a second, and memory. MariaDB only.

`python -m tests.benchmarks.imports [--lines N] [--workers 1 2] [--only NAME …]`. A MariaDB and a Redis of its own; every
way imports the same CSV file into the same table, which is empty at first, and its rows are compared with the file. The
memory is the greatest resident size of the process that imports: of a task that of its workers, once after a tenth of the
file and once at the end, which shows whether it grows. Prints a table in Markdown; exits with 1 if a row is wrong.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from loadtests.started.databases import MariaDB
from loadtests.started.redis_server import RedisServer
from loadtests.started.stack import ENDED, ProcfileStack
from longtasks.local_stack.procfile import PROJECT_DIR
from tests.chaos.imports import digest_rows, make_rows, read_rows, start_import, write_file

TASK: Final = uuid.UUID("01a00000-0000-7000-8000-000000000001")  # of the rows that no task writes
LOAD: Final = """
LOAD DATA LOCAL INFILE %s INTO TABLE products CHARACTER SET utf8mb4
FIELDS TERMINATED BY ';' OPTIONALLY ENCLOSED BY '"' ESCAPED BY '' LINES TERMINATED BY '\\r\\n' IGNORE 1 LINES
(sku, name, category, price, stock)
SET id = (@row := @row + 1), position = @row - 1, task_id = %s, created_at = NOW(6)
"""


class Measured(NamedTuple):
    """What one way has taken, and the task whose rows it has written."""

    task_id: str
    seconds: float
    memory: str


def read_size(pids: list[int], name: str) -> int:
    """Return the greatest of a size in MiB of these processes: VmRSS or VmHWM."""
    sizes = [0]
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        sizes += [int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{name}:")]
    return max(sizes)


def import_by_task(stack: ProcfileStack, path: Path, *, lines: int) -> Measured:
    """Start `import_products`, and wait for its end; the time includes the upload."""
    began, early = time.perf_counter(), 0
    task_id = start_import(stack, path)
    while (task := stack.task(task_id))["status"] not in ENDED:
        if not early and task["progress"]["done"] >= lines // 10:
            early = read_size(stack.child_pids("worker"), "VmHWM")
        time.sleep(0.1)
    assert task["status"] == "finished", task
    seconds = time.perf_counter() - began
    return Measured(task_id, seconds, f"{early or '-'} at a tenth, {read_size(stack.child_pids('worker'), 'VmHWM')}")


def import_in_child(stack: ProcfileStack, path: Path, way: str) -> Measured:
    """Run one of WAYS in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.imports", "--child", way, "--path", str(path)]
    environment = stack.environment | {"BULK_WRITER": "1"}  # the connection permits LOAD DATA LOCAL
    output = subprocess.run(
        command, env=environment, cwd=PROJECT_DIR, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    seconds, memory = output.split()[-2:]
    return Measured(str(TASK), float(seconds), memory)


def _by_resource(path: Path, *, is_bulk: bool) -> None:
    from django.utils import timezone
    from import_export.resources import ModelResource
    from tablib import Dataset

    from catalog.models import Product

    numbers, now = itertools.count(), timezone.now()

    class ProductResource(ModelResource):
        class Meta:
            model = Product
            fields = ("id", "sku", "name", "category", "price", "stock")
            use_bulk = is_bulk
            batch_size = 1000
            skip_diff = True

        def init_instance(self, row: Any = None) -> Product:
            number = next(numbers)
            return Product(id=number + 1, position=number, task_id=TASK, created_at=now)

    with path.open(encoding="utf-8", newline="") as file:
        dataset = Dataset().load(file, format="csv", delimiter=";")
    result = ProductResource().import_data(dataset, use_transactions=True)
    assert not result.has_errors(), result.base_errors[:1]
    assert not result.has_validation_errors(), result.invalid_rows[:1]


def _by_load_data(path: Path) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET @row = 0")
        cursor.execute(LOAD, [str(path), TASK.hex])


WAYS: Final[dict[str, Callable[[Path], None]]] = {
    "django-import-export": lambda path: _by_resource(path, is_bulk=False),
    "django-import-export, use_bulk": lambda path: _by_resource(path, is_bulk=True),
    "LOAD DATA": _by_load_data,
}


def run_child(way: str, path: Path) -> None:
    """Import in this process; print the seconds and the greatest resident size in MiB."""
    import django

    django.setup()
    began = time.perf_counter()
    WAYS[way](path)
    print(f"{time.perf_counter() - began:.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}")


def run(options: argparse.Namespace, database: MariaDB, redis_server: RedisServer) -> int:
    is_right, expected = True, digest_rows(make_rows(options.lines))
    print("| way | seconds | lines/s | greatest memory of a process, MiB | rows |")
    print("| --- | --: | --: | --: | --- |", flush=True)

    def report(stack: ProcfileStack, name: str, measured: Measured) -> bool:
        is_exact = digest_rows(read_rows(stack, measured.task_id)) == expected
        rate = options.lines / measured.seconds
        print(
            f"| {name} | {measured.seconds:.1f} | {rate:,.0f} | {measured.memory} | {'exact' if is_exact else 'WRONG'} |",
            flush=True,
        )
        stack.sql("DELETE FROM products")
        return is_exact

    for number, workers in enumerate(options.workers):
        environment = {"SHARD_RECORDS": str(max(1, options.lines // (4 * workers))) if workers > 1 else "0"}
        stack = ProcfileStack(database=database, redis_server=redis_server, environment=environment, workers=workers)
        try:
            stack.start()
            path = stack.directory / "products.csv"
            write_file(path, records=options.lines)
            name = f"longtasks, {workers} worker{'s' if workers > 1 else ''}"
            if not options.only or "longtasks" in options.only:
                is_right &= report(stack, name, import_by_task(stack, path, lines=options.lines))
            for way in () if number else WAYS:
                if not options.only or way in options.only:
                    is_right &= report(stack, way, import_in_child(stack, path, way))
        finally:
            stack.close()
    print(f"{options.lines:,} lines, {os.cpu_count()} cores; load at the end {os.getloadavg()[0]:.1f}")
    return 0 if is_right else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.imports")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="*", choices=["longtasks", *WAYS])
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options.child, options.path)
        return 0
    os.environ["ENV_FILE"] = ""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    database, redis_server = MariaDB(), RedisServer()
    try:
        for server in (database, redis_server):
            server.start()
        return run(options, database, redis_server)
    finally:
        for server in (redis_server, database):
            server.remove()


if __name__ == "__main__":
    sys.exit(main())
