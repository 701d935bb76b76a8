"""tasks_app/engine/lease_keeper.py: a claim is renewed during a long chunk; process death or time limit end it."""

import contextlib
import os
import signal
import time
from typing import Any

import pytest

from loadtests.started.servers import IS_EMBEDDED
from loadtests.started.stack import ProcfileStack
from tests.conftest import MakeStack
from tests.engine.test_worker import start

mysql_only = pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no statement that sleeps, and no server")
# Short, to keep the suite fast: LONG_CHUNK_SECONDS=30 LONG_CHUNK_LEASE=6 tests the defaults.
CHUNK_SECONDS = float(os.environ.get("LONG_CHUNK_SECONDS", "4"))
LEASE_SECONDS = float(os.environ.get("LONG_CHUNK_LEASE", "1"))
HALF = "SELECT worker, failures FROM tasks_app_taskcheckpoint WHERE task_id = %s AND lease_until IS NOT NULL"


@pytest.fixture
def stack(make_stack: MakeStack) -> ProcfileStack:
    return make_stack(
        workers=2,
        environment={
            "DJANGO_SETTINGS_MODULE": "tests.support.engine_settings",
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "RETRY_ATTEMPTS": "2",
            "RETRY_FIRST_SECONDS": "0.1",
        },
    )


def _assert_whole(stack: ProcfileStack, task_id: str, *, records: int, attempts: int = 1) -> dict[str, Any]:
    ended = stack.wait_for_end(task_id, deadline_seconds=60)
    assert (ended["status"], ended["attempts"]) == ("finished", attempts), ended
    assert stack.row_counts(task_id)["users"] == stack.position_counts(task_id)["users"] == records
    return ended


def _wait_until_claimed(stack: ProcfileStack, task_id: str) -> str:
    """Return the worker's name."""
    found: list[Any] = []

    def is_claimed() -> bool:
        found[:] = stack.sql(HALF, task_id.replace("-", ""))
        return bool(found)

    stack.wait_for(is_claimed, deadline_seconds=30, what="a worker claims it")
    return str(found[0][0])


@pytest.mark.slow
@pytest.mark.parametrize("in_database", [False, pytest.param(True, marks=mysql_only)])
def test_a_chunk_of_several_leases_ends_in_one_attempt(stack: ProcfileStack, in_database: bool) -> None:
    long = start(stack, "sleepy", records=10, chunkMs=int(CHUNK_SECONDS * 1000), inDatabase=in_database)
    others = [start(stack, "slow", records=3) for _ in range(3)]
    for task_id in others if not IS_EMBEDDED else ():
        _assert_whole(stack, task_id, records=3)
    assert _assert_whole(stack, long, records=10)["error"] is None


@pytest.mark.slow
@pytest.mark.parametrize("fault", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=mysql_only)])
def test_a_worker_that_dies_in_a_long_chunk_is_taken_over_at_once(stack: ProcfileStack, fault: int) -> None:
    """A stopped process keeps the locks on its rows unless its connection is ended."""
    task_id = start(stack, "sleepy", records=10, chunkMs=int(CHUNK_SECONDS * 1000))
    worker = _wait_until_claimed(stack, task_id)
    time.sleep(LEASE_SECONDS)  # longer than a lease, so the claim was renewed at least once
    [pid] = [pid for pid in stack.child_pids("worker") if worker.encode() in _command_line(pid)]
    os.kill(pid, fault)
    faulted = time.monotonic()
    try:
        stack.wait_for(
            lambda: _wait_until_claimed(stack, task_id) != worker, deadline_seconds=10, what="another worker claims it"
        )
        assert time.monotonic() - faulted < 10
        stack.wait_for_end(task_id, deadline_seconds=30 + CHUNK_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):  # the parent kills a worker that is stopped for half a minute
            os.kill(pid, signal.SIGCONT)
    _assert_whole(stack, task_id, records=10, attempts=2)


@pytest.mark.slow
@pytest.mark.parametrize("in_database", [False, pytest.param(True, marks=mysql_only)])
def test_a_chunk_over_its_time_limit_fails_with_that_cause(stack: ProcfileStack, in_database: bool) -> None:
    task_id = start(stack, "hasty", records=10, chunkMs=60_000, inDatabase=in_database, swallow=True)

    ended = stack.wait_for_end(task_id, deadline_seconds=60)

    assert (ended["status"], ended["attempts"]) == ("failed", 2)
    assert "The chunk took longer than 1 s" in ended["error"]
    assert stack.row_counts(task_id)["users"] == 0
    _assert_whole(stack, start(stack, "slow"), records=3)


@pytest.mark.slow
def test_a_chunk_that_checks_for_interruption_sees_a_cancel_early(stack: ProcfileStack) -> None:
    task_id = start(stack, "sleepy", records=10, chunkMs=30_000)
    _wait_until_claimed(stack, task_id)
    stack.post(f"/tasks/{task_id}/cancel")
    assert stack.wait_for_end(task_id, deadline_seconds=10)["status"] == "canceled"
    assert stack.row_counts(task_id)["users"] == 0


@pytest.mark.slow
@mysql_only
def test_a_hung_server_is_detected_during_a_long_statement(stack: ProcfileStack) -> None:
    task_id = start(stack, "sleepy", records=10, chunkMs=1500, inDatabase=True)
    _wait_until_claimed(stack, task_id)
    stack.database.pause()
    try:
        stack.wait_for(
            lambda: "the database hangs" in stack.log_tail("worker", lines=200),
            deadline_seconds=20,
            what="the worker notices it",
        )
    finally:
        stack.database.resume()
    _assert_whole(stack, task_id, records=10)


def _command_line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""
