"""tasks_app/queues/parked_tasks.py: a task of an unknown type waits for a worker that knows it, at no cost to others."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from django_rq import get_worker
from redis import Redis

from tasks_app.engine.interruption import Interruption
from tasks_app.errors import QueueFull
from tasks_app.operations.doctor import report, task_checks
from tasks_app.operations.prometheus_metrics import TaskCollector
from tasks_app.queues import parked_tasks, queue_names, redis_connection, redis_keys, transitions, worker_entries
from tasks_app.read_model import queue_overview, task_queries
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.services import change_tasks, start_tasks
from tasks_app.services.start_tasks import NewTask
from tasks_app.task_types import list_names, unregister
from tasks_app.task_types.registry import _registry
from tests.conftest import MakeStack
from tests.support.engine import Worker, checkpoint, history, job, mirror, positions, record, rescue, start, waiting

pytestmark = pytest.mark.usefixtures("redis")
TYPE = "slow"


def old_worker(name: str = "old") -> Worker:
    return Worker(name, unknown=(TYPE, "small", "upload"))


def age_parked(redis: Redis, *task_ids: str) -> None:
    """Make the tasks look parked for as long as a deploy may take."""
    for task_id in task_ids:
        at = int(redis.hget(redis_keys.job_key(task_id), "parked_at")) - parked_tasks.REPORT_AFTER_SECONDS - 1
        redis.hset(redis_keys.job_key(task_id), "parked_at", at)


def beat(redis: Redis, worker: str, *, types: list[str]) -> None:
    fields = {"queues": "high,low", "rows": 0, worker_entries.TYPES_FIELD: worker_entries.encode_types(types)}
    worker_entries.beat(redis, worker=worker, queues=queue_names.QUEUES, fields=fields, ttl_seconds=60)


@pytest.fixture
def forgotten() -> Generator[None, None, None]:
    """Make this process one without the type, as after a rollback."""
    task_type = _registry[TYPE]
    task_id = start(records=2)
    forget = start(records=2)
    assert waiting() == [task_id, forget]
    unregister(TYPE)
    try:
        yield
    finally:
        _registry[TYPE] = task_type


def test_a_parked_task_costs_no_attempt_and_goes_to_a_worker_that_knows_its_type() -> None:
    task_id = start()

    assert old_worker().run() == []
    assert (job(task_id).status, job(task_id).attempts, job(task_id).error) == ("queued", 0, None)
    assert old_worker().run() == []  # it does not dequeue it again
    assert [task.task_id for task in Worker("new").run()] == [task_id]

    assert record(task_id).status == "finished"
    assert checkpoint(task_id).failures == 0
    assert history(task_id) == [
        ("queued", "start"), ("queued", "unknown_type"), ("started", "take"), ("finished", "end")
    ]  # fmt: skip
    assert parked_tasks.list_parked_lists(redis_connection.get_connection()) == []


def test_other_tasks_run_and_parked_ones_keep_their_order() -> None:
    first, known, second, third = start(), start("flaky", times=0), start("small"), start()
    urgent = start(priority="high")

    old = old_worker()
    assert [task.task_id for task in old.run()] == [known]
    assert old.run() == []
    assert record(known).status == "finished"
    assert waiting() == waiting("high") == []
    new = Worker("new")
    order = [task.task_id for _ in range(4) for task in new.run()]
    assert order[0] == urgent
    assert [task_id for task_id in order if task_id in (first, third)] == [first, third]
    assert {record(task_id).status for task_id in (first, second, third, urgent)} == {"finished"}


def test_many_tasks_are_parked_in_steps_and_none_is_lost() -> None:
    old = old_worker()
    task_ids = [
        snapshot.id
        for _ in range(2)
        for snapshot in start_tasks.start_tasks(tasks=[NewTask("small", {"records": 1})] * 600).snapshots
    ]
    other = start("flaky")

    assert [task.task_id for task in old.dequeue()] == [other]
    assert parked_tasks.list_parked_ids(redis_connection.get_connection()) == task_ids
    assert [task.task_id for task in Worker("new").dequeue()] == task_ids[:200]


def test_a_busy_worker_is_preempted_only_by_parked_tasks_of_types_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    start(priority="high")
    old_worker().run()
    waiting_task = start()
    low = transitions.DequeuedTask(
        queue="low", task_id=waiting_task, snapshot=job(waiting_task), failures=0, isolated=False
    )
    worker = get_worker("high", "low", name="busy")
    worker.register_birth()

    assert worker._check_interruption(low) is Interruption.PREEMPT
    monkeypatch.setattr("tasks_app.engine.worker.list_names", lambda: ["small"])
    assert worker._check_interruption(low) is Interruption.CONTINUE


def test_parked_tasks_count_as_waiting(longtasks: Any) -> None:
    task_ids = [start() for _ in range(3)]
    old_worker().run()

    assert {view.name: view.depth for view in queue_overview.list_queues()} == {"high": 0, "low": 3}
    longtasks(queue_bound=3, queue_reserve=0)
    with pytest.raises(QueueFull):
        start()
    assert {task_id: job(task_id).status for task_id in task_ids} == dict.fromkeys(task_ids, "queued")


def test_a_parked_task_can_be_canceled_and_change_its_priority() -> None:
    canceled, changed, untouched = start(), start(), start()
    old_worker().run()

    change_tasks.cancel_task(task_id=canceled, actor="a")
    change_tasks.change_priority(task_id=changed, priority="high", actor="a")

    assert job(canceled).status == "canceled"
    assert waiting("high") == [changed]
    assert parked_tasks.list_parked_ids(redis_connection.get_connection()) == [untouched]
    assert [task.task_id for task in Worker("new").run()] == [changed]


def test_the_rescuer_leaves_a_parked_task_alone(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks_app.recovery.reconciliation.SETTLED_SECONDS", 0.0)
    task_id = start()
    old_worker().run()
    mirror()
    redis.delete("longtasks:alive")  # compare all tasks

    rescue()

    assert waiting() == []
    assert parked_tasks.list_parked_ids(redis) == [task_id]


def test_shards_are_parked_and_their_task_names_the_cause(redis: Redis, longtasks: Any) -> None:
    longtasks(shard_records=300, batch_records=100)
    task_id = start("upload", numRecords=600)
    new, old = Worker("new"), old_worker()
    new.run()  # splits the task

    assert old.run() == []
    shards = parked_tasks.list_parked_ids(redis)
    assert len(shards) == 2
    made = rescue()
    made.run()
    assert parked_tasks.list_parked_ids(redis) == shards, "the shards were treated as lost"
    age_parked(redis, *shards)
    made.run()
    assert "No living worker knows the task type 'upload'" in (job(task_id).error or "")

    new.run()
    assert job(task_id).error is None
    new.run()
    assert (record(task_id).status, positions(task_id)) == ("finished", list(range(600)))
    assert old.run() == new.run() == []


def test_a_task_parked_for_ten_minutes_is_reported_by_task_doctor_and_metrics(redis: Redis) -> None:
    task_id, other = start(), start()
    old_worker().run()
    beat(redis, "old", types=["small"])
    made = Rescuer(connection=redis)
    made.run()
    assert job(task_id).error is None
    assert unknown_seconds() < parked_tasks.REPORT_AFTER_SECONDS
    finding = next(each for each in task_checks.check_task_types() if "'slow'" in each.found and "wait" in each.found)
    assert finding.level == report.WARNING

    age_parked(redis, task_id)
    made.run()
    made.run()

    assert record(task_id).error == parked_tasks.describe_unknown(TYPE)
    assert record(other).error is None
    finding = next(each for each in task_checks.check_task_types() if each.level == report.FAULT)
    assert finding.found.startswith("no living worker knows the task type 'slow': 2 tasks wait, the first for 60")
    assert unknown_seconds() > parked_tasks.REPORT_AFTER_SECONDS
    assert history(task_id) == [("queued", "start"), ("queued", "unknown_type"), ("queued", "unknown_type")]

    beat(redis, "new", types=list_names())
    assert unknown_seconds() == 0
    assert [each.level for each in task_checks.check_task_types()] == [report.OK]
    Worker("new").run()
    assert (record(task_id).status, record(task_id).error) == ("finished", None)


def unknown_seconds() -> float:
    [value] = [
        sample.value
        for metric in TaskCollector().collect()
        for sample in metric.samples
        if sample.name == "longtasks_unknown_type_seconds"
    ]
    return value


def test_doctor_reports_a_type_that_no_worker_knows(redis: Redis) -> None:
    beat(redis, "old", types=[name for name in list_names() if name != TYPE])
    [finding] = task_checks.check_task_types()
    assert (finding.level, finding.found) == (
        report.WARNING,
        "no living worker knows 'slow': such tasks are accepted, but do not start",
    )


@pytest.mark.usefixtures("forgotten")
def test_a_process_without_the_type_shows_rescues_and_changes_its_tasks(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks_app.recovery.reconciliation.SETTLED_SECONDS", 0.0)
    first, second = waiting()
    assert Worker("old").dequeue() == []  # parks both
    mirror()

    assert task_queries.get_task(task_id=first).status == "queued"
    change_tasks.cancel_task(task_id=first, actor="a")
    assert record(first).status == "canceled"
    change_tasks.retry_task(task_id=first, actor="a")
    assert record(first).status == "queued"
    redis.flushdb()
    rescue()
    assert sorted(waiting()) == sorted([first, second])


@pytest.mark.usefixtures("forgotten")
def test_a_task_that_redis_had_lost_is_parked_by_the_worker_that_reads_its_record(redis: Redis) -> None:
    first, _ = waiting()
    snapshot = job(first)
    worker = Worker("old")
    redis.zadd("rq:wip:low", {f"{first}:old": "+inf"})
    redis.lrem("rq:queue:low", 0, first)

    worker.runner.run(
        [transitions.DequeuedTask(queue="low", task_id=first, snapshot=snapshot, failures=0, isolated=True)]
    )

    assert parked_tasks.list_parked_ids(redis) == [first]
    assert (job(first).status, job(first).cause, job(first).attempts) == ("queued", "unknown_type", 0)
    assert redis.zcard("rq:wip:low") == 0


@pytest.mark.slow
def test_old_workers_beside_a_new_web(make_stack: MakeStack) -> None:
    stack = make_stack(workers=1, environment={"DJANGO_SETTINGS_MODULE": "tests.support.engine_settings"})
    stack.stop_role("worker")
    stack.start_role("old_worker", command="env DJANGO_SETTINGS_MODULE=settings.test python manage.py workers 1")
    body = {"tasks": [{"name": name, "params": {"records": 1}} for name in ("slow", "small") * 5]}
    answer = stack.post("/tasks/bulk", body)
    assert answer.status == 201, answer
    task_ids = [task["id"] for task in answer.json["tasks"]]
    upload = stack.start_upload(records=10)

    assert stack.wait_for_end(upload, deadline_seconds=60)["status"] == "finished"
    assert {stack.task(task_id)["status"] for task_id in task_ids} == {"queued"}
    stack.start_role("worker")

    for task_id in task_ids:
        task = stack.wait_for_end(task_id, deadline_seconds=60)
        assert (task["status"], task["attempts"], task["error"]) == ("finished", 1, None)
        assert stack.row_counts(task_id)["users"] == 1
