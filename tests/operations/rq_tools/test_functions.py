"""Jobs of other functions on our queues: allowed functions run, others are refused with the cause."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack import child_process
from tests.operations.rq_tools.steps import ALLOWED, PAGE, log_of, rq, status_of

pytestmark = pytest.mark.slow


def stranger(stack: ProcfileStack, function: str, *, seconds: float, serializer: Any = JSONSerializer) -> str:
    """Enqueue a job of another program that is due in `seconds`; return its id."""
    with stack.redis() as client:
        queue = Queue("low", connection=client, serializer=serializer)
        return str(queue.enqueue_at(datetime.now(UTC) + timedelta(seconds=seconds), function).id)


def scheduled(stack: ProcfileStack) -> int:
    return sum(int(queue["scheduled"]) for queue in stack.get("/queues").json["queues"])


def test_a_scheduled_job_of_an_allowed_function_runs(stack: ProcfileStack) -> None:
    job_id = stranger(stack, ALLOWED, seconds=1)
    assert scheduled(stack) == 1
    stack.wait_for(lambda: status_of(stack, job_id) == "finished", deadline_seconds=30, what="it has run")
    assert scheduled(stack) == 0


@pytest.mark.parametrize("how", ["json", "pickle"])
def test_a_scheduled_job_of_another_function_is_refused_with_its_cause(stack: ProcfileStack, how: str) -> None:
    from rq.serializers import DefaultSerializer

    serializer = JSONSerializer if how == "json" else DefaultSerializer
    job_id = stranger(stack, "time.sleep", seconds=-1, serializer=serializer)
    stack.wait_for(
        lambda: status_of(stack, job_id, serializer=serializer) == "failed", deadline_seconds=30, what="it is refused"
    )
    with stack.redis() as client:
        reason = Job.fetch(job_id, connection=client, serializer=serializer).latest_result().exc_string
    assert ("RQ_ALLOWED_FUNCTIONS" if how == "json" else "JSONSerializer") in reason
    assert job_id in log_of(stack, "worker")
    assert scheduled(stack) == 0


def test_a_scheduled_job_without_its_data_is_removed(stack: ProcfileStack) -> None:
    with stack.redis() as client:
        client.zadd("rq:scheduled:low", {"gone": 1})
    stack.wait_for(lambda: scheduled(stack) == 0, deadline_seconds=30, what="it is removed")
    assert "job gone was scheduled" in log_of(stack, "mirror")


def test_rq_enqueue_runs_allowed_functions_and_refuses_others(stack: ProcfileStack) -> None:
    rq(stack, "enqueue", "--queue", "low", "--serializer", "json", "--job-id", "allowed", ALLOWED)
    rq(stack, "enqueue", "--queue", "low", "--serializer", "json", "--job-id", "refused", "time.sleep", ":1")
    stack.wait_for(lambda: status_of(stack, "allowed") == "finished", deadline_seconds=30, what="it has run")
    stack.wait_for(lambda: status_of(stack, "refused") == "failed", deadline_seconds=30, what="it is refused")
    assert "job refused" in log_of(stack, "worker")


def test_rqenqueue_of_django_rq_refuses_at_once_what_workers_refuse(stack: ProcfileStack) -> None:
    job_id = stack.manage("rqenqueue", ALLOWED).split()[1]
    stack.wait_for(lambda: status_of(stack, job_id) == "finished", deadline_seconds=30, what="it has run")
    with pytest.raises(CommandError, match="RQ_ALLOWED_FUNCTIONS"):
        call_command("rqenqueue", "time.sleep", "1")


@pytest.mark.parametrize("command", ["rq cron", "manage.py rqcron"])
def test_cron_runs_the_schedule_of_this_project(stack: ProcfileStack, command: str) -> None:
    code = "import sys; from rq.cli import main; sys.argv[0] = 'rq'; main()"
    url = stack.redis_server.url(stack.redis_number)
    words = ["-c", code, "cron", "--url", url] if command == "rq cron" else command.split()

    def count_schedulers() -> int:
        with stack.redis() as client:
            return int(client.zcard("rq:cron_schedulers"))

    def run_and_stop() -> bool:
        process = subprocess.Popen(
            [sys.executable, *words, "longtasks.cron"],
            env=stack.environment,
            cwd=PAGE.parents[1],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            stack.wait_for(lambda: count_schedulers() == 1, deadline_seconds=30, what="it runs")
        finally:
            process.terminate()
            process.wait(timeout=30)
        return child_process.wait_until(lambda: count_schedulers() == 0, deadline_seconds=5)

    # RQ does not deregister a scheduler that is stopped between its registration and its first round: try another one.
    for _ in range(3):
        if run_and_stop():
            return
        with stack.redis() as client:
            client.delete("rq:cron_schedulers")
    raise AssertionError("three times a scheduler that was stopped has stayed registered")
