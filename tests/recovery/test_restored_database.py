"""tasks_app/recovery/restored_database.py: with one store restored the checkpoint decides, and epochs never decrease."""

import time
import uuid
from typing import Any

import pytest

from catalog.models import User
from tasks_app.models import MirrorCursor, TaskCheckpoint, TaskEvent, TaskRecord
from tasks_app.queues import redis_connection, redis_keys, snapshot_stream
from tasks_app.read_model.mirror import Mirror
from tasks_app.services import change_tasks
from tests.support.engine import (
    Worker,
    checkpoint,
    history,
    job,
    mirror,
    positions,
    record,
    rescue,
    start,
    started,
    waiting,
)


def back_up() -> dict[Any, list[Any]]:
    """Return all rows of the database."""
    return {model: list(model.objects.all()) for model in (TaskRecord, TaskCheckpoint, TaskEvent, User, MirrorCursor)}


def restore(backup: dict[Any, list[Any]]) -> None:
    for model, rows in backup.items():
        model.objects.all().delete()
        model.objects.bulk_create(rows)


def run_all() -> None:
    while Worker("next").run():
        pass


def assert_finished(task_id: str) -> None:
    assert positions(task_id) == [0, 1, 2]
    assert record(task_id).status == checkpoint(task_id).outcome == job(task_id).status == "finished"
    assert waiting() == started() == []


@pytest.mark.parametrize("known", ["no table", "nothing", "its start", "a chunk"])
def test_a_task_that_ended_after_the_database_backup_runs_again_from_its_checkpoint(known: str) -> None:
    mirror()
    MirrorCursor.objects.update_or_create(name="events", defaults={"stream_id": f"{int(time.time() * 1000) - 1000}-0"})
    if known == "no table":
        backup = {model: [] for model in back_up()}
        task_id = start()
    elif known == "nothing":
        backup = back_up()
        task_id = start()
    else:
        task_id = start()
        if known == "a chunk":
            preempted_worker = Worker()
            preempted_worker.interruption = preempted_worker.interruption.STOP
            preempted_worker.run()
        mirror()
        backup = back_up()
    run_all()
    mirror()
    assert record(task_id).status == "finished"

    restore(backup)
    mirror()
    rescue()
    run_all()

    assert_finished(task_id)


def test_a_task_canceled_after_the_database_backup_stays_canceled() -> None:
    task_id = start()
    mirror()
    backup = back_up()
    change_tasks.cancel_task(task_id=task_id)
    mirror()

    restore(backup)
    mirror()
    rescue()
    run_all()

    assert positions(task_id) == []
    assert record(task_id).status == checkpoint(task_id).outcome == "canceled"


def test_a_waiting_task_missing_from_the_restored_database_is_listed_again() -> None:
    mirror()
    first = start()
    mirror()
    backup = back_up()
    second = start()
    mirror()

    restore(backup)
    mirror()
    rescue()

    assert record(second).status == record(first).status == "queued"
    run_all()
    assert_finished(second)


def test_a_task_that_redis_knows_at_a_higher_epoch_can_be_claimed_and_ends() -> None:
    task_id = start()
    mirror()
    backup = back_up()
    preempted_worker = Worker()
    preempted_worker.interruption = preempted_worker.interruption.STOP
    for _ in range(2):
        preempted_worker.run()
    assert job(task_id).epoch == 2

    restore(backup)
    run_all()

    assert_finished(task_id)
    assert checkpoint(task_id).epoch == 3


def test_a_retry_that_the_database_has_lost_is_kept() -> None:
    task_id = start()
    change_tasks.cancel_task(task_id=task_id)
    mirror()
    backup = back_up()
    change_tasks.retry_task(task_id=task_id)
    mirror()

    restore(backup)
    mirror()
    rescue()
    run_all()

    assert_finished(task_id)


def test_a_retry_that_an_older_redis_has_lost_is_kept(redis: Any) -> None:
    task_id = start()
    change_tasks.cancel_task(task_id=task_id)
    mirror()
    key = redis_keys.job_key(task_id)
    old = redis.dump(key)
    change_tasks.retry_task(task_id=task_id)
    mirror()
    redis.restore(key, 0, old, replace=True)
    redis.delete("rq:queue:low")
    redis.zadd("rq:canceled:low", {task_id: 9e9})
    TaskRecord.objects.update(updated_at="2020-01-01T00:00:00Z")

    rescue()
    run_all()

    assert_finished(task_id)


def test_reading_an_older_stream_again_changes_no_task_row(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = start()
    old = redis.dump(snapshot_stream.STREAM_KEY)
    Worker().run()
    waits = start()
    older = redis.dump(snapshot_stream.STREAM_KEY)
    mirror()
    before = history(task_id), history(waits)
    MirrorCursor.objects.update(stream_id=f"{int(time.time() * 1000) + 5000}-0")

    for copy in (old, older):
        redis.restore(snapshot_stream.STREAM_KEY, 0, copy, replace=True)
        Mirror(connection=redis_connection.get_connection()).step()
        MirrorCursor.objects.update(stream_id=f"{int(time.time() * 1000) + 5000}-0")

    assert TaskRecord.objects.get(pk=task_id).status == "finished"
    assert [
        list(TaskEvent.objects.filter(task_id=uuid.UUID(each)).values_list("status", "cause"))
        for each in (task_id, waits)
    ] == list(before)
