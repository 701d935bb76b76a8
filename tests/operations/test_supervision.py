"""A real supervisord with deploy/supervisord.conf: after each process is killed, the service recovers with exact tasks.

Then a rolling restart under load on the same supervisor: no request fails, no task is lost or duplicated.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import TABLES, Answer, ProcfileStack
from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import read_procfile
from settings.env import ROOT

RATE = int(os.environ.get("LONGTASKS_RELOAD_RATE", "150"))
# A disk that delays Redis for two seconds is not a fault of the reload; by default web refuses after 1.5 s.
ENVIRONMENT = {"LEASE_SECONDS": "2", "REDIS_TIMEOUT_SECONDS": "10"}


class SupervisedStack(ProcfileStack):
    """The same stack, run by supervisord with the file in deploy/."""

    supervisor: "subprocess.Popen[bytes]"

    @property
    def run_dir(self) -> Path:
        return self.directory

    def ensure_running(self) -> None:
        self.environment |= {"LONGTASKS_HOME": str(ROOT), "LONGTASKS_RUN": str(self.run_dir), "WEB_WORKERS": "2"}
        with (self.directory / "supervisor.out").open("ab") as log:
            self.supervisor = child_process.spawn(
                command=[self.script("supervisord"), "--nodaemon", "-c", str(ROOT / "deploy" / "supervisord.conf")],
                environment=self.environment,
                output=log,
                directory=ROOT,
            )
        self.wait_until_whole()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.supervisor.terminate()
        child_process.stop(process=self.supervisor, grace_seconds=45)
        super().close()

    def script(self, name: str) -> str:
        return str(Path(sys.executable).parent / name)

    def control(self, *words: str) -> str:
        asked = subprocess.run(
            [self.script("supervisorctl"), "-c", str(ROOT / "deploy" / "supervisord.conf"), *words],
            env=self.environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return asked.stdout

    def program_pids(self) -> dict[str, int]:
        """Return the running parents, by program."""
        found = re.findall(r"^(\w+)\s+RUNNING\s+pid (\d+)", self.control("status"), re.MULTILINE)
        return {name: int(pid) for name, pid in found}

    def program_pid(self, name: str) -> int:
        pids = self.program_pids()
        assert name in pids, f"{name} does not run: {pids}"  # pid 0 would be our own process group
        return pids[name]

    def children_of(self, pid: int) -> list[int]:
        with contextlib.suppress(OSError):
            return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def log_path(self, role: str) -> Path:
        return self.run_dir / f"{role}.log"

    def wait_until_whole(self, *, without: int = 0) -> None:
        """Tell whether every process runs again, other than the killed `without`."""

        def whole() -> bool:
            pids = self.program_pids()
            if pids.keys() != read_procfile().keys():
                return False
            web, workers = self.children_of(pids["web"]), self.children_of(pids["worker"])
            return (
                len(web) == 2
                and len(workers) == int(self.environment["WORKERS"])
                and without not in {*pids.values(), *web, *workers}
                and self.get("/health/ready").status == 200
            )

        self.wait_for(whole, deadline_seconds=180, what=lambda: f"the service is whole: {self.control('status')}")


@pytest.fixture
def supervised(servers: tuple[Database, RedisServer]) -> Generator[SupervisedStack, None, None]:
    stack = SupervisedStack(database=servers[0], redis_server=servers[1], environment=ENVIRONMENT)
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


def all_tables(number: int) -> dict[str, int]:
    return dict.fromkeys(TABLES, number)


@pytest.mark.slow
def test_every_process_may_be_killed(supervised: SupervisedStack) -> None:
    stack = supervised
    tasks: dict[str, int] = {}

    def start_some() -> None:
        for records in (4000, 150, 1):
            tasks[stack.start_upload(records=records)] = records

    for name in read_procfile():
        start_some()
        parent = stack.program_pid(name)
        for victim in (*stack.children_of(parent)[:1], parent):
            os.kill(victim, signal.SIGKILL)
            assert child_process.wait_until(lambda pid=victim: not is_alive(pid), deadline_seconds=10)
            stack.wait_until_whole(without=victim)
        assert stack.program_pid(name) != parent
        start_some()

    for task_id, records in tasks.items():
        task = stack.wait_for_end(task_id, deadline_seconds=180)
        assert (task["status"], task["insertedRecords"]) == ("finished", all_tables(records)), task
        assert stack.row_counts(task_id) == stack.position_counts(task_id) == all_tables(records)
        stack.wait_for_record(task_id)
    assert "different" not in stack.manage("task", "verify", "--all")


@pytest.mark.slow
def test_reload_under_load_fails_no_request_and_loses_no_task(supervised: SupervisedStack) -> None:
    stack = supervised
    answers: list[Answer] = []
    stop = threading.Event()
    big = stack.start_upload(records=60_000)

    def send(pause_seconds: float) -> None:
        while not stop.is_set():
            began = time.monotonic()
            answers.append(stack.post("/tasks", {"name": "upload", "params": {"numRecords": 2}}))
            stop.wait(max(0.0, pause_seconds - (time.monotonic() - began)))

    threads = [threading.Thread(target=send, args=(8 / RATE,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        stack.wait_for(lambda: len(answers) > RATE, deadline_seconds=90, what="the load is running")
        before = {name: stack.children_of(stack.program_pid(name)) for name in ("web", "worker")}
        parents = stack.program_pids()
        sent_before = len(answers)
        said = stack.manage("reload")
        stack.wait_for(
            lambda: not any(map(is_alive, before["web"])), deadline_seconds=120, what="web's processes are new"
        )
        sent_by_then = len(answers)
        stack.wait_for(lambda: len(answers) > sent_by_then + RATE, deadline_seconds=90, what="the load continues")
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert "Reloaded: 2 old workers were replaced." in said
    old = [pid for pids in before.values() for pid in pids]
    stack.wait_for(lambda: not any(map(is_alive, old)), deadline_seconds=30, what="no old process runs any more")
    assert parents.keys() == read_procfile().keys()
    assert stack.program_pids() == parents, "a parent was restarted"
    assert [answer for answer in answers if answer.status != 201] == []
    during = sent_by_then - sent_before
    assert during > RATE / 3, f"only {during} requests were answered during the reload: the test proves little"
    ids = {answer.json["id"] for answer in answers}
    assert len(ids) == len(answers)
    assert stack.wait_for_end(big, deadline_seconds=300)["insertedRecords"] == all_tables(60_000)
    assert stack.row_counts(big) == all_tables(60_000)

    def all_finished() -> bool:
        finished = stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord WHERE status = 'finished'")
        return finished == [(len(ids) + 1,)]

    stack.wait_for(all_finished, deadline_seconds=300, what="every task has ended")
    assert stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord") == [(len(ids) + 1,)]
    for table in TABLES:
        places = f"(SELECT DISTINCT task_id, position FROM {table}) AS places"
        rows = stack.sql(f"SELECT COUNT(*), (SELECT COUNT(*) FROM {places}) FROM {table}")
        assert rows == [(2 * len(ids) + 60_000, 2 * len(ids) + 60_000)]


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
