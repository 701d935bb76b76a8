"""The original's scripts under their new names: init.sql, test_context.sql, generateFakeData, workerServer."""

import subprocess
from datetime import datetime

from longtasks import child_process
from longtasks.stack import PROJECT_DIR
from tests.conftest import MakeStack
from tests.stack import TABLES, ProcfileStack


def table_counts(stack: ProcfileStack) -> dict[str, int]:
    return {table: stack.sql(f"SELECT COUNT(*) FROM {table}")[0][0] for table in TABLES}


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {table: after[table] - before[table] for table in TABLES}


def test_init_sql_is_the_migrations(stack: ProcfileStack) -> None:
    assert "[ ]" not in stack.manage("showmigrations", "--plan")
    assert set(table_counts(stack)) == set(TABLES)


def test_load_test_context_loads_a_small_data_set_that_is_always_the_same(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.manage("load_test_context")
    first = {table: stack.sql(f"SELECT * FROM {table} ORDER BY id") for table in TABLES}
    assert all(0 < len(rows) <= 1_000 for rows in first.values())

    stack.manage("load_test_context")

    assert {table: len(stack.sql(f"SELECT * FROM {table}")) for table in TABLES} == {
        table: len(rows) for table, rows in first.items()
    }


def test_generate_fake_data_fills_the_tables(stack: ProcfileStack) -> None:
    before = table_counts(stack)

    stack.manage("generate_fake_data", "--records", "1234")

    assert grown(before, table_counts(stack)) == dict.fromkeys(TABLES, 1234)


def test_workers_starts_num_processes_and_replaces_a_dead_one(make_stack: MakeStack) -> None:
    stack = make_stack(workers=3)
    stack.wait_for(lambda: len(stack.child_pids("worker")) == 3, deadline_seconds=30, what="three workers run")
    parent = stack.parent_pid("worker")

    dead = stack.kill_child("worker")

    stack.wait_for(
        lambda: len(stack.child_pids("worker")) == 3 and dead not in stack.child_pids("worker"),
        deadline_seconds=15,
        what=f"another worker for {dead}: {stack.child_pids('worker')}",
    )
    assert stack.parent_pid("worker") == parent
    task_id = stack.start_upload(records=10)
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"


def test_workers_pauses_ms_after_every_chunk(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.stop_role("worker")
    paused = child_process.spawn(
        command=["python", "manage.py", "workers", "1", "--pause-ms", "1500"],
        environment=stack.environment,
        output=subprocess.DEVNULL,
        directory=PROJECT_DIR,
    )
    try:
        # More than a first chunk holds: there is at least one pause before the end.
        task = stack.wait_for_end(stack.start_upload(records=5_000), deadline_seconds=60)
    finally:
        child_process.stop(process=paused, grace_seconds=20)

    assert task["status"] == "finished"
    ran = datetime.fromisoformat(task["endedAt"]) - datetime.fromisoformat(task["startedAt"])
    assert ran.total_seconds() >= 1.5


def test_workers_stop_within_two_seconds_and_leave_nothing(make_stack: MakeStack) -> None:
    stack = make_stack(workers=2)
    task_id = stack.start_upload(records=1_000_000)
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"], deadline_seconds=30, what="the task runs")

    stopped_after_seconds = stack.stop_role("worker")

    assert stopped_after_seconds < 2
    assert stack.pids("worker") == []
