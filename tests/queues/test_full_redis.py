"""tasks_app/queues/full_redis.py: a Redis that refuses writes accepts no task, loses none and still frees memory."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks_app.errors import QueueUnavailable
from tasks_app.operations import readiness
from tasks_app.queues import full_redis, queue_names, redis_connection, redis_keys, snapshot_stream, transitions
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS
from tasks_app.read_model import task_totals
from tasks_app.services import change_tasks, pause_queues
from tests.support.engine import Worker, beat, record, rescue, start, waiting
from tests.support.redis_limits import REFUSING, full, without_replicas


@pytest.mark.parametrize("word", REFUSING)
def test_no_task_is_accepted_and_ready_names_the_cause(redis: Any, word: str) -> None:
    with REFUSING[word](redis):
        with pytest.raises(QueueUnavailable):
            start()
        assert word in readiness.find_faults()["redis"]
        assert not redis.exists(full_redis.PROBE_KEY)
    assert "redis" not in readiness.find_faults()
    assert not redis.exists(full_redis.PROBE_KEY), "the probe leaves no key"


def test_tasks_end_and_free_memory_while_redis_is_full(redis: Any, longtasks: Callable[..., None]) -> None:
    """Otherwise memory would never be freed: tasks are dequeued, run, ended, published and trimmed."""
    longtasks(retry_attempts=2, retry_first_seconds=0)
    tasks = [start(), start("small"), start("flaky", times=1, at=1), start()]
    with full(redis):
        canceled = change_tasks.cancel_task(task_id=tasks[3], actor="eve")
        assert canceled.status == "canceled"
        worker = Worker()
        while worker.run() or rescue().enqueue_due():
            beat_of("w1")
        assert [record(task_id).status for task_id in tasks] == ["finished"] * 3 + ["canceled"]
        assert redis.xlen(snapshot_stream.STREAM_KEY) == 0
        pause_queues.pause_queue(queue="low", actor="eve")
        assert redis.exists(redis_keys.paused_key("low"))
        pause_queues.resume_queue(queue="low", actor="eve")


def beat_of(worker: str) -> None:
    from tasks_app.queues.worker_entries import beat as tell

    tell(
        redis_connection.get_connection(), worker=worker, queues=queue_names.QUEUES, fields={"rows": 1}, ttl_seconds=60
    )


def test_no_worker_counts_as_dead_while_redis_refuses_writes(redis: Any) -> None:
    start()
    Worker().dequeue()
    beat("w1", ago_seconds=3600)
    with without_replicas(redis), pytest.raises(UNAVAILABLE_ERRORS):
        rescue().watch()


def test_a_full_redis_counts_the_totals(redis: Any) -> None:
    task_id = start("small")
    with full(redis):
        Worker().run()
        assert record(task_id).status == "finished"
    totals = task_totals.read_totals(redis)
    assert [total for labels, total in totals.counts("ended") if labels[1] == "small"] == [1]


def test_a_refused_dequeue_loses_no_task(redis: Any) -> None:
    task_id = start()
    with without_replicas(redis), pytest.raises(UNAVAILABLE_ERRORS):
        transitions.dequeue_tasks(
            redis_connection.get_connection(), worker="w1", types=["slow"], queues=queue_names.QUEUES, max_tasks=1, max_records=1
        )  # fmt: skip
    assert waiting() == [task_id]
