"""Rescuer, due tasks, workers, webhooks and mirror continue past an item that they cannot process."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_package
from django.core.management import call_command

from tasks_app.domain import task_snapshot
from tasks_app.management.commands import mirror as mirror_command
from tasks_app.models import QueueState, SetAsideItem, TaskCheckpoint, TaskEvent, WebhookDelivery
from tasks_app.queues import redis_connection, redis_keys, transitions
from tasks_app.queues.thread_connection import RedisRefused
from tasks_app.read_model.mirror import Mirror
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.resilience import set_aside_items
from tasks_app.webhooks import deliveries
from tests.support.dead_workers import claim
from tests.support.engine import Worker, job, mirror, start, waiting
from tests.support.refused_items import items, raise_, retry

BIG = 2**64


def test_a_job_that_cannot_be_decoded_stops_neither_due_tasks_nor_rescue(redis: Any) -> None:
    bad, good = start(), start()
    for task_id in (bad, good):
        schedule(task_id)
    mirror()
    redis.hset(redis_keys.job_key(bad), "s", b"no JSON")

    Rescuer(connection=redis_connection.get_connection()).enqueue_due()

    assert set(waiting()) == {bad, good}  # the bad one from its task row
    assert job(bad).status == "queued"
    [item] = items(set_aside_items.TASK)
    assert (item.key, bytes(item.payload)) == (bad, b"no JSON")


def schedule(task_id: str) -> None:
    """Schedule the task as a failed attempt does; it is due."""
    worker = Worker()
    worker.dequeue(max_tasks=1)
    due_at = datetime.now(UTC) - timedelta(seconds=1)
    snapshot = replace(job(task_id), status="scheduled", next_attempt_at=due_at, cause="attempt_failed")
    assert transitions.apply_transitions(
        redis_connection.get_connection(),
        [transitions.Transition(snapshot, "started", due_at, worker=worker.name)],
    ) == [True]


def test_a_due_job_without_a_record_is_set_aside_and_the_others_run(redis: Any) -> None:
    stranger = str(uuid.uuid4())
    redis.hset(redis_keys.job_key(stranger), mapping={"s": b"{", "status": "scheduled"})
    redis.zadd("rq:scheduled:low", {stranger: 1, b"\xff\xfe": 1})
    good = start()
    schedule(good)
    rescue = Rescuer(connection=redis_connection.get_connection())
    assert rescue.enqueue_due() == 1
    assert rescue.enqueue_due() == 0
    assert waiting() == [good]
    assert [(item.key, item.tries) for item in items(set_aside_items.TASK)] == [(stranger, 1)]


@pytest.mark.parametrize("counts", [{"users": BIG}, {"users": {"a": BIG}}])
def test_a_checkpoint_that_cannot_be_published_is_set_aside_and_the_next_task_is_requeued(counts: Any) -> None:
    bad, good = start(), start()
    for task_id in (bad, good):
        Worker("dead").dequeue(max_tasks=1)
        claim(task_id)
    mirror()
    TaskCheckpoint.objects.filter(task_id=bad).update(counts=counts)
    rescue = Rescuer(connection=redis_connection.get_connection())
    rescue.run()
    assert waiting() == [good]
    [item] = items(set_aside_items.TASK)
    assert item.key == bad
    rescue.run()
    assert len(items(set_aside_items.TASK)) == 1


def test_errors_of_redis_itself_set_nothing_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = start()
    schedule(task_id)
    for error in (
        redis_package.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        RedisRefused("BUSY Redis is busy running a script."),
        redis_package.exceptions.ConnectionError("refused"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(transitions, "apply_transitions", raise_(error))
            with pytest.raises(type(error)):
                Rescuer(connection=redis_connection.get_connection()).enqueue_due()
    assert not SetAsideItem.objects.exists()
    assert Rescuer(connection=redis_connection.get_connection()).enqueue_due() == 1


def test_an_undecodable_snapshot_is_dequeued_without_ending_the_worker(redis: Any) -> None:
    bad, good = start(), start()
    mirror()
    redis.hset(redis_keys.job_key(bad), "s", b"no JSON")
    worker = Worker()
    [dequeued] = worker.dequeue(max_tasks=1)
    assert dequeued.task_id == bad
    assert not isinstance(dequeued, transitions.DequeuedTask)
    [dequeued] = worker.dequeue(max_tasks=1)
    assert dequeued.task_id == good
    assert isinstance(dequeued, transitions.DequeuedTask)


def test_foreign_members_of_the_registries_are_skipped(redis: Any) -> None:
    redis.zadd("rq:wip:low", {b"\xff\xfe:w9": 1, "no id": 1, "a:b:c": 1})
    redis.sadd("longtasks:split", b"\xff", "no id")
    QueueState.objects.create(name="no queue \u00e9", paused_at=datetime.now(UTC))
    task_id = start()
    mirror()
    Rescuer(connection=redis_connection.get_connection()).run()
    Rescuer(connection=redis_connection.get_connection()).run()
    assert waiting() == [task_id]


def test_a_delivery_that_cannot_be_sent_stops_no_other(redis: Any, longtasks: Callable[..., None]) -> None:
    longtasks(webhook_secret="s" * 32, webhook_allow_private=True, webhook_attempts=1, webhook_timeout_seconds=2)
    task_ids = [start(), start(), start()]
    mirror()
    good = task_snapshot.encode(job(task_ids[2])).decode()
    for task_id, url, snapshot in zip(
        task_ids,
        ("http://[::::]/", "http://127.0.0.1:1/", "http://127.0.0.1:1/"),
        (good, "no JSON", good),
        strict=True,
    ):
        WebhookDelivery.objects.create(task_id=task_id, url=url, snapshot=snapshot, due_at=datetime.now(UTC))
    call_command("webhooks", "--once")
    assert not WebhookDelivery.objects.exists()
    errors = dict(TaskEvent.objects.filter(cause=deliveries.CAUSE).values_list("task_id", "error"))
    assert set(map(str, errors)) == {task_ids[0], task_ids[2]}
    assert errors[uuid.UUID(task_ids[0])].startswith("refused: ")
    [item] = items(set_aside_items.WEBHOOK)
    assert item.key == task_ids[1]
    assert retry(item).startswith("refused again: ValueError: not a snapshot")


def test_an_unexpected_error_in_one_duty_of_the_mirror_process_stops_no_other(
    redis: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = start()
    mirror()
    schedule(task_id)
    mirror()
    command = mirror_command.Command()
    command.mirror, command.rescuer = (
        Mirror(connection=redis_connection.get_connection()),
        Rescuer(connection=redis_connection.get_connection()),
    )
    command.rescued_at = command.due_at = command.watched_at = 0.0
    command.is_once = False
    monkeypatch.setattr(mirror_command, "FAILED_SECONDS", 0)
    monkeypatch.setattr(Mirror, "step", raise_(AttributeError("a fault of the code")))
    start()
    command.work()
    assert task_id in waiting()
    assert "a fault of the code" in caplog.text
    command.is_once = True
    with pytest.raises(AttributeError):
        command.work()
