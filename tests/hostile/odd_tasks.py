"""Starts odd tasks, waits for their ends and judges them by task row, checkpoint and written rows.

Owns what "ended with an error that names the cause" means. The doors own what makes a task odd.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.started.stack import ENDED, ProcfileStack
from longtasks.local_stack.child_process import wait_until
from tests.hostile.tally import Tally

BATCH = 60
END_SECONDS = 30.0
CANCEL_SECONDS = 15.0
WAITING = "Waiting for the database"
DEATH_WORDS = ("died or fell silent", "fell silent")


@dataclass(frozen=True, slots=True)
class Ends:
    """The allowed ends of a task."""

    statuses: frozenset[str] = frozenset({"failed"})
    words: tuple[str, ...] = ()  # the error must contain each of them
    most_attempts: int = 2
    rows: int | None = None  # of a finished task; None: as many as it counts
    tells_rows: bool = True  # False: its counts are the odd value
    may_leave_rows: bool = False  # of a failed attempt, if the driver's commit cannot be prevented
    may_die: bool = False  # it kills its process
    may_wait: bool = False  # for the database, up to the time limit: its error says so, and it can be canceled


FAILS = Ends()
FINISHES = Ends(frozenset({"finished"}))
EITHER = Ends(frozenset({"finished", "failed"}))


@dataclass(frozen=True, slots=True)
class OddTask:
    """A task to start: its type, its recipe, and its allowed ends."""

    name: str
    recipe: Any
    ends: Ends

    @property
    def given(self) -> str:
        return f"{self.name} {json.dumps(self.recipe)}"

    def to_body(self, priority: str) -> dict[str, Any]:
        return {"name": self.name, "params": {"recipe": json.dumps(self.recipe)}, "priority": priority}


class OddTasks:
    """The odd tasks of one door."""

    def __init__(self, stack: ProcfileStack, tally: Tally, door: str) -> None:
        self._stack, self._tally, self._door = stack, tally, door

    def run(
        self, tasks: Sequence[OddTask], *, batch: int = BATCH, end_seconds: float = END_SECONDS, singly: bool = False
    ) -> None:
        """Start them, `batch` at a time, and judge each."""
        for start in range(0, len(tasks), batch):
            started: dict[str, OddTask] = {}
            part = tasks[start : start + batch]
            if singly or not self._start_many(part, started):
                for number, task in enumerate(part):
                    self._start_one(task, started, "low" if number % 2 else "high")
            wait_until(lambda: not self._list_open(started), deadline_seconds=end_seconds, pause_seconds=0.1)  # noqa: B023
            self._judge(started)

    def _start_many(self, tasks: Sequence[OddTask], started: dict[str, OddTask]) -> bool:
        bodies = [task.to_body("low" if number % 2 else "high") for number, task in enumerate(tasks)]
        answer = self._stack.post("/tasks/bulk", {"tasks": bodies})
        if answer.status != 201:
            return False
        started |= {accepted["id"]: task for accepted, task in zip(answer.json["tasks"], tasks, strict=True)}
        return True

    def _start_one(self, task: OddTask, started: dict[str, OddTask], priority: str) -> None:
        answer = self._stack.post("/tasks", task.to_body(priority))
        if answer.status == 201:
            started[answer.json["id"]] = task
        elif 400 <= answer.status < 500 and "failed" in task.ends.statuses:
            self._tally.note(self._door, "refused")
        else:
            seen = answer.error or answer.body[:300]
            self._tally.fault(self._door, f"POST answers {answer.status}", given=task.given, seen=seen)

    def _list_open(self, started: dict[str, OddTask]) -> set[str]:
        return set(started) - {key for key, record in self._read_records(started).items() if record[0] in ENDED}

    def _read_records(self, started: dict[str, OddTask]) -> dict[str, tuple[Any, ...]]:
        return self._read("SELECT id, status, error, attempts, counts FROM tasks_app_taskrecord WHERE id IN", started)

    def _judge(self, started: dict[str, OddTask]) -> None:
        still_open = self._list_open(started)
        records = self._read_records(started)
        failures = self._read("SELECT task_id, failures FROM tasks_app_taskcheckpoint WHERE task_id IN", started)
        rows = self._read("SELECT task_id, COUNT(*) FROM users WHERE task_id IN", started, "GROUP BY task_id")
        for task_id, task in started.items():
            if task_id in still_open:
                status, error = (*records.get(task_id, ()), "unknown", "")[:2]
                if task.ends.may_wait and WAITING in (error or ""):
                    self._tally.note(self._door, "waits, and says for what")
                    continue
                self._tally.fault(self._door, "never ends", given=task.given, seen=f"{task_id} is {status}")
                continue
            status, error, _, counts = records[task_id]
            number = int(rows.get(task_id, (0,))[0])
            wrong = _find_wrong(
                task.ends, status, error or "", int(failures.get(task_id, (0,))[0]), _counted(counts), number
            )
            if wrong:
                tail = (error or "").strip()[-250:]
                self._tally.fault(self._door, wrong, given=task.given, seen=f"{status}, {number} rows: …{tail}")
            else:
                self._tally.note(self._door, status)
        for task_id in still_open:
            self._stack.post(f"/tasks/{task_id}/cancel")
        left = {task_id: started[task_id] for task_id in still_open}
        if left and not wait_until(lambda: not self._list_open(left), deadline_seconds=CANCEL_SECONDS):
            for task_id in self._list_open(left):
                self._tally.add_fault(self._door, "can't be canceled", given=left[task_id].given, seen=task_id)

    def _read(self, statement: str, started: dict[str, OddTask], end: str = "") -> dict[str, tuple[Any, ...]]:
        if not started:
            return {}
        keys = [uuid.UUID(task_id).hex for task_id in started]
        found = self._stack.sql(f"{statement} ({', '.join(['%s'] * len(keys))}) {end}", *keys)
        return {str(uuid.UUID(str(row[0]))): row[1:] for row in found}


def _find_wrong(ends: Ends, status: str, error: str, failures: int, counted: int, rows: int) -> str:
    """Return the fault of an end, or an empty text."""
    if status not in ends.statuses:
        return f"ends {status}, should be {' or '.join(sorted(ends.statuses))}"
    if status == "failed":
        if not ends.may_die and any(word in error for word in DEATH_WORDS):
            return "its worker died or fell silent"
        missing = [word for word in ends.words if word not in error]
        if not error or missing:
            return "the error does not say what was wrong"
        if rows != max(0, counted) and ends.tells_rows and not ends.may_leave_rows:
            return "rows of a failed attempt stay"
        if not 1 <= failures <= ends.most_attempts:
            return f"{failures} attempts are counted"
    if status == "finished":
        if (rows != counted and ends.tells_rows) or (ends.rows is not None and rows != ends.rows):
            return "rows and counts differ"
        if failures and not ends.may_die:
            return "finished, but an attempt has failed"
    return ""


def _counted(counts: Any) -> int:
    value = json.loads(counts) if isinstance(counts, str | bytes) else counts
    return int(value.get("users", 0)) if isinstance(value, dict) and isinstance(value.get("users", 0), int) else -1
