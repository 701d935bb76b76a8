"""Worker processes: what a task does to them, and what RQ's own commands do to a task."""

import time
from typing import Any

import pytest
from rq.command import send_stop_job_command

from tests.conftest import MakeStack
from tests.stack import ProcfileStack


@pytest.fixture
def one_worker(make_stack: MakeStack) -> ProcfileStack:
    return make_stack(
        workers=1,
        environment={
            "DJANGO_SETTINGS_MODULE": "tests.engine.settings",
            "RETRY_ATTEMPTS": "2",
            "RETRY_FIRST_SECONDS": "0.1",
        },
    )


def start(stack: ProcfileStack, name: str, *, priority: str = "low", **params: Any) -> str:
    answer = stack.post("/tasks", {"name": name, "params": {"records": 3, **params}, "priority": priority})
    assert answer.status == 201, answer
    return str(answer.json["id"])


@pytest.mark.slow
def test_a_task_that_takes_its_process_with_it_fails_and_says_so_and_hurts_no_other(one_worker: ProcfileStack) -> None:
    stack = one_worker
    body = {"tasks": [{"name": name, "params": {"records": 3}} for name in ("small", "crash", "small", "small")]}
    answer = stack.post("/tasks/bulk", body)
    assert answer.status == 201, answer
    first, crash, *others = [task["id"] for task in answer.json["tasks"]]

    ended = stack.wait_for_end(crash, deadline_seconds=240)

    assert ended["status"] == "failed"
    assert "died" in ended["error"]
    assert ended["attempts"] >= 2
    for task_id in (first, *others):
        assert stack.wait_for_end(task_id, deadline_seconds=120)["status"] == "finished"
        assert stack.row_counts(task_id)["users"] == stack.position_counts(task_id)["users"] == 3


@pytest.mark.slow
def test_low_has_its_share_while_high_never_ends(one_worker: ProcfileStack) -> None:
    stack = one_worker
    high = [start(stack, "slow", priority="high", records=4, chunkMs=250) for _ in range(30)]
    low = start(stack, "slow", records=2, chunkMs=100)

    stack.wait_for_end(low, deadline_seconds=120)

    still_open = [task_id for task_id in high if stack.task(task_id)["status"] not in ("finished", "failed")]
    assert len(still_open) > 5
    for task_id in still_open:
        stack.post(f"/tasks/{task_id}/cancel")


@pytest.mark.slow
def test_rqs_stop_command_ends_a_task_at_its_next_chunk_as_stopped(one_worker: ProcfileStack) -> None:
    stack = one_worker
    task_id = start(stack, "slow", records=10_000, chunkMs=50)
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > 0, deadline_seconds=30, what="it runs")

    with stack.redis() as client:
        send_stop_job_command(client, task_id)

    ended = stack.wait_for_end(task_id, deadline_seconds=30)
    assert ended["status"] == "stopped"
    assert stack.row_counts(task_id)["users"] == ended["insertedRecords"]["users"] == ended["progress"]["done"]


@pytest.mark.slow
def test_djangos_rqworker_command_runs_tasks_too(one_worker: ProcfileStack) -> None:
    stack = one_worker
    stack.stop_role("worker")
    task_id = start(stack, "small")
    stack.manage("rqworker", "high", "low", "--burst")
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"


@pytest.mark.slow
def test_after_redis_was_away_commands_are_heard_and_nobody_is_taken_for_dead(one_worker: ProcfileStack) -> None:
    stack = one_worker
    task_id = start(stack, "slow", records=10_000, chunkMs=50)
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > 0, deadline_seconds=30, what="it runs")
    [worker] = stack.child_pids("worker")
    stack.redis_server.pause()
    try:
        time.sleep(9)  # the time is the fault: longer than a lease
    finally:
        stack.redis_server.resume()

    done = stack.task(task_id)["progress"]["done"]
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > done, deadline_seconds=30, what="it goes on")
    assert stack.child_pids("worker") == [worker]
    causes = [event["cause"] for event in stack.get(f"/tasks/{task_id}/events").json["events"]]
    assert "rescue" not in causes

    def is_stopped() -> bool:
        with stack.redis() as client:
            send_stop_job_command(client, task_id)
        return bool(stack.task(task_id)["status"] == "stopped")

    stack.wait_for(is_stopped, deadline_seconds=30, what="RQ's stop command is obeyed")
