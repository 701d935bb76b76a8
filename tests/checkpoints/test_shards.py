"""tasks_app/checkpoints/shards.py: a big task runs as shards on several workers and is one task outside."""

import dataclasses
import uuid
from collections import Counter

import pytest
from django.conf import settings
from django.test import override_settings

from tasks_app.domain import task_status
from tasks_app.engine.interruption import Interruption
from tasks_app.errors import UnknownTask
from tasks_app.models import TaskCheckpoint, TaskRecord
from tasks_app.read_model import task_queries
from tasks_app.services import change_many_tasks, change_tasks
from tests.support.shard_bench import positions, start

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_big_task_ends_with_exactly_its_rows(bench):
    task_id = start(1000)
    assert bench.drain() == 1 + 4  # the split and four shards (300, 300, 300, 100)
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


def test_a_task_no_larger_than_a_shard_is_not_split(bench):
    task_id = start(300)
    bench.drain()
    assert not TaskCheckpoint.objects.exclude(parent_id=None).exists()
    assert TaskRecord.objects.get(pk=task_id).done == 300


def test_shards_run_at_the_same_time_on_two_workers(bench):
    task_id = start(600)
    bench.run_next("one")
    first, second = bench.dequeue("one"), bench.dequeue("two")
    assert [len(first), len(second)] == [1, 1]
    assert first[0].task_id != second[0].task_id
    bench.runner("two").run(second)
    bench.runner("one").run(first)
    bench.apply()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.FINISHED
    assert positions(task_id) == [list(range(600))] * 3


def test_cancel_between_shards_keeps_the_committed_rows_and_adds_none(bench):
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


def test_a_canceled_task_that_is_retried_writes_each_row_once(bench):
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
    running = bench.dequeue("one")
    change_tasks.cancel_task(task_id=task_id)
    change_tasks.retry_task(task_id=task_id)
    bench.run_next("two")  # splits again, which fences the running shard
    bench.runner("one").run(running)
    bench.drain()
    assert TaskRecord.objects.get(pk=task_id).status == task_status.FINISHED
    assert positions(task_id) == [list(range(600))] * 3


def test_a_shard_that_fails_for_good_fails_its_task_and_its_other_shards(bench, monkeypatch):
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


def test_a_task_that_started_unsplit_stays_unsplit(bench):
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


def test_a_cancel_of_a_shard_cancels_its_task(bench):
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
