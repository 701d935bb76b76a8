"""tasks_app/recovery/stuck_shards.py: shards and ends that Redis lost or never received are restored."""

import uuid

import pytest

from tasks_app.checkpoints import cancel_and_reopen
from tasks_app.domain import task_status
from tasks_app.engine.task_session import TaskSession
from tasks_app.models import TaskCheckpoint, TaskRecord
from tasks_app.queues import redis_keys
from tasks_app.queues.worker_entries import report_exit
from tasks_app.read_model import task_queries
from tasks_app.services import change_tasks
from tests.support.engine import beat
from tests.support.shard_bench import Bench, positions, start


def test_a_flush_between_shards_loses_no_shard(bench):
    task_id = start(900)
    bench.run_next("one")
    bench.run_next("one")
    bench.apply()
    bench.redis.flushdb()
    TaskRecord.objects.update(updated_at="2020-01-01T00:00:00Z")
    bench.rescue.run()
    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.FINISHED
    assert positions(task_id) == [list(range(900))] * 3


def test_a_waiting_split_task_is_not_rescued(bench):
    task_id = start(900)
    bench.run_next("one")
    bench.apply()
    TaskRecord.objects.update(updated_at="2020-01-01T00:00:00Z")
    bench.rescue.run()
    bench.rescue.run()
    assert not bench.rescue.counts
    assert bench.redis.llen("rq:queue:low") == 3
    assert task_queries.get_task(task_id=task_id).status == task_status.STARTED


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def look_twice(bench: Bench) -> None:
    """Run the rescuer twice: a shard counts as stuck after two checks."""
    bench.rescue.run()
    bench.rescue.run()


def test_the_rescuer_publishes_the_end_that_the_last_shards_worker_could_not(bench, monkeypatch):
    task_id = start(600)
    bench.run_next("one")
    bench.run_next("one")
    with monkeypatch.context() as patch:
        patch.setattr(TaskSession, "publish_end", die)
        with pytest.raises(KeyboardInterrupt):
            bench.run_next("dead")
    assert task_queries.get_task(task_id=task_id).status == task_status.STARTED
    report_exit(bench.redis, worker="dead", was_killed=True)

    bench.rescue.run()

    bench.apply()
    assert (
        task_queries.get_task(task_id=task_id).status
        == TaskRecord.objects.get(pk=task_id).status
        == task_status.FINISHED
    )
    assert bench.redis.smembers("longtasks:split") == set()
    assert bench.redis.keys("rq:wip:*") == []


def test_a_cancel_that_never_reached_redis_ends_the_task(bench):
    task_id = start(900)
    bench.run_next("one")
    bench.run_next("one")
    cancel_and_reopen.request_cancel(task_id=uuid.UUID(task_id))  # web died here

    look_twice(bench)

    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.CANCELED
    assert positions(task_id) == [list(range(300))] * 3
    assert bench.redis.smembers("longtasks:split") == set()
    assert bench.redis.keys("rq:queue:*") == []


@pytest.mark.parametrize("outcome", [task_status.FAILED, task_status.STOPPED])
def test_the_end_of_a_task_by_a_shard_that_could_not_publish_it_is_published(bench, outcome):
    task_id = start(900)
    bench.run_next("one")
    [dequeued] = bench.dequeue("one")
    TaskCheckpoint.objects.filter(pk=dequeued.task_id).update(outcome=outcome, error="planted")
    bench.redis.zrem("rq:wip:low", f"{dequeued.task_id}:one")
    bench.redis.delete(redis_keys.job_key(dequeued.task_id))

    look_twice(bench)

    bench.drain()
    record = TaskRecord.objects.get(pk=task_id)
    assert (record.status, record.error, record.done) == (outcome, "planted", 0)
    change_tasks.retry_task(task_id=task_id)
    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.FINISHED
    assert positions(task_id) == [list(range(900))] * 3


@pytest.mark.parametrize("job_too", [False, True])
def test_a_lost_shard_is_requeued(bench, job_too):
    task_id = start(900)
    bench.run_next("one")
    [dequeued] = bench.dequeue("one")
    bench.redis.zrem("rq:wip:low", f"{dequeued.task_id}:one")
    if job_too:
        bench.redis.delete(redis_keys.job_key(dequeued.task_id))

    look_twice(bench)

    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.FINISHED
    assert positions(task_id) == [list(range(900))] * 3


def test_shards_that_wait_run_or_are_scheduled_are_left_alone(bench):
    task_id = start(900)
    bench.run_next("one")
    bench.dequeue("one")
    [scheduled] = bench.dequeue("two")
    bench.redis.zrem("rq:wip:low", f"{scheduled.task_id}:two")
    bench.redis.zadd("rq:scheduled:low", {scheduled.task_id: 4e9})
    parent = TaskCheckpoint.objects.get(pk=task_id)
    beat("one")
    look_twice(bench)
    look_twice(bench)
    assert not bench.rescue.counts
    assert TaskCheckpoint.objects.get(pk=task_id).epoch == parent.epoch
