"""A NOT NULL column in three steps, with gates, while workers are killed: `python -m tests.chaos.gates --rows 1000000`.

Owns the rows, the kills, and what each step must say and leave. LONGTASKS_TEST_STACK=embedded uses SQLite.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from typing import Any

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.child_process import wait_until
from tests.chaos.collections import kill_workers
from tests.chaos.started_stack import started_stack

ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.migration_gates.settings"}
TABLE = "gate_shop_product"
RIGHT = "visits = 1 AND SUBSTR(slug, 1, 2) = 'p-' AND SUBSTR(slug, 3) = name"
AT_PERCENT = re.compile(r"TaskNotFinished: fill-slugs \(id (\S+)\) is at \d+ %, about [\d,]+ \w+ left.*")


def migrate(stack: ProcfileStack, to: str) -> tuple[int, str]:
    """Run `manage.py migrate gate_shop TO`; return its exit code and what it printed."""
    ran = stack.run_manage("migrate", "gate_shop", to, timeout_seconds=3600)
    return ran.returncode, ran.stdout


def fill(stack: ProcfileStack, *, rows: int) -> None:
    """Insert products, each with a name of its own."""
    stack.sql(f"INSERT INTO {TABLE} (name) VALUES ('n')")
    while (number := count(stack, "1 = 1")) < rows:
        stack.sql(f"INSERT INTO {TABLE} (name) SELECT name FROM {TABLE} LIMIT %s", min(number, rows - number))
    stack.sql(f"UPDATE {TABLE} SET name = id")


def count(stack: ProcfileStack, condition: str) -> int:
    return int(stack.sql(f"SELECT COUNT(*) FROM {TABLE} WHERE {condition}")[0][0])


def accepts_null(stack: ProcfileStack) -> bool:
    """Return whether the table accepts a row whose slug is NULL. Leaves no row."""
    try:
        stack.sql(f"INSERT INTO {TABLE} (name, slug) VALUES ('none', NULL)")
    except Exception:
        return False
    stack.sql(f"DELETE FROM {TABLE} WHERE slug IS NULL AND name = 'none'")
    return True


def run_steps(stack: ProcfileStack, *, rows: int, every_seconds: float) -> list[str]:
    """Run the three steps; return what was not as it must be."""
    faults: list[str] = []

    def check(what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            faults.append(f"{what}: {found!r}, not {wanted!r}")

    def report(step: str, began: float, said: str) -> None:
        print(f"| {step} | {time.monotonic() - began:.1f} | {said} |", flush=True)

    check("back to the first migration", migrate(stack, "0001")[0], 0)
    fill(stack, rows=rows)
    print(f"{rows:,} rows; {stack.database.name}\n\n| step | seconds | result |\n|---|---|---|", flush=True)

    began = time.monotonic()
    check("migrate 0002", migrate(stack, "0002")[0], 0)
    report("the nullable column, StartTask", began, "applied")

    began, said = time.monotonic(), [""]

    def is_shut_with_percent() -> bool:
        code, said[0] = migrate(stack, "0003")
        return code == 0 or bool(AT_PERCENT.search(said[0]))

    wait_until(is_shut_with_percent, deadline_seconds=60, pause_seconds=0.1)
    shut = AT_PERCENT.search(said[0])
    if shut is None:
        return [*faults, f"the gate did not name a percentage: {said[0]}"]
    report("RequireTask, while the back-fill runs", began, shut[0])
    check("NULL is still accepted", accepts_null(stack), True)

    began, kills = time.monotonic(), [0]

    def kill() -> None:
        kills[0] = kill_workers(stack, task_id=shut[1], every_seconds=every_seconds, deadline_seconds=3600)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    waited = stack.run_manage("task", "wait", "--name", "fill-slugs", "--timeout", "1h", timeout_seconds=3700)
    killer.join()
    check("task wait", waited.returncode, 0)
    report(
        "task wait --name fill-slugs --timeout 1h", began, f"exit code {waited.returncode}; {kills[0]} workers killed"
    )

    began = time.monotonic()
    code, text = migrate(stack, "0003")
    check("migrate 0003", code, 0)
    report("RequireTask, NOT NULL", began, "applied" if code == 0 else text.splitlines()[-1])
    check("NULL is accepted", accepts_null(stack), False)
    check("rows", count(stack, "1 = 1"), rows)
    check("rows that were filled exactly once", count(stack, RIGHT), rows)
    check("tasks", stack.sql("SELECT COUNT(*) FROM tasks_app_migrationtask WHERE finished_at IS NULL"), [(1,)])
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.gates")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--pause-ms", type=int, default=0, help="after each chunk, so that few rows take long (0)")
    options = parser.parse_args()
    environment = {**ENVIRONMENT, "RETRY_ATTEMPTS": "50", "CHUNK_SECONDS": "0.1", "PAUSE_MS": str(options.pause_ms)}
    with started_stack(workers=options.workers, environment=environment) as stack:
        faults = run_steps(stack, rows=options.rows, every_seconds=options.every)
    print(f"\n{'; '.join(faults) or 'Each row was filled exactly once, and the column is NOT NULL.'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
