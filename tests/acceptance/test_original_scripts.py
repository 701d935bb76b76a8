"""The original's scripts under their new names: init.sql, test_context.sql, generateFakeData, workerServer."""

import statistics
from collections.abc import Callable, Generator
from datetime import datetime

import pytest

from loadtests.started.stack import TABLES, ProcfileStack

StartWorkers = Callable[[str], str]


def table_counts(stack: ProcfileStack) -> dict[str, int]:
    return {table: stack.sql(f"SELECT COUNT(*) FROM {table}")[0][0] for table in TABLES}


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {table: after[table] - before[table] for table in TABLES}


def test_init_sql_is_the_migrations(stack: ProcfileStack) -> None:
    assert "[ ]" not in stack.manage("showmigrations", "--plan")
    assert set(table_counts(stack)) == set(TABLES)


def test_load_test_context_loads_a_small_set_once(stack: ProcfileStack) -> None:
    before = table_counts(stack)

    stack.manage("load_test_context")
    once = table_counts(stack)
    stack.manage("load_test_context")

    assert all(0 < count <= 1_000 for count in grown(before, once).values())
    assert table_counts(stack) == once


def test_generate_fake_data_fills_the_tables(stack: ProcfileStack) -> None:
    before = table_counts(stack)

    stack.manage("generate_fake_data", "--records", "1234")

    assert grown(before, table_counts(stack)) == dict.fromkeys(TABLES, 1234)


@pytest.fixture
def start_workers(stack: ProcfileStack) -> Generator[StartWorkers, None, None]:
    """Start `workers NUM [--pause-ms MS]` in place of the stack's workers; returns its role."""
    role = "workers-command"
    stack.stop_role("worker")

    def start(arguments: str) -> str:
        stack.start_role(role, command=f"python manage.py workers {arguments}")
        return role

    yield start
    if stack.is_running(role):
        stack.stop_role(role)


def test_workers_starts_num_processes_and_replaces_a_dead_one(
    stack: ProcfileStack, start_workers: StartWorkers
) -> None:
    role = start_workers("3")
    stack.wait_for(lambda: len(stack.child_pids(role)) == 3, deadline_seconds=30, what="three workers run")
    parent = stack.parent_pid(role)

    dead = stack.kill_child(role)

    stack.wait_for(
        lambda: len(stack.child_pids(role)) == 3 and dead not in stack.child_pids(role),
        deadline_seconds=30,
        what=lambda: f"another worker for {dead}: {stack.child_pids(role)}",
    )
    assert stack.parent_pid(role) == parent
    assert stack.wait_for_end(stack.start_upload(records=10), deadline_seconds=30)["status"] == "finished"


def test_workers_pauses_ms_after_every_chunk(stack: ProcfileStack, start_workers: StartWorkers) -> None:
    start_workers("1 --pause-ms 1500")

    # More than a first chunk or a batch holds: there is a pause before the end.
    task = stack.wait_for_end(stack.start_upload(records=1_500), deadline_seconds=60)

    assert task["status"] == "finished"
    ran = datetime.fromisoformat(task["endedAt"]) - datetime.fromisoformat(task["startedAt"])
    assert ran.total_seconds() >= 1.5


def test_workers_stop_within_two_seconds_and_leave_nothing(stack: ProcfileStack, start_workers: StartWorkers) -> None:
    task_id = stack.start_upload(
        records=100_000
    )  # a bigger task would be split, and remain started while its shards wait
    stop_seconds = []
    for _ in range(3):
        done = stack.task(task_id)["progress"]["done"]
        role = start_workers("2")
        stack.wait_for(
            lambda done=done: stack.task(task_id)["progress"]["done"] > done,
            deadline_seconds=30,
            what="the task continues from its checkpoint",
        )

        stop_seconds.append(stack.stop_role(role))

        assert stack.pids(role) == []
        stack.wait_for(
            lambda: stack.task(task_id)["status"] == "queued", deadline_seconds=30, what="the task is queued again"
        )
    assert stack.task(task_id)["attempts"] <= 1, "a stop is not a failed attempt"
    assert statistics.median(stop_seconds) < 2, stop_seconds
    stack.post(f"/tasks/{task_id}/cancel")
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "canceled"
