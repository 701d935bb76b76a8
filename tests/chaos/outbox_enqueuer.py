"""A process that starts tasks inside transactions, some of which roll back: the one that tests/chaos/outbox.py kills.

Owns these transactions. Each writes its number beside the start, so that the table says what was committed. Started again,
it continues with the numbers that are missing.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import django

TABLE = "outbox_promises"
CREATE = f"CREATE TABLE {TABLE} (number INTEGER PRIMARY KEY, task_id CHAR(32) NOT NULL)"
DESCRIPTION = "in a transaction"


class RolledBack(Exception):
    """The transaction fails after its start, as a project's code may."""


def rolls_back(number: int) -> bool:
    return number % 3 == 2


def list_numbers(*, tasks: int, index: int, processes: int) -> list[int]:
    """Return the numbers of one of several processes."""
    return [number for number in range(tasks) if number // 3 % processes == index]


def read_rolled_back(path: Path) -> dict[int, str]:
    """Return number and task of the transactions that were rolled back, as far as they were written down."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {
        int(number): task_id for number, _, task_id in (line.partition(" ") for line in lines) if len(task_id) == 36
    }


def run(*, numbers: list[int], path: Path, pause_seconds: float) -> None:
    from django.db import connection, transaction

    from tasks_app.starting import start_task

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT number FROM {TABLE}")
        done = {number for (number,) in cursor.fetchall()} | set(read_rolled_back(path))
    for number in numbers:
        if number in done:
            continue
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                started = start_task("upload", {"numRecords": 1}, description=DESCRIPTION)
                cursor.execute(f"INSERT INTO {TABLE} VALUES (%s, %s)", [number, started.id.replace("-", "")])
                if rolls_back(number):
                    raise RolledBack
        except RolledBack:
            with path.open("a") as file:
                file.write(f"{number} {started.id}\n")
        time.sleep(pause_seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.outbox_enqueuer")
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--pause-seconds", type=float, required=True)
    options = parser.parse_args()
    django.setup()
    numbers = list_numbers(tasks=options.tasks, index=options.index, processes=options.processes)
    run(numbers=numbers, path=options.path, pause_seconds=options.pause_seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
