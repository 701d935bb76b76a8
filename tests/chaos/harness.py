"""The chaos run: a stack under load, one fault after the other, each judged by the oracle.

Owns the sequence. Faults, load and oracle are in their own modules.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from loadtests.started.servers import MariaDB, RedisServer
from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.child_process import wait_until
from tests.chaos.clients import Accepted, Clients, Ledger
from tests.chaos.faults import FAULTS, Fault, list_workers
from tests.chaos.odd_mix import DEADLOCK_TABLE_ROWS
from tests.chaos.oracle import Oracle
from tests.chaos.report import Report
from tests.hostile.world import make_tables

END_SECONDS = 240.0  # within which every accepted task must end after a fault
KNOWN_SECONDS = 15.0  # after which the mirror has received all that it ever will
RECOVERY_SECONDS = 120.0
PREEMPTION_TRIES = 100


class Chaos:
    """One run, on servers of its own."""

    def __init__(self, *, seed: int = 1, say: Callable[[str], None] = print) -> None:
        self.dice = random.Random(seed)
        self.say = say
        self.report = Report(began_at=datetime.now(UTC).isoformat(timespec="seconds"))
        self.servers = (MariaDB(), RedisServer())
        self.ledger = Ledger()
        self.flushed_at: list[float] = []
        self.wiped: set[str] = set()

    @contextmanager
    def running(self) -> Generator[None, None, None]:
        """Run servers, stack and clients for the duration of the block."""
        database, redis_server = self.servers
        for server in self.servers:
            server.start()
        self.stack = ProcfileStack(
            database=database,
            redis_server=redis_server,
            environment={
                "DJANGO_SETTINGS_MODULE": "tests.hostile.settings",
                "LOG_LEVEL": "WARNING",
                "SHARD_RECORDS": "2000",  # the biggest tasks of the load run as shards
            },
            workers=2,
        )
        try:
            self.stack.start()
            make_tables(self.stack, rows=DEADLOCK_TABLE_ROWS)
            self.oracle = Oracle(self.stack)
            self.clients = Clients(self.stack, self.ledger)
            self._watching = threading.Event()
            threading.Thread(target=self._watch, daemon=True).start()
            yield
        finally:
            if keep := os.environ.get("CHAOS_LOGS"):
                shutil.copytree(self.stack.directory, keep, dirs_exist_ok=True)
            self._watching.set()
            with contextlib.suppress(Exception):
                self.clients.end()
            self.stack.close()
            for server in self.servers:
                server.remove()

    # --- the parts of a run

    def every_fault(self, *, times: int, kinds: tuple[Fault, ...] = FAULTS) -> None:
        """Make each kind of fault `times` times, and judge all tasks after each kind."""
        for fault in kinds:
            for _ in range(times):
                self.clients.go_on()
                self.warm_up()
                self.inject(fault)
            self.settle(fault.name)

    def soak(self, *, minutes: float, pause_seconds: float = 5.0) -> None:
        """Make a random fault every few seconds."""
        self.report.minutes = minutes
        self.clients.go_on()
        short = [fault for fault in FAULTS if not fault.is_long]
        deadline = time.monotonic() + minutes * 60
        while (began := time.monotonic()) < deadline:
            self.inject(self.dice.choice(short))
            time.sleep(max(0.0, pause_seconds - (time.monotonic() - began)))
        self.settle("soak")

    def inject(self, fault: Fault) -> None:
        self.say(f"{datetime.now().strftime('%H:%M:%S')} {fault.name}")
        self.report.faults[fault.name] = self.report.faults.get(fault.name, 0) + 1
        if fault.name == "FLUSHALL":
            self.flushed_at.append(time.time())
        if fault.kills_worker:
            self._measure_recovery(lambda: fault.action(self.stack, self.dice))
        else:
            fault.action(self.stack, self.dice)

    def settle(self, after: str) -> None:
        """Wait until all tasks have ended, and judge them."""
        self.clients.pause()
        for server in self.servers:
            server.wait_until_ready()
        self.stack.ensure_running()
        began = time.monotonic()

        def has_ended() -> bool:
            if time.monotonic() - began > KNOWN_SECONDS:
                self._set_wiped_apart()
            return not self._list_open()

        wait_until(has_ended, deadline_seconds=END_SECONDS, pause_seconds=0.2)
        verdict = self.oracle.judge(self._list_promised())
        verdict.leftovers += self.oracle.find_leftovers()
        self.report.verdict.add(verdict)
        self.report.accepted = len(self.ledger.list())
        self.report.statuses = dict(sorted(self.oracle.statuses.items()))
        self.report.odd = dict(sorted(self.oracle.odd.items()))
        self.report.wiped_within_lag = len(self.wiped)
        for line in (verdict.lost + verdict.duplicated + verdict.disagreeing + verdict.leftovers)[:10]:
            self.say(f"   !! {line}")
        self.say(f"   {after}: {self.report.accepted} accepted, {'all is well' if verdict.is_well else 'NOT WELL'}")

    def preemption(self, *, tries: int = PREEMPTION_TRIES) -> None:
        """Measure from the POST of a high task to its start, with every worker in an endless task."""
        self.clients.pause()
        endless = [self._start("slow", {"records": 1_000_000, "chunkMs": 250}, "low") for _ in range(2)]
        wait_until(lambda: self._count_claims() >= 2, deadline_seconds=30)
        high = []
        for _ in range(tries):
            time.sleep(self.dice.uniform(0.2, 0.7))
            high.append(self._start("upload", {"numRecords": 1}, "high"))
        wait_until(lambda: not self._list_open(exclude=set(endless)), deadline_seconds=END_SECONDS)
        for task_id in endless:
            self.stack.post(f"/tasks/{task_id}/cancel")
        marks = ", ".join(["%s"] * len(high))
        rows = self.stack.sql(
            f"SELECT created_at, started_at FROM tasks_app_taskrecord WHERE id IN ({marks})",
            *[task_id.replace("-", "") for task_id in high],
        )
        self.report.preemption_seconds += [(started - created).total_seconds() for created, started in rows]
        self.settle("preemption")

    def sigterm(self, *, tries: int) -> None:
        """Measure from SIGTERM to the exit of the workers' parent, which waits for its children, during tasks."""
        self.clients.may_take_long = False
        self.clients.go_on()
        for _ in range(tries):
            self.warm_up()
            time.sleep(self.dice.uniform(0, 0.5))
            self.report.sigterm_seconds.append(self.stack.stop_role("worker"))
            self.stack.start_role("worker")
        self.settle("SIGTERM")

    def hung(self, *, tries: int) -> None:
        """Measure the answers of web, and SIGTERM to exit, while a server hangs."""
        self.clients.may_take_long = False
        for server in (self.stack.redis_server, self.stack.database):
            for _ in range(tries):
                self.clients.go_on()
                self.warm_up()
                path = f"/tasks/{self.ledger.list()[-1].task_id}"
                self.clients.pause()
                server.pause()
                try:
                    self._ask(f"GET /tasks/{{id}} with {server.name} hung", partial(self.stack.get, path))
                    self._ask(f"GET /queues with {server.name} hung", partial(self.stack.get, "/queues"))
                    body = {"name": "upload", "params": {"numRecords": 1}}
                    self._ask(f"POST /tasks with {server.name} hung", partial(self.stack.post, "/tasks", body))
                    self.report.hung_sigterm_seconds.append(self.stack.stop_role("worker"))
                finally:
                    server.resume()
                self.stack.start_role("worker")
            self.settle(f"{server.name} hung")

    # --- measuring

    def _ask(self, what: str, ask: Callable[[], Any]) -> None:
        answer = ask()
        self.report.hung_answer_seconds.setdefault(what, []).append(answer.seconds)
        self.report.hung_answers.setdefault(what, []).append(answer.status)
        if what.startswith("POST") and answer.status == 201:
            self.ledger.add(Accepted(answer.json["id"], "upload", 1, time.time()))

    def _measure_recovery(self, kill: Callable[[], None]) -> None:
        """Measure from a kill to the next committed chunk of a task that the killed worker was running."""
        wait_until(self._list_claims, deadline_seconds=10, pause_seconds=0.05)
        before = self._list_claims()
        living = set(list_workers(self.stack))
        kill()
        killed_at = time.monotonic()
        # A killed process takes a moment to disappear.
        wait_until(lambda: living - set(list_workers(self.stack)), deadline_seconds=5)
        dead = living - set(list_workers(self.stack))
        # Odd tasks have few chunks or none, so their checkpoint does not show that work continues.
        odd = {uuid.UUID(task.task_id).hex for task in self.ledger.list() if task.odd}
        victims = {key: claim for key, claim in before.items() if claim[0] in dead and uuid.UUID(key).hex not in odd}

        def went_on() -> bool:
            with contextlib.suppress(Exception):
                for task_id, (_, epoch, done) in list(victims.items()):
                    [row] = self.stack.sql(
                        "SELECT epoch, done, outcome FROM tasks_app_taskcheckpoint WHERE task_id = %s", task_id
                    )
                    # Its worker may have committed or ended it between our check and the kill.
                    if row[2] or (row[0] > epoch and row[1] > done):
                        if row[0] > epoch:
                            self.report.recovery_seconds.append(time.monotonic() - killed_at)
                        del victims[task_id]
            return not victims

        if victims and not wait_until(went_on, deadline_seconds=RECOVERY_SECONDS):
            self.report.not_recovered += len(victims)
            self.say(f"   !! not recovered in {RECOVERY_SECONDS} s: {victims}")

    def _list_claims(self) -> dict[str, tuple[str, int, int]]:
        with contextlib.suppress(Exception):
            rows = self.stack.sql(
                "SELECT task_id, worker, epoch, done FROM tasks_app_taskcheckpoint"
                " WHERE outcome = '' AND lease_until IS NOT NULL"
            )
            return {str(row[0]): (row[1], row[2], row[3]) for row in rows}
        return {}

    def _count_claims(self) -> int:
        return len(self._list_claims())

    def _watch(self) -> None:
        """Give the clients the number of open tasks, and sample the mirror's lag."""
        while not self._watching.wait(0.25):
            with contextlib.suppress(Exception):
                self.clients.tell_open(len(self._list_open()))
                with self.stack.redis() as client:
                    oldest: Any = client.xrange("longtasks:events", count=1)
                    seconds, microseconds = client.time()
                written_at = int(oldest[0][0].split(b"-")[0]) / 1000 if oldest else None
                lag = 0.0 if written_at is None else seconds + microseconds / 1e6 - written_at
                self.report.lag_seconds.append(max(0.0, lag))

    # --- helpers of the above

    def _start(self, name: str, params: dict[str, int], priority: str) -> str:
        answer = self.stack.post("/tasks", {"name": name, "params": params, "priority": priority})
        assert answer.status == 201, answer
        records = params.get("numRecords") or params["records"]
        self.ledger.add(Accepted(answer.json["id"], name, records, time.time()))
        return str(answer.json["id"])

    def warm_up(self) -> None:
        """Wait until workers run again."""
        wait_until(
            lambda: len(list_workers(self.stack)) >= 2 and self._list_claims(), deadline_seconds=15, pause_seconds=0.1
        )

    def _list_promised(self) -> list[Accepted]:
        return [task for task in self.ledger.list() if task.task_id not in self.wiped]

    def _list_open(self, *, exclude: set[str] | None = None) -> list[Accepted]:
        return [task for task in self.oracle.list_open(self._list_promised()) if task.task_id not in (exclude or ())]

    def _set_wiped_apart(self) -> None:
        """Separate the tasks that a FLUSHALL deleted before the mirror read them: only Redis knew them."""
        for task in self.oracle.list_unknown(self._list_promised()):
            later = [at for at in self.flushed_at if at >= task.accepted_at - 1]
            if later:
                self.wiped.add(task.task_id)
                self.report.wiped_window_seconds.append(max(0.0, later[0] - task.accepted_at))

    def finish(self) -> Report:
        self.report.load_average = os.getloadavg()[0]
        return self.report
