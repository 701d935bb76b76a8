"""Worker processes: what a task does to them, and what RQ's own commands do to a task."""

import json
import os
import signal
import time
import uuid
from typing import Any

import pytest
from rq.command import send_stop_job_command

from loadtests.started.stack import ProcfileStack
from tests.conftest import MakeStack


@pytest.fixture
def one_worker(make_stack: MakeStack) -> ProcfileStack:
    return make_stack(
        workers=1,
        environment={
            "DJANGO_SETTINGS_MODULE": "tests.support.engine_settings",
            "RETRY_ATTEMPTS": "2",
            "RETRY_FIRST_SECONDS": "0.1",
        },
    )


def start(stack: ProcfileStack, name: str, *, priority: str = "low", **params: Any) -> str:
    answer = stack.post("/tasks", {"name": name, "params": {"records": 3, **params}, "priority": priority})
    assert answer.status == 201, answer
    return str(answer.json["id"])


@pytest.mark.slow
def test_a_task_that_kills_its_process_fails_with_that_cause_and_harms_no_other(one_worker: ProcfileStack) -> None:
    stack = one_worker
    body = {"tasks": [{"name": name, "params": {"records": 3}} for name in ("small", "crash", "small", "small")]}
    answer = stack.post("/tasks/bulk", body)
    assert answer.status == 201, answer
    first, crash, *others = [task["id"] for task in answer.json["tasks"]]

    ended = stack.wait_for_end(crash, deadline_seconds=240)

    assert ended["status"] == "failed"
    assert "died" in ended["error"]
    assert "killed by SIGSEGV" in ended["error"]
    assert ended["attempts"] >= 2
    for task_id in (first, *others):
        assert stack.wait_for_end(task_id, deadline_seconds=120)["status"] == "finished"
        assert stack.row_counts(task_id)["users"] == stack.position_counts(task_id)["users"] == 3


@pytest.mark.slow
def test_low_gets_its_share_while_high_is_never_empty(one_worker: ProcfileStack) -> None:
    stack = one_worker
    high = [start(stack, "slow", priority="high", records=4, chunkMs=250) for _ in range(30)]
    low = start(stack, "slow", records=2, chunkMs=100)

    stack.wait_for_end(low, deadline_seconds=120)

    still_open = [task_id for task_id in high if stack.task(task_id)["status"] not in ("finished", "failed")]
    assert len(still_open) > 5
    for task_id in still_open:
        stack.post(f"/tasks/{task_id}/cancel")


@pytest.mark.slow
def test_rqs_stop_command_ends_a_task_as_stopped_at_its_next_chunk(one_worker: ProcfileStack) -> None:
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
def test_workers_of_one_queue_and_one_type_run_nothing_else(one_worker: ProcfileStack) -> None:
    stack = one_worker
    stack.stop_role("worker")
    others = [start(stack, "slow"), start(stack, "small", priority="high")]
    own = start(stack, "small")

    stack.manage("workers", "1", "--queues", "low", "--types", "small", "--burst")
    assert stack.wait_for_end(own, deadline_seconds=30)["status"] == "finished"
    assert [stack.task(task_id)["status"] for task_id in others] == ["queued", "queued"]

    stack.manage("workers", "1", "--burst")
    for task_id in others:
        assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"


@pytest.mark.slow
def test_after_a_redis_outage_commands_work_and_no_worker_counts_as_dead(one_worker: ProcfileStack) -> None:
    stack = one_worker
    task_id = start(stack, "slow", records=10_000, chunkMs=50)
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > 0, deadline_seconds=30, what="it runs")
    [worker] = stack.child_pids("worker")
    stack.redis_server.pause()
    try:
        time.sleep(9)  # longer than a lease
    finally:
        stack.redis_server.resume()

    done = stack.task(task_id)["progress"]["done"]
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > done, deadline_seconds=30, what="it continues")
    assert stack.child_pids("worker") == [worker]
    causes = [event["cause"] for event in stack.get(f"/tasks/{task_id}/events").json["events"]]
    assert "rescue" not in causes

    def is_stopped() -> bool:
        with stack.redis() as client:
            send_stop_job_command(client, task_id)
        return bool(stack.task(task_id)["status"] == "stopped")

    stack.wait_for(is_stopped, deadline_seconds=30, what="RQ's stop command is obeyed")


# --- leftovers of a task


def found(stack: ProcfileStack, task_id: str) -> dict[str, Any]:
    """Return what a `look` task found in its process."""
    assert stack.wait_for_end(task_id, deadline_seconds=60)["status"] == "finished"
    statement = "SELECT state FROM tasks_app_taskcheckpoint WHERE task_id = %s"
    [(state,)] = stack.sql(statement, uuid.UUID(task_id).hex)
    return dict(json.loads(state)["found"])


@pytest.mark.slow
def test_leftovers_of_a_task_do_not_reach_the_next_one(one_worker: ProcfileStack) -> None:
    stack = one_worker
    body = {"tasks": [{"name": name, "params": {"records": 1}} for name in ("look", "litter", "look")]}
    first, litter, second = [task["id"] for task in stack.post("/tasks/bulk", body).json["tasks"]]

    before, after = found(stack, first), found(stack, second)

    assert stack.task(litter)["status"] == "finished"
    assert after == before  # in the same process
    log = stack.log_path("worker").read_text()
    assert "reset what a task has left behind: alarms; signal handlers;" in log
    assert "child processes, killed now" in log
    assert stack.stop_role("worker") < 10  # SIGTERM works again


@pytest.mark.slow
def test_a_surviving_thread_ends_the_worker_after_its_task_and_a_new_worker_starts(one_worker: ProcfileStack) -> None:
    stack = one_worker
    first = found(stack, start(stack, "look", records=1))
    litter = start(stack, "litter", records=1, thread=True)
    second = found(stack, start(stack, "look", records=1))

    ended = stack.wait_for_end(litter, deadline_seconds=60)
    assert (ended["status"], ended["attempts"]) == ("finished", 1)
    assert second["pid"] != first["pid"]
    log = stack.log_path("worker").read_text()
    assert "threads that still run: forgotten" in log
    assert "retired after a task" in log


@pytest.mark.slow
@pytest.mark.parametrize("way", ["return", "exit", "raise"])
def test_a_forked_copy_of_a_worker_does_not_continue_as_the_worker(one_worker: ProcfileStack, way: str) -> None:
    stack = one_worker
    task_id = start(stack, "fork", records=5, way=way)
    ended = stack.wait_for_end(task_id, deadline_seconds=60)
    assert (ended["status"], ended["attempts"]) == ("finished", 1)
    assert stack.row_counts(task_id)["users"] == stack.position_counts(task_id)["users"] == 5
    assert stack.wait_for_end(start(stack, "small"), deadline_seconds=60)["status"] == "finished"
    assert len(stack.child_pids("worker")) == 1


# --- the death of a worker and its cause


@pytest.mark.slow
@pytest.mark.parametrize("code", [0, 3])
def test_the_error_of_a_task_that_ends_its_process_names_the_exit_code(one_worker: ProcfileStack, code: int) -> None:
    stack = one_worker
    task_id = start(stack, "exit", code=code)
    ended = stack.wait_for_end(task_id, deadline_seconds=120)
    assert ended["status"] == "failed"
    assert f"ended with exit code {code} in the middle of its work" in ended["error"]
    assert ended["attempts"] == 2


@pytest.fixture
def two_watched_workers(make_stack: MakeStack) -> ProcfileStack:
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.support.engine_settings",
        "RETRY_ATTEMPTS": "2",
        "RETRY_FIRST_SECONDS": "0.1",
        "LEASE_SECONDS": "4",
    }
    stack = make_stack(workers=2, environment=environment)
    stack.stop_role("worker")
    stack.start_role("worker", command="python manage.py workers 2 --hang-seconds 6")
    stack.wait_for(lambda: len(stack.child_pids("worker")) == 2, deadline_seconds=60, what="both workers run")
    return stack


@pytest.mark.slow
def test_a_hung_worker_is_replaced_and_its_task_names_the_cause(two_watched_workers: ProcfileStack) -> None:
    stack = two_watched_workers
    before = set(stack.child_pids("worker"))
    task_id = start(stack, "hang")
    others = [start(stack, "slow", records=4, chunkMs=100) for _ in range(4)]

    ended = stack.wait_for_end(task_id, deadline_seconds=120)

    assert ended["status"] == "failed"
    assert "hung: none of its threads had run for" in ended["error"]
    for other in others:
        assert stack.wait_for_end(other, deadline_seconds=60)["status"] == "finished"
    stack.wait_for(
        lambda: len(alive := set(stack.child_pids("worker"))) == 2 and not alive & before,
        deadline_seconds=60,
        what="both hung workers are replaced",
    )


@pytest.mark.slow
def test_a_worker_that_is_stopped_for_a_while_is_not_replaced(two_watched_workers: ProcfileStack) -> None:
    stack = two_watched_workers
    task_id = start(stack, "slow", records=2, chunkMs=100)
    stack.wait_for_end(task_id, deadline_seconds=60)
    workers = stack.child_pids("worker")
    stack.pause_pids(workers[:1])
    with stack.redis() as client:
        stack.wait_for(
            lambda: [key for key in client.keys("rq:worker:*") if client.hget(key, "cause")],
            deadline_seconds=6,
            what="the parent suspects it",
        )
    stack.resume_pids(workers[:1])
    with stack.redis() as client:
        stack.wait_for(
            lambda: not [key for key in client.keys("rq:worker:*") if client.hget(key, "cause")],
            deadline_seconds=10,
            what="the suspicion is withdrawn",
        )
    parent = stack.parent_pid("worker")
    os.kill(parent, signal.SIGSTOP)
    try:
        stack.pause_pids(workers)
        time.sleep(7)  # longer than a worker may hang, but its parent was stopped as well
    finally:
        os.kill(parent, signal.SIGCONT)
        stack.resume_pids(workers)

    stack.wait_for_end(start(stack, "slow", records=2, chunkMs=100), deadline_seconds=60)
    assert stack.child_pids("worker") == workers
