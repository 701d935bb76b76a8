"""Starts inside transactions, while everything between them and Redis is killed: `python -m tests.chaos.outbox --tasks 1000`.

Owns the kills and the judgement: exactly the committed tasks ran, once. LONGTASKS_TEST_STACK=embedded uses SQLite.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from loadtests.started.servers import IS_EMBEDDED
from loadtests.started.stack import ENDED, TABLES, ProcfileStack
from longtasks.local_stack.child_process import wait_until
from tests.chaos import faults, outbox_enqueuer
from tests.chaos.faults import Action
from tests.chaos.outbox_enqueuer import CREATE, DESCRIPTION, TABLE, list_numbers, read_rolled_back, rolls_back
from tests.chaos.started_stack import started_stack

ENVIRONMENT = {"LEASE_SECONDS": "1.5", "RESCUE_SECONDS": "0.2", "RETRY_FIRST_SECONDS": "0.1", "RETRY_ATTEMPTS": "50"}
FAULTS: dict[str, Action] = {
    "kill -9 of web": faults.kill_web,
    "kill -9 of the mirror": faults.kill_mirror,
    "kill -9 of Redis": faults.kill_redis,
    "FLUSHALL": faults.flush,
} | ({} if IS_EMBEDDED else {"kill -9 of MariaDB": faults.kill_mariadb})
END_SECONDS = 240.0


class Run:
    """Some enqueuing processes on a stack, and what has happened to them."""

    def __init__(self, stack: ProcfileStack, *, tasks: int, processes: int = 2, pause_seconds: float = 0.05) -> None:
        self.stack, self.tasks, self.processes, self.pause_seconds = stack, tasks, processes, pause_seconds
        self.dice = random.Random(1)
        self.counts: Counter[str] = Counter()
        stack.sql(CREATE)

    def run(self, *, every_seconds: float, fault_names: list[str]) -> None:
        """Let the processes start all tasks; make one fault after the other meanwhile."""
        due, kinds = time.monotonic() + every_seconds, [*fault_names, "kill -9 of a starting process"]
        while sum(self._keep_running(index) for index in range(self.processes)):
            time.sleep(0.05)
            if time.monotonic() < due:
                continue
            name = kinds[sum(self.counts[kind] for kind in kinds) % len(kinds)]
            if name in FAULTS:
                FAULTS[name](self.stack, self.dice)
            else:
                self.stack.kill_role(_role(self.dice.randrange(self.processes)))
            self.counts[name] += 1
            due = time.monotonic() + every_seconds

    def find_faults(self) -> list[str]:
        """Wait for the ends; return what differs from one run of each committed task, nothing if all is right."""
        self.stack.ensure_running()
        wait_until(self._is_settled, deadline_seconds=END_SECONDS, pause_seconds=0.2)
        committed = {_key(task_id) for (task_id,) in self.stack.sql(f"SELECT task_id FROM {TABLE}")}
        rolled_back = {_key(task_id) for path in map(self._path, range(self.processes)) for task_id in _read(path)}
        records = self._list_records()
        found: dict[str, tuple[Any, Any]] = {
            "committed": (len(committed), sum(not rolls_back(number) for number in range(self.tasks))),
            "rolled back": (len(rolled_back), sum(map(rolls_back, range(self.tasks)))),
            "tasks that were not committed": (sorted(records.keys() - committed), []),
            "committed tasks that are unknown": (sorted(committed - records.keys()), []),
            "statuses": (Counter(records.values()), Counter({"finished": len(committed)})),
            "rows in the outbox": (self._count_outbox(), 0),
        }
        for table in TABLES:
            rows = {
                _key(key): number for key, number in self.stack.sql(f"SELECT task_id, COUNT(*) FROM {table} GROUP BY 1")
            }
            wrong = {key: rows.get(key, 0) for key in committed | rows.keys() if rows.get(key, 0) != (key in committed)}
            found[f"tasks without exactly one row in {table}"] = (wrong, {})
        return [f"{what}: {is_}, not {right}" for what, (is_, right) in found.items() if is_ != right]

    def _keep_running(self, index: int) -> bool:
        """Start a process that has died before its end; every second one dies between a commit and the push."""
        if self.stack.is_running(_role(index)):
            return True
        if not self._list_missing(index):
            return False
        self.counts["starts of a starting process"] += 1
        if self.counts["starts of a starting process"] % 2:
            self.stack.environment["CRASH_POINTS"] = f"before_push={self.dice.randint(2, 15)}"
        arguments = {"tasks": self.tasks, "index": index, "processes": self.processes, "path": self._path(index)}
        words = [f"--{name} {value}" for name, value in arguments.items()]
        command = f"python -m {outbox_enqueuer.__name__} {' '.join(words)} --pause-seconds {self.pause_seconds}"
        try:
            self.stack.start_role(_role(index), command=command)
        finally:
            self.stack.environment.pop("CRASH_POINTS", None)
        return True

    def _list_missing(self, index: int) -> set[int]:
        numbers = set(list_numbers(tasks=self.tasks, index=index, processes=self.processes))
        done = {number for (number,) in self.stack.sql(f"SELECT number FROM {TABLE}")}
        return numbers - done - set(read_rolled_back(self._path(index)))

    def _is_settled(self) -> bool:
        return not self._count_outbox() and all(status in ENDED for status in self._list_records().values())

    def _list_records(self) -> dict[str, str]:
        statement = "SELECT id, status FROM tasks_app_taskrecord WHERE description = %s"
        return {_key(task_id): status for task_id, status in self.stack.sql(statement, DESCRIPTION)}

    def _count_outbox(self) -> int:
        return int(self.stack.sql("SELECT COUNT(*) FROM tasks_app_outboxtask")[0][0])

    def _path(self, index: int) -> Path:
        return self.stack.directory / f"rolled-back-{index}"


def _role(index: int) -> str:
    return f"enqueuer{index}"


def _read(path: Path) -> list[str]:
    return list(read_rolled_back(path).values())


def _key(task_id: object) -> str:
    return uuid.UUID(str(task_id)).hex


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.outbox")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2, help="that start tasks")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two faults")
    options = parser.parse_args()
    with started_stack(workers=options.workers, environment=ENVIRONMENT) as stack:
        began = time.monotonic()
        run = Run(stack, tasks=options.tasks, processes=options.processes)
        run.run(every_seconds=options.every, fault_names=list(FAULTS))
        wrong = run.find_faults()
        print(f"{options.tasks:,} starts in {time.monotonic() - began:.0f} s: {dict(sorted(run.counts.items()))}")
        print("\n".join(wrong) or "exactly the committed tasks ran, each once")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
