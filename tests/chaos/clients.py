"""Load for the chaos run: HTTP clients that start and cancel tasks, and retry with their key until they get an answer.

Owns the ledger of accepted tasks: only these are promised.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

from loadtests.started.stack import ProcfileStack
from tests.chaos.odd_mix import SHARE, Odd, draw_odd

REQUEST_SECONDS = 4.0
PAUSE_SECONDS = 0.25


@dataclass(slots=True)
class Accepted:
    """A task for which a client has seen a 201."""

    task_id: str
    name: str
    records: int
    accepted_at: float  # time.time()
    cancel_asked: bool = False
    odd: Odd | None = None  # an odd task and its required end


class Ledger:
    """The tasks accepted so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, Accepted] = {}
        self.tries = 0  # requests sent to start them, more if answers were lost
        self.slow_refusals = 0  # answers other than 201 that took longer than two seconds

    def add(self, task: Accepted) -> None:
        with self._lock:
            self._tasks[task.task_id] = task

    def list(self) -> list[Accepted]:
        with self._lock:
            return list(self._tasks.values())


class Clients:
    """Client threads in a closed loop: they wait while `most_open` of their tasks have not ended."""

    def __init__(self, stack: ProcfileStack, ledger: Ledger, *, number: int = 2, most_open: int = 40) -> None:
        self._stack = stack
        self._ledger = ledger
        self._may_run = threading.Event()
        self._must_end = threading.Event()
        self._open = 0
        self._most_open = most_open
        self._threads = [threading.Thread(target=self._run, args=(seed,), daemon=True) for seed in range(number)]
        self._busy = 0
        self.may_take_long = True  # may tasks start whose chunks take longer than a worker's grace period?
        self._lock = threading.Lock()

    def start(self) -> None:
        self._may_run.set()
        for thread in self._threads:
            thread.start()

    def tell_open(self, number: int) -> None:
        self._open = number

    def pause(self) -> None:
        """Return when no request is in flight."""
        self._may_run.clear()
        while self._busy:
            time.sleep(0.05)

    def go_on(self) -> None:
        self._may_run.set()

    def end(self) -> None:
        self._must_end.set()
        self._may_run.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, seed: int) -> None:
        dice = random.Random(seed)
        while not self._must_end.is_set():
            self._may_run.wait()
            if self._open >= self._most_open:
                time.sleep(0.1)
                continue
            with self._lock:
                self._busy += 1
            try:
                self._start_one(dice)
            finally:
                with self._lock:
                    self._busy -= 1
            time.sleep(dice.uniform(0.0, 0.3))

    def _start_one(self, dice: random.Random) -> None:
        odd = draw_odd(dice, may_take_long=self.may_take_long) if dice.random() < SHARE else None
        name, params, records = (odd.name, dict(odd.params), odd.records) if odd else _draw_task(dice)
        key = str(uuid.UUID(int=dice.getrandbits(128)))
        body = {"name": name, "params": params, "priority": "high" if dice.random() < 0.3 else "low"}
        while not self._must_end.is_set():
            self._ledger.tries += 1
            answer = self._stack.post("/tasks", body, headers={"Idempotency-Key": key}, timeout_seconds=REQUEST_SECONDS)
            if answer.status in (200, 201):
                task = Accepted(answer.json["id"], name, records, time.time(), odd=odd)
                self._ledger.add(task)
                break
            if answer.status and answer.seconds > 2.2:
                self._ledger.slow_refusals += 1
            time.sleep(PAUSE_SECONDS)
        else:
            return
        if dice.random() < 0.06:
            time.sleep(dice.uniform(0, 1.0))
            self._cancel(task)

    def _cancel(self, task: Accepted) -> None:
        task.cancel_asked = True
        while not self._must_end.is_set():
            answer = self._stack.post(f"/tasks/{task.task_id}/cancel", timeout_seconds=REQUEST_SECONDS)
            if answer.status and answer.status < 500:
                return
            time.sleep(PAUSE_SECONDS)


def _draw_task(dice: random.Random) -> tuple[str, dict[str, Any], int]:
    """Mostly small tasks, some of a few chunks, some that take seconds."""
    draw = dice.random()
    if draw < 0.08:
        records = dice.randint(10, 30)
        return "slow", {"records": records, "chunkMs": 200}, records
    records = dice.randint(1, 20) if draw < 0.6 else dice.randint(21, 1500) if draw < 0.92 else dice.randint(3000, 9000)
    return "upload", {"numRecords": records}, records
