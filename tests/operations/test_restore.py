"""Backups of Redis and the database, taken at different times under load, are restored: which tasks are lost.

These tests assert what docs/operations.md promises. `pytest -s` prints what was lost.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from loadtests.started.servers import IS_EMBEDDED, Database, RedisServer
from loadtests.started.stack import ENDED, TABLES, ProcfileStack
from longtasks.local_stack.child_process import wait_until
from tests.operations.backups import RestorableRedis, copy_redis, dump_database, restore_database

ROLES = ("web", "worker", "mirror")
LAG_SECONDS = 3.0  # the mirror may have been applying these when the database was backed up


@dataclass
class Load:
    """A client that starts tasks without a pause and records when each was accepted."""

    stack: ProcfileStack
    accepted: dict[str, tuple[float, int]] = field(default_factory=dict)  # id: (when, records)
    _ends: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def start(self, *, records: int, key: str = "") -> str:
        task = {"name": "upload", "params": {"numRecords": records}}
        answer = self.stack.post("/tasks", task, headers={"Idempotency-Key": key} if key else None)
        assert answer.status in (200, 201), answer
        self.accepted.setdefault(str(answer.json["id"]), (time.time(), records))
        return str(answer.json["id"])

    def _run(self) -> None:
        number = 0
        while not self._ends.wait(0.05):
            number += 1
            self.start(records=1500 if number % 10 == 0 else 1 + number % 7)

    def wait_for_ends(self, number: int) -> None:
        """Wait until `number` more tasks have ended."""

        def ended() -> int:
            return int(self.stack.sql("SELECT COUNT(*) FROM tasks_app_taskcheckpoint WHERE outcome = 'finished'")[0][0])

        wanted = ended() + number
        self.stack.wait_for(lambda: ended() >= wanted, deadline_seconds=60, what=f"{number} more tasks end")


@pytest.fixture
def stack(servers: tuple[Database, RedisServer]) -> Generator[ProcfileStack, None, None]:
    """A stack on the tests' database server and on its own Redis, which is restored as a whole."""
    server = RestorableRedis(is_valkey=IS_EMBEDDED)
    environment = {"LEASE_SECONDS": "2", "PAUSE_MS": "20"}
    stack = ProcfileStack(database=servers[0], redis_server=server, workers=2, roles=ROLES, environment=environment)
    try:
        server.start()
        stack.start()
        yield stack
    finally:
        stack.close()
        server.remove()


def stop(stack: ProcfileStack) -> None:
    for role in ROLES:
        stack.kill_role(role)


def restore_redis(stack: ProcfileStack, path: Path) -> None:
    assert isinstance(stack.redis_server, RestorableRedis)
    stack.redis_server.restore(path)


def judge(stack: ProcfileStack, load: Load) -> set[str]:
    """Return the lost tasks; all others must end with each row written once."""

    def statuses() -> dict[str, str]:
        rows = stack.sql("SELECT id, status FROM tasks_app_taskrecord")
        return {str(uuid.UUID(str(task_id))): status for task_id, status in rows}

    def is_known(task_id: str) -> bool:
        return stack.get(f"/tasks/{task_id}").status == 200

    known = [task_id for task_id in load.accepted if is_known(task_id)]
    wait_until(lambda: all(statuses().get(each) in ENDED for each in known), deadline_seconds=90, pause_seconds=0.3)
    found = statuses()
    still = {each: found.get(each) for each in known if found.get(each) not in ENDED}
    assert not still, f"{still}\n{stack.log_tail('mirror')}\n{stack.log_tail('worker')}"
    wrong = []
    for table in TABLES:
        counts = {
            str(uuid.UUID(str(task_id))): (int(rows), int(distinct))
            for task_id, rows, distinct in stack.sql(
                f"SELECT task_id, COUNT(*), COUNT(DISTINCT position) FROM {table} GROUP BY task_id"
            )
        }
        wrong += [
            (each, table, found[each], counts.get(each), load.accepted[each][1])
            for each in known
            if found[each] == "finished" and counts.get(each) != (load.accepted[each][1],) * 2
        ]
    assert not wrong, wrong[:10]
    assert "differs" not in stack.manage("task", "verify", "--all")
    with stack.redis() as client:
        assert not [
            client.zrange(f"rq:wip:{name}", 0, -1) for name in ("high", "low") if client.zcard(f"rq:wip:{name}")
        ]
    return set(load.accepted) - set(known)


@pytest.mark.slow
def test_redis_older_than_the_database(stack: ProcfileStack, tmp_path: Path) -> None:
    with Load(stack) as load:
        load.wait_for_ends(15)
        copy_redis(stack.redis_server, tmp_path / "redis.rdb")
        keyed = load.start(records=3, key="between")
        canceled = load.start(records=50_000)
        assert stack.post(f"/tasks/{canceled}/cancel").status in (200, 202)
        load.wait_for_ends(20)
        stack.wait_for_record(canceled)
        dumped_at = time.time()
        dump_database(stack.database, stack.database_name, tmp_path / "database")
        load.wait_for_ends(10)
    stop(stack)
    restore_redis(stack, tmp_path / "redis.rdb")
    restore_database(stack.database, stack.database_name, tmp_path / "database")
    stack.ensure_running()

    lost = judge(stack, load)

    print(f"Redis older: {len(lost)} of {len(load.accepted)} lost: accepted after the database's backup")
    assert lost, "the test has started nothing after the backups"
    early = {each for each in lost if load.accepted[each][0] < dumped_at - LAG_SECONDS}
    assert not early, f"lost although the database's backup is newer: {early}"
    assert stack.task(canceled)["status"] == "canceled"
    assert load.start(records=3, key="between") != keyed, "its key was in Redis only, as docs/operations.md says"


@pytest.mark.slow
def test_the_database_older_than_redis(stack: ProcfileStack, tmp_path: Path) -> None:
    with Load(stack) as load:
        load.wait_for_ends(15)
        dump_database(stack.database, stack.database_name, tmp_path / "database")
        keyed = load.start(records=3, key="between")
        canceled = load.start(records=50_000)
        assert stack.post(f"/tasks/{canceled}/cancel").status in (200, 202)
        load.wait_for_ends(20)
        stack.wait_for_end(canceled, deadline_seconds=60)
        copied_at = time.time()
        copy_redis(stack.redis_server, tmp_path / "redis.rdb")
        load.wait_for_ends(10)
    stop(stack)
    restore_redis(stack, tmp_path / "redis.rdb")
    restore_database(stack.database, stack.database_name, tmp_path / "database")
    stack.ensure_running()

    lost = judge(stack, load)

    print(f"database older: {len(lost)} of {len(load.accepted)} lost: accepted after Redis's copy")
    early = {each for each in lost if load.accepted[each][0] < copied_at}
    assert not early, f"lost although Redis's copy is newer: {early}"
    assert lost, "the test has started nothing after the backups"
    assert stack.task(canceled)["status"] == "canceled"
    assert load.start(records=3, key="between") == keyed
