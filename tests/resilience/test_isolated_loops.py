"""Rescue, due tasks, workers and webhooks go on past what they cannot process; an operator tries it again or drops it."""

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_package
from django.contrib.auth.models import User as Person
from django.core.management import CommandError, call_command
from django.test import Client

from tasks_app.checkpoints import claims
from tasks_app.domain import stream_ids, task_snapshot
from tasks_app.management.commands import mirror as mirror_command
from tasks_app.models import (
    AuditEntry,
    MirrorCursor,
    QueueState,
    SetAsideItem,
    TaskCheckpoint,
    TaskEvent,
    WebhookDelivery,
)
from tasks_app.queues import redis_connection, redis_keys, transitions
from tasks_app.queues.pipelined_connection import RedisRefused
from tasks_app.read_model.mirror import Mirror
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.resilience import failpoints, set_aside_items
from tasks_app.webhooks import deliveries
from tests.support.engine import Worker, history, job, mirror, record, run_out, start, waiting
from tests.support.refused import append, changed, items, raise_, retry

BIG = 2**64


# --- rescue, due tasks and workers


def test_a_job_that_cannot_be_decoded_stops_neither_due_tasks_nor_rescue(redis: Any) -> None:
    bad, good = start(), start()
    for task_id in (bad, good):
        schedule(task_id)
    mirror()
    redis.hset(redis_keys.job_key(bad), "s", b"no JSON")

    Rescuer(connection=redis_connection.get_connection()).enqueue_due()

    assert set(waiting()) == {bad, good}  # the bad one by its record
    assert job(bad).status == "queued"
    [item] = items(set_aside_items.TASK)
    assert (item.key, bytes(item.payload)) == (bad, b"no JSON")


def schedule(task_id: str) -> None:
    """As a failed attempt leaves it, its time over."""
    worker = Worker()
    worker.take(max_tasks=1)
    due_at = datetime.now(UTC) - timedelta(seconds=1)
    snapshot = replace(job(task_id), status="scheduled", next_attempt_at=due_at, cause="attempt_failed")
    assert transitions.apply_transitions(
        redis_connection.get_connection(),
        [transitions.Transition(snapshot, "started", "scheduled", worker=worker.name, run_at=due_at)],
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
def test_a_checkpoint_that_cannot_be_told_is_set_aside_and_the_next_is_taken_back(counts: Any) -> None:
    bad, good = start(), start()
    for task_id in (bad, good):
        Worker("dead").take(max_tasks=1)
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


def claim(task_id: str) -> None:
    claims.claim(task_id=uuid.UUID(task_id), worker="dead")
    run_out(task_id)


def test_a_task_that_is_mended_goes_on_when_it_is_tried_again(redis: Any) -> None:
    bad = start()
    Worker("dead").take()
    claim(bad)
    mirror()
    TaskCheckpoint.objects.filter(task_id=bad).update(counts={"users": BIG})
    Rescuer(connection=redis_connection.get_connection()).run()
    [item] = items(set_aside_items.TASK)
    assert retry(item).startswith("refused again: TypeError")
    TaskCheckpoint.objects.filter(task_id=bad).update(counts={"users": 0})
    redis.zremrangebyrank("rq:wip:low", 0, -1)
    assert retry(item) == "applied"
    assert waiting() == [bad]


def test_redis_that_refuses_everybody_sets_nothing_aside(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_worker_that_takes_a_snapshot_that_cannot_be_decoded_lives_and_runs_it_by_its_record(redis: Any) -> None:
    bad, good = start(), start()
    mirror()
    redis.hset(redis_keys.job_key(bad), "s", b"no JSON")
    worker = Worker()
    [dequeued] = worker.take(max_tasks=1)
    assert dequeued.task_id == bad
    assert not isinstance(dequeued, transitions.DequeuedTask)
    [dequeued] = worker.take(max_tasks=1)
    assert dequeued.task_id == good
    assert isinstance(dequeued, transitions.DequeuedTask)


def test_foreign_members_of_the_registries_stop_nothing(redis: Any) -> None:
    redis.zadd("rq:wip:low", {b"\xff\xfe:w9": 1, "no id": 1, "a:b:c": 1})
    redis.sadd("longtasks:split", b"\xff", "no id")
    QueueState.objects.create(name="no queue \u00e9", paused_at=datetime.now(UTC))
    task_id = start()
    mirror()
    Rescuer(connection=redis_connection.get_connection()).run()
    Rescuer(connection=redis_connection.get_connection()).run()
    assert waiting() == [task_id]


# --- webhooks


def test_a_delivery_that_cannot_be_sent_stops_nobody(redis: Any, longtasks: Callable[..., None]) -> None:
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
    told = dict(TaskEvent.objects.filter(cause=deliveries.CAUSE).values_list("task_id", "error"))
    assert set(map(str, told)) == {task_ids[0], task_ids[2]}
    assert told[uuid.UUID(task_ids[0])].startswith("refused: ")
    [item] = items(set_aside_items.WEBHOOK)
    assert item.key == task_ids[1]
    assert retry(item).startswith("refused again: ValueError: not a snapshot")


# --- the operator


def refused_task(redis: Any) -> tuple[str, SetAsideItem]:
    task_id = start()
    mirror()
    append(redis, changed(task_id, total=5, worker="w1", cause="x", status="started", priority="Middle"))
    mirror()
    [item] = items()
    return task_id, item


def test_an_item_that_is_tried_again_is_applied_as_at_first(redis: Any) -> None:
    task_id, item = refused_task(redis)
    assert retry(item) == "refused again: ValueError: priority is 'Middle': not a valid queue name"
    item.refresh_from_db()
    assert item.tries == 2
    SetAsideItem.objects.update(payload=bytes(item.payload).replace(b"Middle", b"high"), size=item.size - 2)
    assert retry(item) == "applied"
    assert record(task_id).total == 5
    assert history(task_id)[-1] == ("started", "x")
    assert not SetAsideItem.objects.exists()
    assert list(AuditEntry.objects.values_list("action", "source")) == [("try_again", "cli")] * 2


def test_an_item_whose_task_has_gone_on_is_not_applied(redis: Any) -> None:
    task_id, item = refused_task(redis)
    SetAsideItem.objects.update(payload=bytes(item.payload).replace(b"Middle", b"high"), size=item.size - 2)
    append(redis, changed(task_id, done=2, status="started"))
    mirror()
    assert retry(item) == "not applied: a newer state of the task is stored"
    assert record(task_id).done == 2
    assert not SetAsideItem.objects.exists()


def test_an_item_is_listed_and_dropped_with_an_entry_in_the_audit(redis: Any, capsys: Any) -> None:
    _, item = refused_task(redis)
    call_command("set_aside", "list")
    assert f"{item.pk} snapshot {item.key}: ValueError: priority is 'Middle'" in capsys.readouterr().out
    call_command("set_aside", "list", "--json")
    [listed] = json.loads(capsys.readouterr().out)["items"]
    assert listed["payload"] == bytes(item.payload).decode()
    call_command("set_aside", "drop", str(item.pk))
    assert not SetAsideItem.objects.exists()
    [entry] = AuditEntry.objects.all()
    assert (entry.action, entry.detail) == ("drop", f"snapshot {item.key}: {item.reason}")


def test_one_warning_names_the_item(redis: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _, item = refused_task(redis)
    [line] = [each.getMessage() for each in caplog.records if "set aside" in each.getMessage()]
    assert line == f"snapshot {item.key} is set aside: {item.reason}"


def test_a_superuser_with_a_long_name_cancels(redis: Any, client: Client) -> None:
    person = Person.objects.create_superuser("n" * 94, password="x")
    client.force_login(person)
    task_id = start()
    mirror()
    assert client.post(f"/admin/tasks_app/taskrecord/{task_id}/cancel/").status_code in (200, 302)
    assert job(task_id).actor == "n" * 64
    assert record(task_id).status == "canceled"
    assert AuditEntry.objects.get().actor == "n" * 64
    assert items() == []


def test_the_cursor_and_the_note_commit_together(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    append(redis, b"no JSON")
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "reach", raise_(KeyboardInterrupt()))  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            mirror()
    assert not SetAsideItem.objects.exists()
    assert not MirrorCursor.objects.exclude(stream_id=stream_ids.START).exists()
    mirror()
    assert len(items()) == 1


def test_an_item_whose_second_try_died_is_applied_once_by_the_third(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id, item = refused_task(redis)
    SetAsideItem.objects.update(payload=bytes(item.payload).replace(b"Middle", b"high"), size=item.size - 2)
    with monkeypatch.context() as patch:
        patch.setattr(SetAsideItem, "delete", raise_(KeyboardInterrupt()))  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            retry(item)
    assert record(task_id).total == 3
    assert retry(item) == "applied"
    assert [cause for _, cause in history(task_id)] == ["start", "x"]
    with pytest.raises(CommandError, match=f"There is no set-aside item {item.pk}"):
        retry(item)


def test_an_unexpected_error_in_one_duty_keeps_the_mirror_process_from_no_other(
    redis: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = start()
    mirror()
    schedule(task_id)
    mirror()
    command = mirror_command.Command()
    command.mirror, command.rescue = (
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
