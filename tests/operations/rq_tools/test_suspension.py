"""`rq suspend` and `rq resume`, and the same commands of django-rq, pause and resume all queues."""

import json

import pytest

from loadtests.started.stack import ProcfileStack
from tests.operations.rq_tools.steps import audited, is_suspended_everywhere, rq, start, wait_until_running

pytestmark = pytest.mark.slow


def test_rq_suspend_pauses_all_queues_until_rq_resume(stack: ProcfileStack) -> None:
    running = start(stack, records=10_000, chunkMs=50)
    wait_until_running(stack, running)

    rq(stack, "suspend")

    stack.wait_for(lambda: stack.task(running)["status"] == "queued", deadline_seconds=10, what="it is requeued")
    done = stack.task(running)["progress"]["done"]
    urgent = start(stack, "small", priority="high")
    assert is_suspended_everywhere(stack)
    assert "rq suspend" in stack.manage("queues")
    doctor = json.loads(stack.run_manage("doctor", "--json").stdout)
    [finding] = [each for each in doctor["findings"] if each["check"] == "queues: suspended"]
    assert "rqresume" in finding["mend"]
    assert (stack.task(urgent)["status"], stack.task(running)["progress"]["done"]) == ("queued", done)

    rq(stack, "resume")

    assert stack.wait_for_end(urgent, deadline_seconds=30)["status"] == "finished"
    stack.wait_for(lambda: stack.task(running)["progress"]["done"] > done, deadline_seconds=30, what="it continues")
    assert not is_suspended_everywhere(stack)
    stack.post(f"/tasks/{running}/cancel")
    stack.wait_for_end(running, deadline_seconds=30)


def test_rqsuspend_and_rqresume_of_django_rq_do_the_same_and_are_audited(stack: ProcfileStack) -> None:
    assert "suspended" in stack.manage("rqsuspend", "--duration", "600")
    with stack.redis() as client:
        assert 0 < client.ttl("rq:suspended") <= 600
    task_id = start(stack, "small")
    assert is_suspended_everywhere(stack)
    assert "manage.py rqresume" in stack.run_manage("queue", "resume", "low").stdout

    assert "resumed" in stack.manage("rqresume")

    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"
    assert audited(stack, "pause", "cli") >= 1


def test_rqsuspend_with_a_duration_ends_by_itself(stack: ProcfileStack) -> None:
    stack.manage("rqsuspend", "-d", "2")
    task_id = start(stack, "small")
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"
