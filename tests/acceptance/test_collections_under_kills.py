"""Back-fills and clean-ups on real worker processes that are killed: every row is processed exactly once.

`python -m tests.chaos.collections` does the same with a million rows.
"""

import os
import signal
import uuid

import pytest

from loadtests.started.stack import ProcfileStack
from tests.chaos.collections import NAMES, Filled, fill, find_faults, kill_workers, prepare, start_task
from tests.chaos.faults import list_workers
from tests.conftest import MakeStack

pytestmark = pytest.mark.slow
ROWS = 2_000
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "tests.support.engine_settings",
    "LEASE_SECONDS": "1",
    "RESCUE_SECONDS": "0.2",
    "RETRY_ATTEMPTS": "50",
    "RETRY_FIRST_SECONDS": "0.1",
    "RETRY_MAX_SECONDS": "0.5",
    "CHUNK_SECONDS": "0.02",
}


def assert_exact(stack: ProcfileStack, name: str, task_id: str, filled: Filled) -> None:
    task = stack.wait_for_end(task_id, deadline_seconds=240)
    assert find_faults(stack, name, task, filled) == []


def read_worker(stack: ProcfileStack, task_id: str) -> str:
    rows = stack.sql("SELECT worker FROM tasks_app_taskcheckpoint WHERE task_id = %s", uuid.UUID(task_id).hex)
    return str(rows[0][0]) if rows else ""


# A task that kills its workers goes on in small chunks, so shards whose every third commit fails would take minutes.
@pytest.mark.parametrize(
    ("name", "point", "shard_records"),
    [*((name, "before_chunk_commit", 0) for name in NAMES), ("add_one", "after_chunk_commit", 500)],
)
def test_workers_that_die_before_and_after_a_commit(
    make_stack: MakeStack, name: str, point: str, shard_records: int
) -> None:
    environment = {**ENVIRONMENT, "CRASH_POINTS": f"{point}=3", "SHARD_RECORDS": str(shard_records)}
    stack = make_stack(workers=2, environment=environment)
    filled = fill(stack, rows=ROWS)
    prepare(stack, name)
    assert_exact(stack, name, start_task(stack, name, filled), filled)


@pytest.mark.parametrize("name", ["normalise_user_phones", "prune_order_items"])
def test_four_workers_share_a_run_while_they_are_killed(make_stack: MakeStack, name: str) -> None:
    stack = make_stack(workers=4, environment={**ENVIRONMENT, "SHARD_RECORDS": "250", "PAUSE_MS": "1000"})
    filled = fill(stack, rows=ROWS)
    prepare(stack, name)
    task_id = start_task(stack, name, filled)
    kills = kill_workers(stack, task_id=task_id, every_seconds=0.7, deadline_seconds=240)
    assert_exact(stack, name, task_id, filled)
    assert kills > 0
    parts = stack.sql("SELECT worker FROM tasks_app_taskcheckpoint WHERE parent_id = %s", uuid.UUID(task_id).hex)
    assert len(parts) > 3
    assert len({worker for (worker,) in parts}) > 1


def test_a_cancel_ends_the_run_between_two_chunks_and_a_retry_completes_it(make_stack: MakeStack) -> None:
    name = "prune_order_items"
    stack = make_stack(workers=2, environment={**ENVIRONMENT, "SHARD_RECORDS": "500", "PAUSE_MS": "300"})
    filled = fill(stack, rows=ROWS)
    task_id = start_task(stack, name, filled)
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > 0, deadline_seconds=60, what="a chunk")
    assert stack.post(f"/tasks/{task_id}/cancel").status == 200
    canceled = stack.wait_for_end(task_id, deadline_seconds=60)
    assert canceled["status"] == "canceled"
    [(archived,)] = stack.sql("SELECT COUNT(*) FROM archived_order_items")
    assert archived == canceled["counts"]["archived_order_items"] < filled.old_items
    assert stack.post(f"/tasks/{task_id}/retry").status == 202
    assert_exact(stack, name, task_id, filled)


def test_a_worker_that_wakes_up_after_another_has_taken_its_task_writes_nothing(make_stack: MakeStack) -> None:
    stack = make_stack(workers=2, environment={**ENVIRONMENT, "PAUSE_MS": "100"})
    filled = fill(stack, rows=ROWS)
    task_id = start_task(stack, "add_one", filled)
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > 0, deadline_seconds=60, what="a chunk")
    first = read_worker(stack, task_id)
    sleeper = list_workers(stack)[first]
    os.kill(sleeper, signal.SIGSTOP)
    stack.wait_for(lambda: read_worker(stack, task_id) != first, deadline_seconds=60, what="another worker takes it")
    os.kill(sleeper, signal.SIGCONT)
    assert_exact(stack, "add_one", task_id, filled)
