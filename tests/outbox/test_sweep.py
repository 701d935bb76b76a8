"""tasks_app/outbox/sweep.py: what was committed and not pushed is enqueued, and nothing is enqueued twice."""

import threading
import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from redis import Redis

from tasks_app.checkpoints import claims
from tasks_app.domain import task_snapshot
from tasks_app.errors import QueueUnavailable
from tasks_app.models import OutboxTask, SetAsideItem, TaskRecord
from tasks_app.outbox import push, sweep
from tasks_app.outbox.sweep import OutboxSweep
from tasks_app.queues import enqueue, redis_keys
from tasks_app.resilience import set_aside_items
from tasks_app.starting import start_task
from tests.outbox.test_start_task import START, outbox
from tests.support.engine import (
    Worker,
    checkpoint,
    expire_lease,
    history,
    job,
    mirror,
    positions,
    record,
    rescue,
    waiting,
)
from tests.support.refused_items import retry


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweep the newest rows too."""
    monkeypatch.setattr(sweep, "SETTLED_SECONDS", -1.0)


def start_unpushed(*, name: str = "slow", priority: str = "low", monkeypatch: pytest.MonkeyPatch) -> str:
    """Start a task in a transaction, as a process that dies right after the commit."""
    with monkeypatch.context() as patch, transaction.atomic():
        patch.setattr(push, "_push", lambda snapshot: None)
        return start_task(name, {"records": 3}, priority=priority).id


def test_a_task_that_was_not_pushed_is_enqueued_and_leaves_when_it_is_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = start_unpushed(monkeypatch=monkeypatch)
    assert waiting() == []
    OutboxSweep().run()
    assert waiting() == [task_id]
    OutboxSweep().run()  # Redis has it, the database does not know it yet
    assert waiting() == outbox() == [task_id]
    mirror()
    OutboxSweep().run()
    assert outbox() == []
    Worker().run()
    assert positions(task_id) == [0, 1, 2]
    assert history(task_id)[0] == ("queued", "start")


def test_a_younger_row_is_left_to_its_own_push(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SETTLED_SECONDS", 60.0)
    task_id = start_unpushed(monkeypatch=monkeypatch)
    OutboxSweep().run()
    assert waiting() == []
    assert outbox() == [task_id]


def test_tasks_are_enqueued_in_the_order_of_their_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PAGE", 3)
    started = [start_unpushed(monkeypatch=monkeypatch) for _ in range(8)]
    OutboxSweep().run()
    assert waiting() == started


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_task_that_has_ended_before_the_sweep_does_not_run_again(redis: Redis, is_mirrored: bool) -> None:
    with transaction.atomic():
        task_id = start_task(*START).id
    Worker().run()
    if is_mirrored:
        mirror()
    redis.delete(redis_keys.job_key(task_id))  # its time to live is over
    OutboxSweep().run()
    assert outbox() == waiting() == []
    assert positions(task_id) == [0, 1, 2]


def test_a_push_after_the_end_does_not_run_the_task_again(redis: Redis) -> None:
    with transaction.atomic():
        task_id = start_task(*START).id
    snapshot = job(task_id)
    Worker().run()
    assert record(task_id).status == "finished"
    redis.delete(redis_keys.job_key(task_id))
    push._push(snapshot)
    assert waiting() == [task_id]
    Worker().run()
    assert waiting() == []
    assert positions(task_id) == [0, 1, 2]
    assert record(task_id).status == job(task_id).status == "finished"


def test_a_task_that_redis_loses_before_the_mirror_has_read_it_is_enqueued_again(redis: Redis) -> None:
    with transaction.atomic():
        task_id = start_task(*START).id
    redis.flushdb()
    OutboxSweep().run()
    assert waiting() == [task_id]
    Worker().run()
    assert record(task_id).status == "finished"
    assert positions(task_id) == [0, 1, 2]


def test_a_claimed_task_that_redis_loses_stays_in_the_outbox(redis: Redis) -> None:
    with transaction.atomic():
        task_id = start_task(*START).id
    Worker("w1").dequeue()
    claims.claim(task_id=uuid.UUID(task_id), worker="w1")
    redis.flushdb()
    OutboxSweep().run()
    assert outbox() == waiting() == [task_id]
    Worker("w2").run()  # the lease is not over
    assert (checkpoint(task_id).epoch, positions(task_id)) == (1, [])
    expire_lease(task_id)
    rescue()
    Worker("w2").run()
    assert positions(task_id) == [0, 1, 2]


def test_two_sweeps_at_once_enqueue_each_task_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started = [start_unpushed(monkeypatch=monkeypatch) for _ in range(30)]
    barrier = threading.Barrier(2)
    original = enqueue.enqueue_tasks

    def both(snapshots: Any) -> Any:
        try:
            barrier.wait(timeout=0.5)
        except threading.BrokenBarrierError:
            barrier.reset()
        return original(snapshots)

    monkeypatch.setattr(enqueue, "enqueue_tasks", both)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            OutboxSweep().run()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert waiting() == started


def test_without_redis_the_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    known = start_unpushed(monkeypatch=monkeypatch)
    OutboxSweep().run()
    mirror()
    task_id = start_unpushed(monkeypatch=monkeypatch)

    def refuse(snapshots: object) -> None:
        raise QueueUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(enqueue, "enqueue_tasks", refuse)
        with pytest.raises(QueueUnavailable):
            OutboxSweep().run()
    assert outbox() == [task_id]
    OutboxSweep().run()
    assert waiting() == [known, task_id]


def test_a_full_queue_holds_up_no_other_queue(monkeypatch: pytest.MonkeyPatch, longtasks: Any) -> None:
    monkeypatch.setattr(sweep, "PAGE", 4)
    low = [start_unpushed(monkeypatch=monkeypatch) for _ in range(9)]
    high = start_unpushed(monkeypatch=monkeypatch, priority="high")
    longtasks(queue_bound=3, queue_reserve=0.0)
    OutboxSweep().run()
    assert waiting("low") == low[:3]
    assert waiting("high") == [high]
    assert not SetAsideItem.objects.exists()
    Worker().run()
    OutboxSweep().run()
    assert len(waiting("low")) == 3
    assert set(waiting("low")) < set(low)


def test_a_task_of_a_type_that_a_deploy_has_removed_waits_for_a_worker_that_knows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task_id = start_unpushed(monkeypatch=monkeypatch)
    row = OutboxTask.objects.get()
    snapshot = replace(task_snapshot.decode(bytes(row.snapshot)), name="removed", params={"old": 1})
    OutboxTask.objects.update(snapshot=task_snapshot.encode(snapshot))
    other = start_unpushed(monkeypatch=monkeypatch)
    OutboxSweep().run()
    assert waiting() == [task_id, other]
    Worker().run()
    assert positions(other) == [0, 1, 2]
    assert history(task_id) == [("queued", "start"), ("queued", "unknown_type")]


def test_a_queue_that_a_deploy_has_removed_is_replaced_by_that_of_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = start_unpushed(monkeypatch=monkeypatch)
    snapshot = replace(task_snapshot.decode(bytes(OutboxTask.objects.get().snapshot)), priority="removed")
    OutboxTask.objects.update(snapshot=task_snapshot.encode(snapshot))
    OutboxSweep().run()
    assert waiting() == [task_id]


def test_a_row_that_cannot_be_read_is_set_aside_and_can_be_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = start_unpushed(monkeypatch=monkeypatch)
    good = bytes(OutboxTask.objects.get().snapshot)
    OutboxTask.objects.update(snapshot=good.replace(b'"name":"slow"', b'"name":17'))
    other = start_unpushed(monkeypatch=monkeypatch)
    OutboxSweep().run()
    assert waiting() == outbox() == [other]
    [item] = SetAsideItem.objects.filter(kind=set_aside_items.OUTBOX)
    assert (item.key, "name is 17" in item.reason) == (bad, True)
    assert retry(item).startswith("refused again: ValueError: not a snapshot: name is 17")
    assert outbox() == [other]
    SetAsideItem.objects.update(payload=good, size=len(good))
    assert retry(item) == "applied"
    assert waiting() == [other, bad]
    assert outbox() == sorted([other, bad])
    assert not SetAsideItem.objects.exists()


def test_the_mirror_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = start_unpushed(monkeypatch=monkeypatch)
    call_command("mirror", "--once")
    assert waiting() == [task_id]
    call_command("mirror", "--once")
    assert outbox() == []
    assert TaskRecord.objects.get().pk == uuid.UUID(task_id)
