"""tasks_app/read_model/mirror.py: task rows and history have each change of the stream once, whatever dies."""

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from tasks_app.api.response_serializers import task_data
from tasks_app.domain import stream_ids
from tasks_app.models import MirrorCursor
from tasks_app.queues import redis_connection, redis_keys, snapshot_stream
from tasks_app.read_model import task_queries
from tasks_app.read_model.mirror import Mirror
from tasks_app.read_model.mirror_lag import get_lag_seconds
from tasks_app.resilience import failpoints
from tests.support.engine import Worker, _database, history, job, longtasks, mirror, record, start  # noqa: F401 (fixtures)


def test_entries_left_by_a_mirror_that_died_before_trimming_are_trimmed(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = start()
    with monkeypatch.context() as patch:
        patch.setattr(snapshot_stream, "trim", lambda *args, **kwargs: None)
        mirror()
    assert redis.xlen(snapshot_stream.STREAM_KEY) == 1

    assert Mirror(connection=redis_connection.get_connection()).step() == 0

    assert redis.xlen(snapshot_stream.STREAM_KEY) == 0
    assert get_lag_seconds(redis) == 0
    assert history(task_id) == [("queued", "start")]


def test_a_mirror_that_died_in_its_transaction_has_changed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = start()

    def die(name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "reach", die)
        with pytest.raises(KeyboardInterrupt):
            mirror()
    assert not MirrorCursor.objects.exclude(stream_id=stream_ids.START).exists()
    assert history(task_id) == [("queued", "start")]


def test_an_end_that_is_published_twice_is_in_the_history_once(redis: Any) -> None:
    task_id = start(records=1)
    Worker().run()
    snapshot_stream.append(redis, job(task_id))
    assert [status for status, _ in history(task_id)].count("finished") == 1
    snapshot_stream.append(redis, job(task_id))
    assert [status for status, _ in history(task_id)].count("finished") == 1


def test_a_new_stream_with_lower_ids_is_read(redis: Any) -> None:
    mirror()
    MirrorCursor.objects.update(stream_id="99999999999999-0")
    task_id = start()
    assert record(task_id).status == "queued"


def test_a_snapshot_of_a_fenced_worker_is_ignored(redis: Any) -> None:
    task_id = start(records=3)
    Worker().run()
    late = job(task_id)
    late.status, late.epoch, late.done = "started", late.epoch - 1, 1
    snapshot_stream.append(redis, late)
    assert record(task_id).status == "finished"
    assert record(task_id).done == 3


def test_a_recently_finished_task_is_read_from_redis_alone(
    redis: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    task_id = start()
    while Worker().run():
        pass
    mirror()
    with django_assert_num_queries(0):
        from_redis = task_queries.get_task(task_id=task_id)
    redis.delete(redis_keys.job_key(task_id))
    with django_assert_num_queries(1):
        from_row = task_queries.get_task(task_id=task_id)
    assert from_redis.status == from_row.status == "finished"
    assert task_data(from_redis) == task_data(from_row)
