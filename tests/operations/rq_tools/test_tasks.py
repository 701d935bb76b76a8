"""RQ's tools and tasks: requeue retries, info only reads, empty loses no task, a job's methods act on its task."""

import json

import pytest

from loadtests.started.stack import ProcfileStack
from tests.operations.rq_tools.steps import audited, events_of, fail, paused, rq, start

pytestmark = pytest.mark.slow


def test_rq_requeue_of_a_failed_task_is_a_retry(stack: ProcfileStack) -> None:
    task_id = fail(stack)

    rq(stack, "requeue", "--queue", "low", task_id)

    stack.wait_for(
        lambda: ("queued", "retry", "rq") in events_of(stack, task_id),
        deadline_seconds=30,
        what="the retry is published",
    )
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "failed"
    stack.wait_for_record(task_id)
    assert [status for status, _, _ in events_of(stack, task_id)].count("failed") == 2
    assert audited(stack, "retry", "rq") >= 1


def test_rq_requeue_all_retries_each_once(stack: ProcfileStack) -> None:
    task_ids = [fail(stack) for _ in range(3)]
    rq(stack, "requeue", "--queue", "low", "--all")
    for task_id in task_ids:
        stack.wait_for(
            lambda task_id=task_id: [event[0] for event in events_of(stack, task_id)].count("failed") == 2,
            deadline_seconds=30,
            what="it has run again",
        )
        assert events_of(stack, task_id).count(("queued", "retry", "rq")) == 1


def test_rq_info_and_rqstats_count_and_change_nothing(stack: ProcfileStack) -> None:
    with paused(stack, "low"):
        task_ids = [start(stack, "small") for _ in range(2)]
        assert "queue low 2," in rq(stack, "info", "--raw", "-Q", "low")
        stats = json.loads(stack.manage("rqstats", "--json"))
        assert {each["name"]: each["jobs"] for each in stats["queues"]}["low"] == 2
        assert [stack.task(task_id)["status"] for task_id in task_ids] == ["queued", "queued"]
    for task_id in task_ids:
        assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"


def test_a_task_that_rq_empty_deleted_is_requeued(stack: ProcfileStack) -> None:
    with paused(stack, "low"):
        task_id = start(stack, "small")
        assert "1 jobs removed" in rq(stack, "empty", "low")
    assert stack.wait_for_end(task_id, deadline_seconds=60)["status"] == "finished"
    assert ("queued", "rescue", "") in events_of(stack, task_id)


def test_the_methods_of_a_fetched_job_act_on_the_task(stack: ProcfileStack) -> None:
    with paused(stack, "low"):
        canceled, deleted = start(stack), start(stack)
        code = (
            "from django_rq import get_queue; queue = get_queue('low'); "
            f"queue.fetch_job('{canceled}').cancel(); queue.fetch_job('{deleted}').delete()"
        )
        stack.manage("shell", "--no-imports", "-c", code)
        for task_id in (canceled, deleted):
            stack.wait_for(
                lambda task_id=task_id: stack.task(task_id)["status"] == "canceled",
                deadline_seconds=10,
                what="canceled",
            )
        stack.manage(
            "shell", "--no-imports", "-c", code.partition("queue.fetch")[0] + f"queue.fetch_job('{canceled}').requeue()"
        )
        assert stack.task(canceled)["status"] == "queued"
    assert stack.wait_for_end(canceled, deadline_seconds=30)["status"] == "finished"
