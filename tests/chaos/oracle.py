"""The oracle of the chaos run: compares the tasks that clients were promised with the tables and with Redis.

Reads the database and Redis directly, never the API, which is what it judges.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtests.started.stack import ENDED, TABLES, ProcfileStack
from tests.chaos.clients import Accepted
from tests.chaos.odd_mix import DEATH_WORDS

SLICE = 200


@dataclass(slots=True)
class Verdict:
    """The faults that the oracle found; empty if there is none."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    disagreeing: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        for name in ("lost", "duplicated", "disagreeing", "leftovers"):
            getattr(self, name).extend(getattr(other, name))

    @property
    def is_well(self) -> bool:
        return not (self.lost or self.duplicated or self.disagreeing or self.leftovers)


class Oracle:
    """Judges each task once, when it has ended."""

    def __init__(self, stack: ProcfileStack) -> None:
        self._stack = stack
        self._judged: set[str] = set()
        self.statuses: dict[str, int] = {}
        self.odd: dict[str, int] = {}  # odd tasks judged, by kind

    def list_open(self, tasks: Sequence[Accepted]) -> list[Accepted]:
        """Return the tasks that the read model does not show as ended."""
        waiting = [task for task in tasks if task.task_id not in self._judged]
        ended = {
            row[0]
            for row in self._read("SELECT id, status FROM tasks_app_taskrecord WHERE id IN", waiting)
            if row[1] in ENDED
        }
        return [task for task in waiting if _key(task.task_id) not in ended]

    def list_unknown(self, tasks: Sequence[Accepted]) -> list[Accepted]:
        """Return the tasks that the read model does not know."""
        waiting = [task for task in tasks if task.task_id not in self._judged]
        known = {row[0] for row in self._read("SELECT id FROM tasks_app_taskrecord WHERE id IN", waiting)}
        return [task for task in waiting if _key(task.task_id) not in known]

    def judge(self, tasks: Sequence[Accepted]) -> Verdict:
        """Judge the tasks that ended since the last call."""
        verdict = Verdict()
        tasks = [task for task in tasks if task.task_id not in self._judged]
        records = {
            row[0]: row[1:]
            for row in self._read("SELECT id, status, done, counts, error FROM tasks_app_taskrecord WHERE id IN", tasks)
        }
        checkpoints = {
            row[0]: row[1:]
            for row in self._read(
                "SELECT task_id, outcome, done, counts FROM tasks_app_taskcheckpoint WHERE task_id IN", tasks
            )
        }
        rows = {
            table: {
                row[0]: (int(row[1]), int(row[2]))
                for row in self._read(
                    f"SELECT task_id, COUNT(*), COUNT(DISTINCT position) FROM {table} WHERE task_id IN",
                    tasks,
                    "GROUP BY task_id",
                )
            }
            for table in TABLES
        }
        for task in tasks:
            key = _key(task.task_id)
            record = records.get(key)
            if record is None or record[0] not in ENDED:
                verdict.lost.append(f"{task.task_id} is {record[0] if record else 'unknown'}")
                continue
            self._judged.add(task.task_id)
            self._judge_one(task, record, checkpoints.get(key), {t: rows[t].get(key, (0, 0)) for t in TABLES}, verdict)
        return verdict

    def find_leftovers(self) -> list[str]:
        """Return what is left in Redis although every task has ended; Redis may need a moment."""
        deadline = time.monotonic() + 60
        while (left := self._list_leftovers()) and time.monotonic() < deadline:
            time.sleep(0.5)
        return left

    def _judge_one(
        self, task: Accepted, record: Any, checkpoint: Any, rows: dict[str, tuple[int, int]], verdict: Verdict
    ) -> None:
        status, done, counts = record[0], int(record[1]), _counts(record[2])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        tables = TABLES if task.name == "upload" else ("users",)
        if task.odd:
            self.odd[task.odd.kind] = self.odd.get(task.odd.kind, 0) + 1
        if wrong := _judge_end(task, status, str(record[3] or "")):
            verdict.disagreeing.append(f"{task.task_id} ({task.odd.kind if task.odd else task.name}): {wrong}")
        if checkpoint is None or checkpoint[0] != status:
            verdict.disagreeing.append(f"{task.task_id}: record {record}, checkpoint {checkpoint}")
            return
        if int(checkpoint[1]) != done or _counts(checkpoint[2]) != counts:
            verdict.disagreeing.append(f"{task.task_id}: record {record}, checkpoint {checkpoint}")
        wanted = task.records if status == "finished" else done
        for table in tables:
            number, distinct = rows[table]
            if number != distinct or number > wanted:
                verdict.duplicated.append(f"{task.task_id}: {number} rows, {distinct} positions of {wanted} in {table}")
            elif number < wanted:
                verdict.lost.append(f"{task.task_id} ({status}): {number} rows of {wanted} in {table}")
            if counts.get(table, 0) != number:
                verdict.disagreeing.append(f"{task.task_id}: tells {counts}, has {number} in {table}")

    def _list_leftovers(self) -> list[str]:
        left = []
        with self._stack.redis() as client:
            for queue in ("high", "low"):
                left += [f"rq:queue:{queue} {entry!r}" for entry in client.lrange(f"rq:queue:{queue}", 0, 9)]
                for kind in ("wip", "scheduled"):
                    left += [f"rq:{kind}:{queue} {entry!r}" for entry in client.zrange(f"rq:{kind}:{queue}", 0, 9)]
                left += [f"urgent {queue} {entry!r}" for entry in client.smembers(f"longtasks:urgent:{queue}")]
            for kind in ("split", "parked"):
                left += [f"{kind} {entry!r}" for entry in client.smembers(f"longtasks:{kind}")]
            if backlog := client.xlen("longtasks:events"):
                left.append(f"{backlog} entries in the stream")
            for key in client.scan_iter("rq:job:*", count=1000):
                if client.ttl(key) == -1:
                    left.append(f"{key!r} without a time to live")
        return left

    def _read(self, statement: str, tasks: Sequence[Accepted], end: str = "") -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(tasks), SLICE):
            ids = [uuid.UUID(task.task_id).hex for task in tasks[start : start + SLICE]]
            answer = self._stack.sql(f"{statement} ({', '.join(['%s'] * len(ids))}) {end}", *ids)
            found += [(_key(row[0]), *row[1:]) for row in answer]
        return found


def _judge_end(task: Accepted, status: str, error: str) -> str:
    """Return the fault in a task's end, whatever was killed meanwhile; empty if there is none."""
    if status == "canceled" and task.cancel_asked:
        return ""
    if task.odd and task.odd.must_fail:
        is_told = any(word in error for word in (*task.odd.words, *DEATH_WORDS))
        return (
            ""
            if status == "failed" and is_told
            else f"{status}, should have failed with {task.odd.words}: {error[-200:]}"
        )
    if status == "failed" and task.odd:
        return "" if any(word in error for word in DEATH_WORDS) else f"failed, should have finished: {error[-200:]}"
    return ""


def _key(value: Any) -> str:
    return uuid.UUID(str(value)).hex


def _counts(value: Any) -> dict[str, int]:
    counts = json.loads(value) if isinstance(value, str | bytes) else value
    return {name: number for name, number in counts.items() if number}
