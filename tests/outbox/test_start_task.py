"""tasks_app/starting.py: inside a transaction, a task is started by the commit; a rollback leaves nothing of it."""

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from django.db import transaction
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from catalog.models import User
from tasks_app.domain import task_snapshot
from tasks_app.errors import NamedTaskUnknown, QueueFull, QueueUnavailable
from tasks_app.models import OutboxTask, SetAsideItem
from tasks_app.outbox import push
from tasks_app.queues import enqueue
from tasks_app.starting import start_task
from tasks_app.task_types import Chunk, ChunkResult, TaskType, register
from tests.support.engine import Worker, checkpoint, job, positions, rescue, waiting

START = ("slow", {"records": 3})


class NoParams(serializers.Serializer[Any]):
    """No parameters."""


@register
class StartingTask(TaskType):
    """Starts another task in its only chunk, which raises at its first attempt."""

    name = "starting"
    params_serializer = NoParams
    raises = True

    def total(self, params: Mapping[str, Any]) -> int | None:
        return 1

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        start_task(*START, description="from a chunk")
        if StartingTask.raises:
            StartingTask.raises = False
            raise RuntimeError("the first attempt")
        return ChunkResult(1, {})


def outbox() -> list[str]:
    return [str(pk) for pk in OutboxTask.objects.order_by("pk").values_list("pk", flat=True)]


def test_a_commit_enqueues_the_task_at_once() -> None:
    with transaction.atomic():
        started = start_task(*START, description="d", priority=2, owner="eve", max_failures=0)
        assert outbox() == [started.id]
        assert waiting("high") == []
    assert waiting("high") == outbox() == [started.id]
    snapshot = job(started.id)
    assert (snapshot.description, snapshot.urgency, snapshot.owner, snapshot.scope) == ("d", 2, "eve", "admin")
    assert snapshot == task_snapshot.decode(bytes(OutboxTask.objects.get().snapshot))
    Worker().run()
    assert positions(started.id) == [0, 1, 2]


@transaction.atomic
def start_and_roll_back() -> None:
    start_task(*START)
    raise KeyError


def test_a_rollback_leaves_nothing() -> None:
    with pytest.raises(KeyError):
        start_and_roll_back()
    assert outbox() == waiting() == []


def test_a_savepoint_that_is_rolled_back_takes_only_its_own_tasks_with_it() -> None:
    with transaction.atomic():
        first = start_task(*START)
        with pytest.raises(KeyError):
            start_and_roll_back()
        with transaction.atomic():
            second = start_task(*START)
    assert outbox() == waiting() == [first.id, second.id]


def test_outside_of_a_transaction_there_is_no_outbox() -> None:
    started = start_task(*START)
    assert waiting() == [started.id]
    assert outbox() == []


def test_after_the_commit_no_failure_of_redis_reaches_the_caller(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def refuse(snapshots: object) -> None:
        calls.append(snapshots)
        raise QueueUnavailable("gone")

    monkeypatch.setattr(enqueue, "enqueue_tasks", refuse)
    with transaction.atomic():
        started = [start_task(*START).id for _ in range(3)]
    assert outbox() == started
    assert len(calls) == 1  # the transaction does not wait for Redis once for each task
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert started[0] in caplog.text


def test_a_full_queue_refuses_no_transaction(monkeypatch: pytest.MonkeyPatch, longtasks: Any) -> None:
    longtasks(queue_bound=1, queue_reserve=0.0)
    first = start_task(*START)
    with pytest.raises(QueueFull):
        start_task(*START)
    with transaction.atomic():
        second = start_task(*START)
    assert waiting() == [first.id]
    assert outbox() == [second.id]


def test_a_push_long_after_the_start_is_left_to_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "LATEST_SECONDS", -1.0)
    with transaction.atomic():
        started = start_task(*START)
    assert outbox() == [started.id]
    assert waiting() == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "nothing"}, "name"),
        ({"name": "slow", "params": {"records": "many"}}, "params"),
        ({"name": "slow", "priority": "urgent"}, "priority"),
        ({"name": "slow", "max_failures": 2}, "maxFailures"),
        ({"name": "slow", "dry_run": True}, "dryRun"),
        ({"name": "slow", "callback_url": "ftp://x"}, "callbackUrl"),
    ],
)
def test_arguments_are_validated_as_those_of_the_api(given: dict[str, Any], field: str) -> None:
    with transaction.atomic(), pytest.raises(ValidationError) as caught:
        start_task(**given)
    assert field in caught.value.detail
    assert outbox() == []


@pytest.mark.parametrize(("name", "value"), [("scope", "read"), ("owner", "x" * 65)])
def test_an_owner_or_scope_that_cannot_be_stored_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} (is|has)"):
        start_task(*START, **{name: value})


def test_the_rights_of_an_owner_are_checked_if_the_caller_wants_that() -> None:
    other = start_task("upload", {"numRecords": 1}, owner="bob")
    with transaction.atomic(), pytest.raises(NamedTaskUnknown):
        start_task("purge", {"taskId": other.id}, owner="eve", scope="write")
    with transaction.atomic():
        started = start_task("purge", {"taskId": other.id}, owner="eve")
    assert outbox() == [started.id]


def test_a_task_that_a_chunk_starts_commits_with_the_chunk(longtasks: Any) -> None:
    longtasks(retry_first_seconds=0.0)
    StartingTask.raises = True
    parent = start_task("starting")
    Worker().run()
    assert checkpoint(parent.id).failures == 1
    assert outbox() == []  # the chunk was rolled back, and its start with it
    rescue().enqueue_due()
    Worker().run()
    assert checkpoint(parent.id).outcome == "finished"
    [child] = outbox()
    assert waiting() == [child]
    assert job(child).description == "from a chunk"
    assert not SetAsideItem.objects.exists()
    assert uuid.UUID(child).version == 7
    assert not User.objects.exists()
