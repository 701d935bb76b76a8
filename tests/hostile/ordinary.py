"""Ordinary tasks beside the odd ones: small uploads in both queues, each of which must end once and in time."""

from __future__ import annotations

import random
import threading
import time
import uuid
from datetime import UTC, datetime

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.child_process import wait_until
from tests.chaos.clients import Accepted, Ledger
from tests.chaos.oracle import Oracle
from tests.hostile.tally import Tally

A_SECOND = 4
LATE_SECONDS = 10.0
END_SECONDS = 60.0
REQUEST_SECONDS = 10.0


class Ordinary:
    """A client that starts small uploads and judges their ends."""

    def __init__(self, stack: ProcfileStack, tally: Tally, *, seed: int) -> None:
        self._stack, self._tally = stack, tally
        self._dice = random.Random(seed)
        self._ledger = Ledger()
        self._end, self._pause = threading.Event(), threading.Event()
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._paused_seconds = 0.0

    def start(self) -> None:
        self._thread.start()

    def pause(self) -> None:
        """Start no more, and return when all have ended."""
        self._pause.set()
        self._idle.wait(REQUEST_SECONDS)
        oracle = Oracle(self._stack)
        wait_until(lambda: not oracle.list_open(self._ledger.list()[-200:]), deadline_seconds=END_SECONDS)

    def resume(self) -> None:
        self._pause.clear()

    def finish(self) -> None:
        """Stop, wait for the last ones, and judge all of them."""
        self._end.set()
        self._thread.join(60)
        tasks = self._ledger.list()
        oracle = Oracle(self._stack)
        wait_until(lambda: not oracle.list_open(tasks), deadline_seconds=END_SECONDS, pause_seconds=0.5)
        verdict = oracle.judge(tasks)
        for kind in ("lost", "duplicated", "disagreeing"):
            for line in getattr(verdict, kind):
                self._tally.add_fault("ordinary tasks", kind, given="an upload", seen=line)
        not_finished = {status: number for status, number in oracle.statuses.items() if status != "finished"}
        if not_finished:
            self._tally.add_fault("ordinary tasks", "not finished", given="uploads", seen=not_finished)
        latest = self._judge_times(tasks)
        self._tally.ordinary = {
            "accepted": len(tasks),
            "lost": len(verdict.lost),
            "doubled": len(verdict.duplicated),
            "latest, seconds from acceptance to end": latest,
        }

    def _judge_times(self, tasks: list[Accepted]) -> float:
        known = {uuid.UUID(task.task_id).hex for task in tasks}
        latest = 0.0
        for key, created, ended in self._stack.sql(
            "SELECT id, created_at, ended_at FROM tasks_app_taskrecord WHERE description = 'ordinary'"
        ):
            if uuid.UUID(str(key)).hex not in known or ended is None:
                continue
            seconds = (_time(ended) - _time(created)).total_seconds()
            latest = max(latest, seconds)
            if seconds > LATE_SECONDS:
                self._tally.add_fault("ordinary tasks", "late", given=f"upload {key}", seen=f"{seconds:.1f} s")
        return latest

    def _run(self) -> None:
        while not self._end.is_set():
            if self._pause.is_set():
                self._idle.set()
                self._end.wait(0.1)
                continue
            self._idle.clear()
            self._start_one()
            self._end.wait(self._dice.uniform(0.5, 1.5) / A_SECOND)

    def _start_one(self) -> None:
        records = self._dice.randint(1, 20) if self._dice.random() < 0.9 else self._dice.randint(100, 1500)
        body = {
            "name": "upload",
            "description": "ordinary",
            "params": {"numRecords": records},
            "priority": self._dice.choice(("high", "low")),
        }
        headers = {"Idempotency-Key": str(uuid.UUID(int=self._dice.getrandbits(128)))}
        while not self._end.is_set():
            answer = self._stack.post("/tasks", body, headers=headers, timeout_seconds=REQUEST_SECONDS)
            if answer.status == 201:
                self._ledger.add(Accepted(answer.json["id"], "upload", records, time.time()))
                return
            self._tally.add_fault(
                "ordinary tasks", f"POST answers {answer.status}", given=body, seen=answer.error or answer.body[:200]
            )
            self._end.wait(1.0)


def _time(value: object) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
