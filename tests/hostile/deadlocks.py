"""`python -m tests.hostile.deadlocks [--number 1000]`: provoked deadlocks, against tasks that catch every error.

Owns the provoking session. A chunk is atomic or runs again, so the number of rows always equals the task's counts.
MariaDB and MySQL only: SQLite has one lock.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from loadtests.started.stack import ENDED, ProcfileStack

TABLE = "hostile_rows"
WAYS = ("bare", "atomic", "everything")
ROWS = 12  # of a task
BLOCKED_ROW = 7  # that the other session has locked when the task reaches it
BALLAST = 300  # rows that the other session changes first, so that the task is the victim
AT_ONCE = 2
HELD_SECONDS = 30.0
END_SECONDS = 60.0
ER_LOCK_NOWAIT = (1205, 3572)


@dataclass(slots=True)
class Outcome:
    """The outcome of a run of deadlocks."""

    tasks: dict[str, str] = field(default_factory=dict)  # id: way
    provoked: int = 0
    deadlocks: int = 0  # counted by the server
    wrong: list[str] = field(default_factory=list)


def provoke(stack: ProcfileStack, *, number: int) -> Outcome:
    """Provoke `number` deadlocks, one for each task, and compare every task's rows with its counts."""
    outcome = Outcome()
    before = _count_deadlocks(stack)
    lock, numbers = threading.Lock(), itertools.count()
    # Each client has its own rows, and its ballast after the rows of all.
    first_ballast = AT_ONCE * 1000

    def work(client: int) -> None:
        while True:
            with lock:
                if (turn := next(numbers)) >= number:
                    return
            way = WAYS[turn % len(WAYS)]
            task_id, was_victim = _provoke_one(stack, way, client * 1000, first_ballast + client * BALLAST)
            with lock:
                outcome.tasks[task_id] = way
                outcome.provoked += was_victim

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(work, client) for client in range(AT_ONCE)]:
            done.result()
    outcome.deadlocks = _count_deadlocks(stack) - before
    for task_id, way in outcome.tasks.items():
        outcome.wrong += _judge(stack, task_id, way)
    return outcome


def list_rows() -> int:
    """Return how many rows the table must hold."""
    return AT_ONCE * (1000 + BALLAST)


def _provoke_one(stack: ProcfileStack, way: str, base: int, ballast: int) -> tuple[str, bool]:
    """Lock a row that the task needs, wait until the task has locked another, and request that one."""
    other, probe = _connect(stack), _connect(stack)
    with contextlib.closing(other), contextlib.closing(probe):
        cursor = other.cursor()
        cursor.execute("BEGIN")
        cursor.execute(f"UPDATE {TABLE} SET n = n + 1 WHERE id >= {ballast} AND id < {ballast + BALLAST}")
        cursor.execute(f"SELECT n FROM {TABLE} WHERE id = {base + BLOCKED_ROW} FOR UPDATE")
        params = {"base": base, "rows": ROWS, "way": way, "rowMs": 1}
        answer = stack.post("/tasks", {"name": "odd_skip_bad_rows", "params": params, "priority": "high"})
        assert answer.status == 201, answer
        _wait_until_held(probe, base + 1)
        was_victim = True
        try:
            # Waits for the task, which soon waits for this session: the lighter of both is rolled back.
            cursor.execute(f"UPDATE {TABLE} SET n = n + 1 WHERE id = {base + 1}")
        except _operational_error():
            was_victim = False
        other.rollback()
    stack.wait_for_end(answer.json["id"], deadline_seconds=END_SECONDS)
    return str(answer.json["id"]), was_victim


def _wait_until_held(probe: Any, row: int) -> None:
    deadline = time.monotonic() + HELD_SECONDS
    while time.monotonic() < deadline:
        try:
            probe.cursor().execute(f"SELECT n FROM {TABLE} WHERE id = {row} FOR UPDATE NOWAIT")
        except _operational_error() as error:
            if error.args[0] in ER_LOCK_NOWAIT:
                return
            raise
        finally:
            probe.rollback()
        time.sleep(0.001)
    raise AssertionError(f"the task has not locked row {row} within {HELD_SECONDS} s")


def _judge(stack: ProcfileStack, task_id: str, way: str) -> list[str]:
    key = uuid.UUID(task_id).hex
    task = stack.task(task_id)
    [(rows, positions)] = stack.sql("SELECT COUNT(*), COUNT(DISTINCT position) FROM users WHERE task_id = %s", key)
    [(failures,)] = stack.sql("SELECT failures FROM tasks_app_taskcheckpoint WHERE task_id = %s", key)
    counted = task["insertedRecords"].get("users", 0)
    wrong = []
    if task["status"] not in ENDED or task["status"] != "finished":
        wrong.append(f"{task_id} ({way}) is {task['status']}: {task['error']}")
    if rows != counted or rows != positions:
        wrong.append(f"{task_id} ({way}): {rows} rows, {positions} positions, {counted} counted")
    if failures:
        wrong.append(f"{task_id} ({way}): the deadlock has cost {failures} attempts")
    return wrong


def _count_deadlocks(stack: ProcfileStack) -> int:
    return int(stack.sql("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")[0][1])


def _connect(stack: ProcfileStack) -> Any:
    import MySQLdb

    socket_path = stack.database.socket_path  # type: ignore[attr-defined]
    return MySQLdb.connect(unix_socket=str(socket_path), user="root", database=stack.database_name)


def _operational_error() -> type[Exception]:
    import MySQLdb

    return MySQLdb.OperationalError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.deadlocks", description=__doc__)
    parser.add_argument("--number", type=int, default=1000)
    options = parser.parse_args()
    os.environ["ENV_FILE"] = ""
    from loadtests.started.servers import MariaDB, RedisServer
    from tests.hostile.world import ENVIRONMENT, make_tables

    servers = MariaDB(), RedisServer()
    stack = None
    try:
        for server in servers:
            server.start()
        stack = ProcfileStack(database=servers[0], redis_server=servers[1], environment=ENVIRONMENT, workers=AT_ONCE)
        stack.start()
        make_tables(stack, rows=list_rows())
        began = time.monotonic()
        outcome = provoke(stack, number=options.number)
    finally:
        if stack:
            stack.close()
        for server in servers:
            server.remove()
    print(
        f"{len(outcome.tasks):,} tasks, {outcome.provoked:,} of them rolled back by a deadlock ({outcome.deadlocks:,} by the"
        f" server's count), {len(outcome.wrong):,} wrong, {time.monotonic() - began:.0f} s"
    )
    print("\n".join(outcome.wrong[:20]))
    return 1 if outcome.wrong or outcome.provoked < options.number * 0.9 else 0


if __name__ == "__main__":
    sys.exit(main())
