"""docs/rq-tools.md, row by row: each of RQ's and django-rq's own commands is run as a process on our queues."""

import json
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rq.command import send_command, send_kill_horse_command, send_shutdown_command, send_stop_job_command
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from longtasks.local_stack import child_process
from tests.plugin import Database, RedisServer
from tests.support.stack import ProcfileStack

ALLOWED = "tasks_app.pruning.run_scheduled"
PAGE = Path(__file__).parents[2] / "docs" / "rq-tools.md"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _stack(servers: tuple[Database, RedisServer]) -> Generator[ProcfileStack, None, None]:
    database, redis_server = servers
    stack = ProcfileStack(
        database=database,
        redis_server=redis_server,
        workers=1,
        environment={
            "DJANGO_SETTINGS_MODULE": "tests.support.engine_settings",
            "RETRY_ATTEMPTS": "1",
            "RESCUE_SECONDS": "0.2",
        },
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


@pytest.fixture
def stack(_stack: ProcfileStack) -> Iterator[ProcfileStack]:
    """One worker, web and mirror; shared, so each test looks at its own tasks, and leaves nothing paused."""
    _stack.ensure_running()
    yield _stack
    with _stack.redis() as client:
        client.delete("rq:suspended")
    for name in ("high", "low"):
        _stack.post(f"/queues/{name}/resume")
    for status in ("queued", "started"):
        for task in _stack.get(f"/tasks?status={status}").json["tasks"]:  # a test that has failed holds up no other
            _stack.post(f"/tasks/{task['id']}/cancel")


def rq(stack: ProcfileStack, command: str, *arguments: str) -> str:
    """Run `rq …` of RQ itself, as it is installed; returns what it printed."""
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


# --- suspend and resume


def test_rq_suspend_pauses_all_queues_until_rq_resume(stack: ProcfileStack) -> None:
    running = start(stack, records=10_000, chunkMs=50)
    wait_until_running(stack, running)

    rq(stack, "suspend")

    stack.wait_for(lambda: stack.task(running)["status"] == "queued", deadline_seconds=10, what="it goes back")
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
    stack.wait_for(lambda: stack.task(running)["progress"]["done"] > done, deadline_seconds=30, what="it goes on")
    assert not is_suspended_everywhere(stack)
    stack.post(f"/tasks/{running}/cancel")
    stack.wait_for_end(running, deadline_seconds=30)


def test_rqsuspend_and_rqresume_of_django_do_the_same_and_are_audited(stack: ProcfileStack) -> None:
    assert "suspended" in stack.manage("rqsuspend", "--duration", "600")
    with stack.redis() as client:
        assert 0 < client.ttl("rq:suspended") <= 600
    task_id = start(stack, "small")
    assert is_suspended_everywhere(stack)
    assert "manage.py rqresume" in stack.run_manage("queue", "resume", "low").stdout

    assert "resumed" in stack.manage("rqresume")

    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"
    assert audited(stack, "pause", "cli") >= 1


def test_rqsuspend_for_a_time_ends_by_itself(stack: ProcfileStack) -> None:
    stack.manage("rqsuspend", "-d", "2")
    task_id = start(stack, "small")
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"


# --- requeue


def test_rq_requeue_of_a_failed_task_is_a_retry(stack: ProcfileStack) -> None:
    task_id = fail(stack)

    rq(stack, "requeue", "--queue", "low", task_id)

    stack.wait_for(
        lambda: ("queued", "retry", "rq") in events_of(stack, task_id), deadline_seconds=30, what="the retry is told"
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


# --- other functions on our queues


def stranger(stack: ProcfileStack, function: str, *, seconds: float, serializer: Any = JSONSerializer) -> str:
    """A job of another program that is due in so many seconds."""
    with stack.redis() as client:
        queue = Queue("low", connection=client, serializer=serializer)
        return str(queue.enqueue_at(datetime.now(UTC) + timedelta(seconds=seconds), function).id)


def status_of(stack: ProcfileStack, job_id: str, *, serializer: Any = JSONSerializer) -> str:
    with stack.redis() as client:
        return str(Job.fetch(job_id, connection=client, serializer=serializer).get_status().value)


def scheduled(stack: ProcfileStack) -> int:
    return sum(int(queue["scheduled"]) for queue in stack.get("/queues").json["queues"])


def test_a_scheduled_job_of_an_allowed_function_runs(stack: ProcfileStack) -> None:
    job_id = stranger(stack, ALLOWED, seconds=1)
    assert scheduled(stack) == 1
    stack.wait_for(lambda: status_of(stack, job_id) == "finished", deadline_seconds=30, what="it has run")
    assert scheduled(stack) == 0


@pytest.mark.parametrize("how", ["json", "pickle"])
def test_a_scheduled_job_of_another_function_is_refused_in_words(stack: ProcfileStack, how: str) -> None:
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


def test_a_scheduled_job_that_is_gone_is_forgotten(stack: ProcfileStack) -> None:
    with stack.redis() as client:
        client.zadd("rq:scheduled:low", {"gone": 1})
    stack.wait_for(lambda: scheduled(stack) == 0, deadline_seconds=30, what="it is forgotten")
    assert "job gone was scheduled" in log_of(stack, "mirror")


def test_rq_enqueue_runs_what_is_allowed_and_refuses_the_rest(stack: ProcfileStack) -> None:
    rq(stack, "enqueue", "--queue", "low", "--serializer", "json", "--job-id", "allowed", ALLOWED)
    rq(stack, "enqueue", "--queue", "low", "--serializer", "json", "--job-id", "refused", "time.sleep", ":1")
    stack.wait_for(lambda: status_of(stack, "allowed") == "finished", deadline_seconds=30, what="it has run")
    stack.wait_for(lambda: status_of(stack, "refused") == "failed", deadline_seconds=30, what="it is refused")
    assert "job refused" in log_of(stack, "worker")


def test_rqenqueue_of_django_refuses_at_once_what_workers_refuse(stack: ProcfileStack) -> None:
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

    # RQ deregisters none that is stopped between its registration and its first round: then the next one is stopped.
    for _ in range(3):
        if run_and_stop():
            return
        with stack.redis() as client:
            client.delete("rq:cron_schedulers")
    raise AssertionError("three times a scheduler that was stopped has stayed registered")


# --- looking, emptying


def test_rq_info_and_rqstats_count_and_change_nothing(stack: ProcfileStack) -> None:
    with paused(stack, "low"):
        task_ids = [start(stack, "small") for _ in range(2)]
        assert "queue low 2," in rq(stack, "info", "--raw", "-Q", "low")
        stats = json.loads(stack.manage("rqstats", "--json"))
        assert {each["name"]: each["jobs"] for each in stats["queues"]}["low"] == 2
        assert [stack.task(task_id)["status"] for task_id in task_ids] == ["queued", "queued"]
    for task_id in task_ids:
        assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"


def test_what_rq_empty_has_deleted_is_enqueued_again(stack: ProcfileStack) -> None:
    with paused(stack, "low"):
        task_id = start(stack, "small")
        assert "1 jobs removed" in rq(stack, "empty", "low")
    assert stack.wait_for_end(task_id, deadline_seconds=60)["status"] == "finished"
    assert ("queued", "rescue", "") in events_of(stack, task_id)


# --- a job's own methods, in a process that has imported nothing of ours but Django


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


# --- commands to a worker


def worker_name(client: Any) -> str:
    [key] = client.smembers("rq:workers")
    return str(key.decode().removeprefix("rq:worker:"))


def test_a_worker_says_which_commands_it_refuses(stack: ProcfileStack) -> None:
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


def test_a_stop_that_comes_too_early_stops_no_later_run(stack: ProcfileStack) -> None:
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
    stack.wait_for(lambda: stack.task(task_id)["progress"]["done"] > done, deadline_seconds=30, what="it goes on")
    stack.post(f"/tasks/{task_id}/cancel")
    stack.wait_for_end(task_id, deadline_seconds=30)


# --- other workers


def test_django_s_worker_commands_run_tasks_on_all_our_queues(stack: ProcfileStack) -> None:
    stack.stop_role("worker")
    for command in (("rqworker",), ("rqworker-pool", "--num-workers", "2")):
        task_ids = [start(stack, "small"), start(stack, "small", priority="high")]
        stack.manage(*command, "--burst")
        for task_id in task_ids:
            assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished", command


REFUSED = [
    ("rqworker", "default"),
    ("rqworker", "--worker-class", "rq.worker.Worker"),
    ("rqworker", "--worker-class", "not.there"),
    ("rqworker", "--job-class", "rq.job.Job"),
    ("rqworker-pool", "default"),
    ("rqworker-pool", "--worker-class", "rq.worker.SimpleWorker"),
    ("rqworker-pool", "--num-workers", "0"),
    ("rqscheduler",),
    ("rqsuspend", "--duration", "0"),
    ("rqenqueue", "--queue", "default", ALLOWED),
    ("rqenqueue", "--timeout", "-1", ALLOWED),
]


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_what_can_do_only_harm_is_refused_with_one_line(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as refused:
        call_command(*arguments)
    assert refused.value.returncode == 2
    assert "\n" not in str(refused.value)


def test_a_refusal_at_the_command_line_is_one_line_and_the_exit_code(stack: ProcfileStack) -> None:
    refused = stack.run_manage("rqworker", "default")
    assert refused.returncode == 2
    assert len(refused.stdout.strip().splitlines()) == 1, refused.stdout


def test_every_command_of_both_packages_is_in_the_documented_table() -> None:
    import django_rq
    from rq.cli import main

    text = PAGE.read_text(encoding="utf-8")
    commands = Path(django_rq.__file__).parent / "management" / "commands"
    names = [f"manage.py {path.stem}" for path in commands.glob("rq*.py")] + [f"rq {name}" for name in main.commands]
    assert [name for name in names if f"`{name}" not in text] == []
