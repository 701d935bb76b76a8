"""Task code outside a chunk's transaction: hooks, split, preparation, the lease keeper and time limits."""

import os
import signal
import time
import uuid
from collections.abc import Callable, Generator
from typing import Any, ClassVar

import pytest
from django.db import connection, connections, transaction

from loadtests.started.servers import IS_EMBEDDED
from tasks_app import task_types
from tasks_app.checkpoints import cancel_and_reopen, claims, expired_claims
from tasks_app.checkpoints.claims import Claim, Refusal
from tasks_app.engine import chunk_guard
from tasks_app.engine.chunk_errors import TaskCodeFailed
from tasks_app.engine.chunk_guard import ChunkGuard
from tasks_app.engine.lease_keeper import LeaseKeeper
from tasks_app.queues import parked_tasks, redis_connection
from tasks_app.task_types import Chunk, ChunkResult, register, unregister
from tests.support.engine import Worker, checkpoint, job, positions, start
from tests.support.task_types import RecordsTask, insert_users

mysql_only = pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no such statement")


@register
class EdgyTask(RecordsTask):
    """Calls the functions in `acts` in each of its hooks."""

    name = "edgy"
    first_limit = max_limit = 5
    acts: ClassVar[dict[str, Callable[[], Any]]] = {}

    def prepare_split(self, *, task_id: uuid.UUID, params: Any) -> Any:
        return self.acts["split"]() or {}

    def prepare_chunks(self, chunks: Any) -> Any:
        return self.acts.get("prepare", lambda: None)()

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        self.acts.get("run", lambda: None)()
        insert_users(chunk, stop=chunk.start + chunk.limit)
        return ChunkResult(chunk.limit, {"users": chunk.limit})


@register
class EdgySmallTask(EdgyTask):
    """The same as a batchable task."""

    name = "edgy_small"
    shareable = True


@register
class EdgySplitTask(EdgyTask):
    """The same as a splittable task."""

    name = "edgy_split"
    splittable = True


@pytest.fixture(autouse=True)
def acts() -> Generator[dict[str, Callable[[], Any]], None, None]:
    EdgyTask.acts.clear()
    yield EdgyTask.acts
    EdgyTask.acts.clear()


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def end_the_process() -> None:
    raise SystemExit(0)


def fail() -> None:
    raise ValueError("a hook")


@pytest.mark.parametrize("name", ["edgy", "edgy_small"])
@pytest.mark.parametrize("hook", [fail, end_the_process])
def test_an_on_commit_hook_cannot_end_the_worker(name: str, hook: Callable[[], None], acts: Any) -> None:
    acts["run"] = lambda: transaction.on_commit(hook)
    task_id = start(name, records=10 if name == "edgy" else 5)
    Worker().run()
    assert checkpoint(task_id).outcome == job(task_id).status == "finished"
    assert positions(task_id) == list(range(10 if name == "edgy" else 5))


def test_a_small_task_of_an_unregistered_type_is_parked() -> None:
    task_id, other = start("edgy_small", records=3), start("small", records=3)
    unregister("edgy_small")
    try:
        Worker().run()
    finally:
        task_types.registry._registry["edgy_small"] = EdgySmallTask()
    assert parked_tasks.list_parked_ids(redis_connection.get_connection()) == [task_id]
    assert checkpoint(other).outcome == "finished"


@pytest.mark.parametrize(
    "leave",
    [lambda: connection.set_autocommit(False), lambda: transaction.atomic().__enter__(), lambda: execute("BEGIN")],
)
def test_a_transaction_left_open_outside_of_the_chunk_is_a_failed_attempt(leave: Callable[[], Any], acts: Any) -> None:
    if leave.__code__.co_consts[-1] == "BEGIN" and not IS_EMBEDDED:
        pytest.skip("a BEGIN is not visible on MySQL; the chunk's own BEGIN commits it")
    acts["prepare"] = leave
    worker, task_id = Worker(), start("edgy", records=5)
    worker.run()
    assert "left a transaction open outside of its chunk" in checkpoint(task_id).error
    assert positions(task_id) == []
    acts.clear()
    other = start("slow", records=2)
    worker.run()
    assert positions(other) == [0, 1]


@mysql_only
def test_a_timeout_between_a_statement_and_its_result_fails_the_attempt(
    acts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EdgyTask, "chunk_timeout_seconds", 0.5)
    acts["prepare"] = lambda: execute("SELECT SLEEP(0.7)")
    worker, task_id = Worker(), start("edgy", records=5)
    worker.run()
    assert "longer than 0.5 s" in checkpoint(task_id).error
    other = start("slow", records=2)
    worker.run()
    assert positions(other) == [0, 1]


@mysql_only
def test_a_deadlock_in_a_procedure_costs_no_attempt(acts: Any) -> None:
    """The server rolls back, and callproc() bypasses Django's execute wrappers."""
    execute("DROP PROCEDURE IF EXISTS deadlocks")
    execute(
        "CREATE PROCEDURE deadlocks() BEGIN ROLLBACK; SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213,"
        " MESSAGE_TEXT = 'Deadlock'; END"
    )
    met: list[int] = []

    def call_once() -> None:
        if not met:
            met.append(1)
            with connection.cursor() as cursor:
                cursor.callproc("deadlocks")

    acts["run"] = call_once
    task_id = start("edgy", records=10)
    Worker().run()
    assert (checkpoint(task_id).outcome, checkpoint(task_id).failures) == ("finished", 0)
    assert positions(task_id) == list(range(10))


@mysql_only
@pytest.mark.parametrize(
    "statement", ["SET @x = 1, autocommit = 1", "/*My note*/ COMMIT", "EXECUTE IMMEDIATE 'COMMIT'"]
)
def test_disguised_commits_are_refused(statement: str, acts: Any) -> None:
    acts["run"] = lambda: execute(statement)
    task_id = start("edgy", records=5)
    Worker().run()
    assert "which ends the chunk's transaction" in checkpoint(task_id).error
    assert positions(task_id) == []


def test_a_released_claim_is_not_renewed() -> None:
    task_id = uuid.UUID(start("edgy", records=5))
    claim = claims.claim(task_id=task_id, worker="w1")
    assert isinstance(claim, Claim)
    assert claims.renew(claim)
    claims.release(claim)
    assert not claims.renew(claim)
    assert not isinstance(claims.claim(task_id=task_id, worker="w2"), Refusal)


@mysql_only
def test_a_cancel_ends_the_retries_of_a_failing_split(longtasks: Callable[..., None], acts: Any) -> None:
    longtasks(shard_records=2)
    calls: list[int] = []
    task_id = start("edgy_split", records=10)

    def refuse() -> None:
        calls.append(1)
        if len(calls) == 3:
            cancel_and_reopen.request_cancel(task_id=uuid.UUID(task_id))
        execute("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1999, MESSAGE_TEXT = 'as if'")

    acts["split"] = refuse
    Worker().run()
    assert checkpoint(task_id).outcome == "canceled"
    assert len(calls) == 3


@mysql_only
def test_a_split_may_take_longer_than_a_lease(longtasks: Callable[..., None], acts: Any) -> None:
    longtasks(shard_records=2, lease_seconds=0.6)
    start("edgy_split", records=10)
    keeper, worker, run_out = LeaseKeeper(), Worker(), []
    keeper.start()
    worker.runner._keeper = keeper

    def dawdle() -> None:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            time.sleep(0.05)
        run_out.extend(expired_claims.list_expired(limit=5))

    acts["split"] = dawdle
    try:
        worker.run()
    finally:
        keeper.stop()
    assert run_out == []


def test_the_lease_keeper_spares_a_process_that_was_stopped(longtasks: Callable[..., None]) -> None:
    """The chunk takes 0.4 s of its limit of 1 s; the process is stopped for longer than limit and lease."""
    longtasks(lease_seconds=0.4)
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        keeper = LeaseKeeper()
        keeper.start()
        with keeper.watching(limit_seconds=1):
            for _ in range(8):
                time.sleep(0.05)
        os._exit(7)
    time.sleep(0.2)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2.5)  # the elapsed time is what is tested
    os.kill(pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_an_alarm_as_the_task_code_returns_leaves_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    set_timer = signal.setitimer

    def alarm_first(which: int, seconds: float, interval: float = 0.0) -> Any:
        if seconds == 0:
            signal.raise_signal(signal.SIGALRM)
        return set_timer(which, seconds, interval)

    monkeypatch.setattr(chunk_guard.signal, "setitimer", alarm_first)
    guard = ChunkGuard()
    with guard.watching(limit_seconds=5):
        try:
            guard.prepare(lambda: 1)
        except TaskCodeFailed as failed:
            pytest.fail(f"the task code had already returned: {failed.error!r}")
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
