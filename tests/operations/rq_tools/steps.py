"""Steps of the tests of RQ's tools: run its command line, start tasks, read their events and logs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rq.job import Job
from rq.serializers import JSONSerializer

from loadtests.started.stack import ProcfileStack

ALLOWED = "tasks_app.pruning.run_scheduled"


PAGE = Path(__file__).parents[3] / "docs" / "rq-tools.md"


def rq(stack: ProcfileStack, command: str, *arguments: str) -> str:
    """Run RQ's own command `rq …`; return what it prints."""
    url = stack.redis_server.url(stack.redis_number)
    code = "import sys; from rq.cli import main; sys.argv[0] = 'rq'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, command, "--url", url, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start(stack: ProcfileStack, name: str = "slow", *, priority: str = "low", **params: Any) -> str:
    answer = stack.post("/tasks", {"name": name, "params": {"records": 3, **params}, "priority": priority})
    assert answer.status == 201, answer
    return str(answer.json["id"])


def wait_until_running(stack: ProcfileStack, task_id: str) -> None:
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > 0, deadline_seconds=30, what="it runs")


def events_of(stack: ProcfileStack, task_id: str) -> list[tuple[str, str, str]]:
    events = stack.get(f"/tasks/{task_id}/events").json["events"]
    return [(event["status"], event["cause"], event["actor"]) for event in events]


def fail(stack: ProcfileStack) -> str:
    task_id = start(stack, "flaky", times=9)
    assert stack.wait_for_end(task_id, deadline_seconds=60)["status"] == "failed"
    stack.wait_for_record(task_id)
    return task_id


def audited(stack: ProcfileStack, action: str, source: str) -> int:
    statement = "SELECT COUNT(*) FROM tasks_app_auditentry WHERE action = %s AND source = %s"
    return int(stack.sql(statement, action, source)[0][0])


def log_of(stack: ProcfileStack, role: str) -> str:
    return stack.log_tail(role, lines=400)


@contextmanager
def paused(stack: ProcfileStack, *names: str) -> Iterator[None]:
    for name in names:
        assert stack.post(f"/queues/{name}/pause", {"reason": "test"}).status == 200
    yield
    for name in names:
        assert stack.post(f"/queues/{name}/resume").status == 200


def is_suspended_everywhere(stack: ProcfileStack) -> bool:
    return all(queue["suspended"] for queue in stack.get("/queues").json["queues"])


def status_of(stack: ProcfileStack, job_id: str, *, serializer: Any = JSONSerializer) -> str:
    with stack.redis() as client:
        return str(Job.fetch(job_id, connection=client, serializer=serializer).get_status().value)


def worker_name(client: Any) -> str:
    [key] = client.smembers("rq:workers")
    return str(key.decode().removeprefix("rq:worker:"))
