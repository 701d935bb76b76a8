"""tasks_app/recovery/reconciliation.py: what a flushed or incomplete Redis has lost is restored from the task rows."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from longtasks.local_stack.child_process import wait_until
from tasks_app.engine.interruption import Interruption
from tasks_app.models import TaskCheckpoint
from tasks_app.queues import redis_connection, redis_keys, snapshot_stream, transitions
from tasks_app.queues.worker_entries import report_exit
from tasks_app.recovery.rescuer import Rescuer
from tests.support.dead_workers import assert_finishes, claim_and_die, settle
from tests.support.engine import (
    Worker,
    checkpoint,
    expire_lease,
    job,
    mirror,
    positions,
    record,
    rescue,
    start,
    started,
    waiting,
)
from tests.support.redis_commands import watched_commands


def test_every_mirrored_task_ends_after_a_flush(redis: Any, longtasks: Callable[..., None]) -> None:
    longtasks(retry_first_seconds=0.05)
    finished = start("small")
    Worker().run()
    claimed = claim_and_die("w1")
    scheduled = start("flaky", times=1)
    Worker().run()
    yielded = start()
    worker = Worker()
    worker.interruption = Interruption.PREEMPT
    worker.run()
    queued, small = start(), start("small")
    assert (job(scheduled).status, job(yielded).status) == ("scheduled", "queued")
    settle()
    redis.flushdb()

    rescue()

    assert sorted(waiting()) == sorted([queued, small, yielded, scheduled]), "the worker of the claim may continue"
    expire_lease(claimed)
    rescue()
    while Worker("next").run():
        pass
    for task_id in (finished, claimed, scheduled, yielded, queued, small):
        assert positions(task_id) == [0, 1, 2]
        assert record(task_id).status == checkpoint(task_id).outcome == "finished"
    assert waiting() == started() == []


def test_a_task_changed_just_before_a_flush_is_requeued_within_one_pass(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks_app.recovery.reconciliation.SETTLED_SECONDS", 0.2)
    monkeypatch.setattr("tasks_app.recovery.reconciliation.PAGE", 1)
    monkeypatch.setattr("tasks_app.recovery.rescuer.COMPARE_SECONDS", 0.0)
    task_ids = [start() for _ in range(5)]
    mirror()
    redis.flushdb()
    watch = Rescuer(connection=redis_connection.get_connection())
    watch.run()
    passes = 0

    def all_are_back() -> bool:
        nonlocal passes
        passes += watch._compare_again_at == 0.0
        watch.run()
        return sorted(waiting()) == sorted(task_ids)

    assert wait_until(all_are_back, deadline_seconds=5)
    assert passes <= 1


def test_tasks_started_during_a_pass_are_not_searched_in_the_queue(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a queue of 100,000 tasks each search takes Redis a millisecond, during which all clients wait."""
    monkeypatch.setattr("tasks_app.recovery.reconciliation.SETTLED_SECONDS", 0.0)
    monkeypatch.setattr("tasks_app.recovery.reconciliation.PAGE", 1)
    monkeypatch.setattr("tasks_app.recovery.rescuer.COMPARE_SECONDS", 0.0)
    for _ in range(2):
        start()
    mirror()
    watch = Rescuer(connection=redis_connection.get_connection())
    watch.run()  # it sees this Redis for the first time: it compares all tasks now and in the next pass
    watch.run()
    assert watch._reconciler._compared_to.int, "a pass is in progress"
    for _ in range(5):
        start()
    mirror()
    with watched_commands(redis) as commands:
        for _ in range(10):
            watch.run()
    names = {command.name for command in commands}
    assert "LRANGE" in names
    assert "LPOS" not in names
    assert "ZSCORE" not in names, "waiting tasks are not searched elsewhere"
    assert len(waiting()) == 7


@pytest.mark.parametrize("how", ["entry", "entry_and_job", "entry_and_snapshot", "scheduled_entry"])
def test_a_task_missing_from_redis_is_requeued(redis: Any, how: str) -> None:
    task_id = start("flaky", times=int(how == "scheduled_entry"))
    if how == "scheduled_entry":
        Worker().run()
        redis.zrem("rq:scheduled:low", task_id)
    else:
        redis.lrem("rq:queue:low", 0, task_id)
    if how == "entry_and_job":
        redis.delete(redis_keys.job_key(task_id))
    if how == "entry_and_snapshot":  # an end without a snapshot does not count
        redis.hdel(redis_keys.job_key(task_id), "s")
        redis.hset(redis_keys.job_key(task_id), "status", "canceled")
    settle()

    rescue()

    assert waiting() == [task_id]
    assert_finishes(task_id)


def test_a_queue_entry_without_a_job_is_dequeued_without_a_snapshot(redis: Any) -> None:
    task_id = start()
    settle()
    redis.delete(redis_keys.job_key(task_id))
    [dequeued] = Worker("w1").dequeue()
    assert not isinstance(dequeued, transitions.DequeuedTask)  # the worker then reads its task row
    transitions.apply_transitions(redis, [])


def test_an_end_that_the_mirror_missed_is_published_again(redis: Any) -> None:
    task_id = start()
    mirror()
    Worker().run()
    redis.delete(snapshot_stream.STREAM_KEY)
    settle()
    assert record(task_id).status == "queued"
    rescue()
    assert record(task_id).status == "finished"


def test_an_end_that_never_reached_redis_is_published_by_the_rescuer() -> None:
    task_id = start("small")
    Worker("dead").dequeue()
    settle()
    TaskCheckpoint.objects.update_or_create(
        task_id=uuid.UUID(task_id),
        defaults={
            "epoch": 1,
            "outcome": "finished",
            "done": 3,
            "counts": {"users": 3},
            "updated_at": "2020-01-01T00:00:00Z",
        },
    )
    report_exit(redis_connection.get_connection(), worker="dead", was_killed=True)
    rescue()
    seen = record(task_id)
    assert (seen.status, seen.done, seen.counts) == ("finished", 3, {"users": 3})
    assert started() == []
    assert redis_connection.get_connection().ttl(redis_keys.job_key(task_id)) > 0


def test_an_ended_task_leaves_only_its_expiring_job_in_redis(redis: Any) -> None:
    for name in ("slow", "small", "flaky"):
        start(name, records=1, times=0)
    while Worker().run():
        pass
    mirror()
    rescue()
    jobs = list(redis.scan_iter("rq:job:*"))
    assert len(jobs) == 3
    assert all(redis.ttl(key) > 0 for key in jobs)
    assert redis.scard("longtasks:urgent:low") == redis.zcard("rq:wip:low") == redis.llen("rq:queue:low") == 0
    assert redis.xlen(snapshot_stream.STREAM_KEY) == 0
