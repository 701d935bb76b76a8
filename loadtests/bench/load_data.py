"""Measures the limit: LOAD DATA of prepared files into the same empty tables, one transaction per connection.

`python -m loadtests.bench.load_data RECORDS CONNECTIONS DIRECTORY` does it once, inside Django's settings.
"""

import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from loadtests.bench.context import Bench
from loadtests.bench.ground import BenchStack
from loadtests.started.stack import TABLES

CONNECTIONS = (1, 2)


def measure_load_data(bench: Bench, stack: BenchStack) -> list[dict[str, Any]]:
    results = []
    for connections in CONNECTIONS:
        runs = []
        for run in range(bench.scale.runs):
            stack.database.truncate(stack.database_name, list(TABLES))
            output = stack.run_inside(
                "loadtests.bench.load_data",
                str(bench.scale.load_data_records),
                str(connections),
                str(bench.directory),
            )
            figures = json.loads(output)
            bench.say(f"LOAD DATA, {connections} connections, run {run + 1}: {figures['rows_per_second']:.0f} rows/s")
            runs.append(figures)
        results.append({"connections": connections, "runs": runs})
    stack.database.truncate(stack.database_name, list(TABLES))
    return results


def load_once(*, records: int, connections: int, directory: Path) -> dict[str, Any]:
    """Write the files first; the time counts from the first statement to the last commit."""
    parts = [write_files(number=number, records=records, directory=directory) for number in range(connections)]
    failures: list[Exception] = []
    barrier = threading.Barrier(connections + 1)

    def load(files: list[tuple[Any, Path]]) -> None:
        try:
            load_files(files, barrier)
        except Exception as failure:
            failures.append(failure)
            barrier.abort()

    threads = [threading.Thread(target=load, args=(files,)) for files in parts]
    for thread in threads:
        thread.start()
    barrier.wait(timeout=60)
    started = time.monotonic()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    if failures:
        raise failures[0]
    rows = records * connections * len(TABLES)
    return {"rows": rows, "seconds": seconds, "rows_per_second": rows / seconds}


def load_files(files: list[tuple[Any, Path]], barrier: threading.Barrier) -> None:
    from django.db import connection, transaction

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        barrier.wait(timeout=60)
        with transaction.atomic():
            for model, path in files:
                columns = ", ".join(f"`{field.column}`" for field in model._meta.concrete_fields)
                cursor.execute(
                    f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE `{model._meta.db_table}` CHARACTER SET utf8mb4 "
                    f"FIELDS TERMINATED BY '\\t' ESCAPED BY '' LINES TERMINATED BY '\\n' ({columns})"
                )
    connection.close()


def write_files(*, number: int, records: int, directory: Path) -> list[tuple[Any, Path]]:
    """Write the rows of one task as the bulk writer would, in a file for each table."""
    from catalog.fake_data import make_rows
    from catalog.load_data import text_pools
    from catalog.models import MODELS

    task_id = uuid.uuid4()
    first_id = 1 + number * records
    made = make_rows(
        task_id=task_id, first_id=first_id, start=0, stop=records, pools=text_pools(), task_value=task_id.hex
    )
    files: list[tuple[Any, Path]] = []
    for model, rows in zip(MODELS, made, strict=True):
        path = directory / f"{model._meta.db_table}_{number}.tsv"
        path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
        files.append((model, path))
    return files


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.development")
    django.setup()
    records, connections, directory = sys.argv[1:]
    figures = load_once(records=int(records), connections=int(connections), directory=Path(directory))
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
