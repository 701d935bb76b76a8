"""A big task runs as shards on several workers, and is one task outside: exact counts, one end, cancel and retry."""

import dataclasses
import uuid
from collections import Counter

import pytest
from django.conf import settings
from django.test import override_settings

from catalog.models import MODELS
from tasks_app.checkpoints import cancel_and_reopen
from tasks_app.domain import task_status
from tasks_app.engine.interruption import Interruption, WorkerHooks
from tasks_app.engine.runner import Runner
from tasks_app.engine.task_session import TaskSession
from tasks_app.errors import UnknownTask
from tasks_app.models import TaskCheckpoint, TaskRecord
from tasks_app.queues import queue_names, redis_connection, redis_keys, transitions
from tasks_app.queues.worker_liveness import report_exit
from tasks_app.read_model import task_queries
from tasks_app.read_model.mirror import Mirror
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.services import change_many_tasks, change_tasks, start_tasks
from tasks_app.services.start_tasks import NewTask
from tasks_app.task_types import list_names
from tests.support.engine import beat

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_shards():
    small = dataclasses.replace(settings.LONGTASKS, shard_records=300, batch_records=100, rescue_seconds=0.1)
    with override_settings(LONGTASKS=small):
        yield


class Bench:
    """Two workers' runners in one process, driven by hand."""

    def __init__(self) -> None:
        self.redis = redis_connection.get_connection()
        self.mirror, self.rescue = Mirror(connection=self.redis), Rescuer(connection=self.redis)
        self.after_chunk = lambda dequeued: Interruption.CONTINUE

    def runner(self, worker: str) -> Runner:
        hooks = WorkerHooks(check_interruption=self.after_chunk, should_stop=lambda: False, while_waiting=lambda: None)
        return Runner(connection=self.redis, worker=worker, hooks=hooks)

    def take(self, worker: str) -> list[transitions.DequeuedTask]:
        dequeued, _ = transitions.dequeue_tasks(
            self.redis, worker=worker, types=list_names(), queues=queue_names.QUEUES, max_tasks=10, max_records=100
        )
        return dequeued

    def run_next(self, worker: str) -> bool:
        dequeued = self.take(worker)
        if dequeued:
            self.runner(worker).run(dequeued)
        return bool(dequeued)

    def drain(self) -> int:
        steps = 0
        while self.run_next("one" if steps % 2 else "two"):
            steps += 1
        self.apply()
        return steps

    def apply(self) -> None:
        while self.mirror.step():
            pass


@pytest.fixture
def bench(redis):
    return Bench()


def start(records: int) -> str:
    return start_tasks.start_task(task=NewTask(name="upload", params={"numRecords": records})).snapshot.id


def positions(task_id: str) -> list[list[int]]:
    return [sorted(model.objects.filter(task_id=task_id).values_list("position", flat=True)) for model in MODELS]


def test_a_big_task_ends_with_exactly_its_rows(bench):
    task_id = start(1000)
    assert bench.drain() == 1 + 4  # the split, and four shards of 300, 300, 300 and 100
    record = TaskRecord.objects.get(pk=task_id)
    assert (record.status, record.done, record.counts) == (
        task_status.FINISHED,
        1000,
        {"users": 1000, "products": 1000, "order_items": 1000},
    )
    assert positions(task_id) == [list(range(1000))] * 3
    assert TaskRecord.objects.count() == 1
    causes = Counter(event.status for event in task_queries.list_events(task_id=task_id))
    assert causes[task_status.FINISHED] == 1
    assert bench.redis.keys("rq:job:*") == [f"rq:job:{task_id}".encode()]
    assert bench.redis.smembers("longtasks:split") == set()


def test_a_task_of_as_many_records_as_a_shard_is_not_split(bench):
    task_id = start(300)
    bench.drain()
    assert not TaskCheckpoint.objects.exclude(parent_id=None).exists()
    assert TaskRecord.objects.get(pk=task_id).done == 300


def test_shards_run_at_the_same_time_on_two_workers(bench):
    task_id = start(600)
    bench.run_next("one")
    first, second = bench.take("one"), bench.take("two")
    assert [len(first), len(second)] == [1, 1]
    assert first[0].task_id != second[0].task_id
    bench.runner("two").run(second)
    bench.runner("one").run(first)
    bench.apply()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.FINISHED
    assert positions(task_id) == [list(range(600))] * 3


def test_cancel_between_shards_keeps_what_is_committed_and_nothing_comes_after(bench):
    task_id = start(900)
    bench.run_next("one")
    bench.run_next("one")
    snapshot = change_tasks.cancel_task(task_id=task_id)
    assert snapshot.status == task_status.CANCELED
    assert snapshot.done == 300
    bench.drain()
    record = TaskRecord.objects.get(pk=task_id)
    assert (record.status, record.done) == (task_status.CANCELED, 300)
    assert positions(task_id) == [list(range(300))] * 3
    assert bench.redis.keys("rq:wip:*") == []
    assert bench.redis.keys("rq:queue:*") == []


def test_a_canceled_task_that_is_retried_ends_exact(bench):
    task_id = start(900)
    bench.run_next("one")
    bench.run_next("one")
    change_tasks.cancel_task(task_id=task_id)
    bench.drain()
    change_tasks.retry_task(task_id=task_id)
    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.FINISHED
    assert positions(task_id) == [list(range(900))] * 3


def test_a_shard_that_runs_while_its_task_is_canceled_and_retried_counts_once(bench):
    task_id = start(600)
    bench.run_next("one")
    running = bench.take("one")
    change_tasks.cancel_task(task_id=task_id)
    change_tasks.retry_task(task_id=task_id)
    bench.run_next("two")  # splits again: the running shard is fenced
    bench.runner("one").run(running)
    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.FINISHED
    assert positions(task_id) == [list(range(600))] * 3


def test_everything_that_redis_forgets_between_shards_is_found_again(bench):
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


def test_a_shard_that_fails_for_good_fails_its_task_and_the_rest_of_it(bench, monkeypatch):
    from catalog.task_types import upload

    real = upload.write_records

    def fail_in_the_second_shard(*, slices):
        if any(part.start >= 300 for part in slices):
            raise ValueError("planted")
        real(slices=slices)

    monkeypatch.setattr(upload, "write_records", fail_in_the_second_shard)
    once = dataclasses.replace(settings.LONGTASKS, retry_attempts=1)
    with override_settings(LONGTASKS=once):
        task_id = start(900)
        bench.drain()
    record = TaskRecord.objects.get(pk=task_id)
    assert (record.status, record.done) == (task_status.FAILED, 300)
    assert "planted" in record.error
    assert positions(task_id) == [list(range(300))] * 3
    monkeypatch.setattr(upload, "write_records", real)
    change_tasks.retry_task(task_id=task_id)
    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.FINISHED
    assert positions(task_id) == [list(range(900))] * 3


def test_the_checkpoint_of_a_shard_and_of_its_task_commit_together(bench):
    task_id = start(600)
    bench.run_next("one")
    bench.after_chunk = lambda dequeued: Interruption.PREEMPT
    for _ in range(3):
        bench.run_next("one")
        parent = TaskCheckpoint.objects.get(pk=uuid.UUID(task_id))
        shards = TaskCheckpoint.objects.filter(parent_id=parent.task_id)
        assert parent.done == sum(shard.done for shard in shards) == len(positions(task_id)[0])


# --- what nobody but rescue can tell


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def look_twice(bench: Bench) -> None:
    """What seems stuck in two looks of rescue is."""
    bench.rescue.run()
    bench.rescue.run()


def test_the_end_that_the_last_shards_worker_could_not_tell_is_told(bench, monkeypatch):
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


def test_a_cancel_of_which_redis_was_not_told_ends_the_task(bench):
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


def test_a_cancel_that_comes_while_the_task_is_being_split_is_obeyed(bench, monkeypatch):
    from catalog.task_types.upload import UploadTask

    real = UploadTask.prepare_split

    def cancel_first(self, *, task_id, params):
        assert change_tasks.cancel_task(task_id=str(task_id)).status == task_status.STARTED
        return real(self, task_id=task_id, params=params)

    monkeypatch.setattr(UploadTask, "prepare_split", cancel_first)
    task_id = start(900)
    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.CANCELED
    assert positions(task_id) == [[]] * 3
    assert bench.redis.keys("rq:queue:*") == bench.redis.keys("rq:wip:*") == []


@pytest.mark.parametrize("outcome", [task_status.FAILED, task_status.STOPPED])
def test_a_shard_that_ended_its_task_and_could_not_tell_it(bench, outcome):
    task_id = start(900)
    bench.run_next("one")
    [dequeued] = bench.take("one")
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
def test_a_shard_that_is_nowhere_comes_back(bench, job_too):
    task_id = start(900)
    bench.run_next("one")
    [dequeued] = bench.take("one")
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
    bench.take("one")
    [scheduled] = bench.take("two")
    bench.redis.zrem("rq:wip:low", f"{scheduled.task_id}:two")
    bench.redis.zadd("rq:scheduled:low", {scheduled.task_id: 4e9})
    parent = TaskCheckpoint.objects.get(pk=task_id)
    beat("one")
    look_twice(bench)
    look_twice(bench)
    assert not bench.rescue.counts
    assert TaskCheckpoint.objects.get(pk=task_id).epoch == parent.epoch


def test_a_task_that_has_begun_as_a_whole_goes_on_as_a_whole(bench):
    bench.after_chunk = lambda dequeued: Interruption.PREEMPT
    whole = dataclasses.replace(settings.LONGTASKS, shard_records=0)
    with override_settings(LONGTASKS=whole):
        task_id = start(900)
        bench.run_next("one")
    assert 0 < TaskCheckpoint.objects.get(pk=task_id).done < 900
    bench.after_chunk = lambda dequeued: Interruption.CONTINUE
    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.FINISHED
    assert positions(task_id) == [list(range(900))] * 3
    assert not TaskCheckpoint.objects.exclude(parent_id=None).exists()


def test_what_is_done_to_a_shard_is_done_to_its_task(bench):
    task_id = start(900)
    bench.run_next("one")
    shard_id = bench.redis.lindex("rq:queue:low", 0).decode()
    with pytest.raises(UnknownTask):
        task_queries.get_task(task_id=shard_id)
    result = change_many_tasks.cancel_tasks(task_ids=[shard_id], actor="ada")
    assert result.changed == [task_id]
    assert change_tasks.cancel_task(task_id=shard_id).id == task_id
    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.CANCELED
    assert bench.redis.keys("rq:queue:*") == []
