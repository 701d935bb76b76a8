"""RQ's commands to a worker, and django-rq's commands that run workers."""

import pytest
from rq.command import send_command, send_kill_horse_command, send_shutdown_command, send_stop_job_command

from loadtests.started.stack import ProcfileStack
from tests.operations.rq_tools.steps import log_of, paused, start, wait_until_running, worker_name

pytestmark = pytest.mark.slow


def test_a_worker_logs_the_commands_that_it_refuses(stack: ProcfileStack) -> None:
    task_id = start(stack, records=10_000, chunkMs=50)
    wait_until_running(stack, task_id)
    [pid] = stack.child_pids("worker")
    with stack.redis() as client:
        name = worker_name(client)
        send_kill_horse_command(client, name)
        send_command(client, name, "stop-job", job_id="not-here")
        send_command(client, name, "dance")
        client.publish(f"rq:pubsub:{name}", b"\xff{")
        client.publish(f"rq:pubsub:{name}", b"[" * 100_000)
        stack.wait_for(
            lambda: log_of(stack, "worker").count("RQ's command") >= 5, deadline_seconds=10, what="all are logged"
        )
        assert "its own process" in log_of(stack, "worker")
        send_stop_job_command(client, task_id)
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "stopped"
    assert stack.child_pids("worker") == [pid]


def test_an_early_stop_command_stops_no_later_run(stack: ProcfileStack) -> None:
    with paused(stack, "low"):
        task_id = start(stack)
        with stack.redis() as client:
            send_command(client, worker_name(client), "stop-job", job_id=task_id)
            stack.wait_for(lambda: task_id in log_of(stack, "worker"), deadline_seconds=10, what="it is refused")
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"


def test_shutdown_ends_a_worker_and_its_parent_starts_the_next(stack: ProcfileStack) -> None:
    task_id = start(stack, records=10_000, chunkMs=50)
    wait_until_running(stack, task_id)
    [pid] = stack.child_pids("worker")
    with stack.redis() as client:
        send_shutdown_command(client, worker_name(client))
    stack.wait_for(lambda: stack.child_pids("worker") not in ([pid], []), deadline_seconds=30, what="another worker")
    done = stack.task(task_id)["progress"]["done"]
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > done, deadline_seconds=30, what="it continues")
    stack.post(f"/tasks/{task_id}/cancel")
    stack.wait_for_end(task_id, deadline_seconds=30)


def test_the_worker_commands_of_django_rq_run_tasks_on_all_queues(stack: ProcfileStack) -> None:
    stack.stop_role("worker")
    for command in (("rqworker",), ("rqworker-pool", "--num-workers", "2")):
        task_ids = [start(stack, "small"), start(stack, "small", priority="high")]
        stack.manage(*command, "--burst")
        for task_id in task_ids:
            assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished", command
