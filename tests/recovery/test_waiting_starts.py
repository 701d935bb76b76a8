"""Recovery of tasks that wait for their start: not begun early, not lost, not doubled."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks_app.checkpoints import cancel_and_reopen
from tasks_app.models import MirrorCursor, TaskCheckpoint, TaskEvent, TaskRecord
from tasks_app.queues import redis_connection, redis_keys
from tasks_app.services import change_tasks
from tests.queues.test_redis_clock import redis_now, seconds_ahead
from tests.services.test_start_at import HOUR, let_come, run_all, score, start_later
from tests.support.dead_workers import settle
from tests.support.engine import job, mirror, positions, record, rescue, start, waiting


def assert_begins_once(task_id: str) -> None:
    let_come(task_id)
    assert rescue().enqueue_due() == 1
    run_all()
    assert (record(task_id).status, record(task_id).attempts) == ("finished", 1)
    assert positions(task_id) == [0, 1, 2]
    assert (waiting(), score(task_id)) == ([], None)


@pytest.mark.parametrize("lost", ["everything", "entry", "entry_and_job"])
def test_what_redis_has_lost_waits_for_its_start_again(redis: Any, lost: str) -> None:
    snapshot = start_later()
    settle()
    if lost == "everything":
        redis.flushdb()
    else:
        redis.zrem("rq:scheduled:low", snapshot.id)
    if lost == "entry_and_job":
        redis.delete(redis_keys.job_key(snapshot.id))

    rescue()

    assert waiting() == [], "it began early"
    back = job(snapshot.id)
    assert (back.status, back.start_at, back.next_attempt_at) == ("scheduled", snapshot.start_at, snapshot.start_at)
    assert score(snapshot.id) == pytest.approx(snapshot.start_at.timestamp(), abs=1e-5)  # type: ignore[union-attr]
    rescue()
    assert_begins_once(snapshot.id)


def test_a_start_that_came_while_redis_was_empty_begins_at_once(redis: Any) -> None:
    snapshot = start_later()
    settle()
    redis.flushdb()
    past = datetime.now(UTC) - HOUR
    TaskRecord.objects.filter(pk=snapshot.id).update(start_at=past, next_attempt_at=past)
    assert rescue().enqueue_due() == 1
    assert waiting() == [snapshot.id]
    run_all()
    assert positions(snapshot.id) == [0, 1, 2]


def test_a_checkpoint_without_a_claim_does_not_begin_it(redis: Any) -> None:
    """A database that was restored makes one, to raise the epoch above the one in Redis."""
    snapshot = start_later()
    settle()
    cancel_and_reopen.raise_epoch(task_id=record(snapshot.id).id, above=3)
    TaskCheckpoint.objects.update(updated_at="2020-01-01T00:00:00Z")
    redis.flushdb()
    rescue()
    assert waiting() == []
    assert score(snapshot.id) == pytest.approx(snapshot.start_at.timestamp(), abs=1e-5)  # type: ignore[union-attr]
    assert_begins_once(snapshot.id)


def test_a_restored_database_gets_its_row_back(redis: Any) -> None:
    mirror()
    MirrorCursor.objects.update_or_create(
        name="events", defaults={"stream_id": f"{int(datetime.now(UTC).timestamp() * 1000) - 1000}-0"}
    )
    cursors = list(MirrorCursor.objects.all())
    snapshot = start_later()
    mirror()
    for model in (TaskRecord, TaskEvent, MirrorCursor):
        model.objects.all().delete()
    MirrorCursor.objects.bulk_create(cursors)
    mirror()
    rescue()
    assert record(snapshot.id).status == "scheduled"
    assert record(snapshot.id).start_at == snapshot.start_at


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_a_start_is_by_redis_clock_whatever_the_local_clock_says(
    redis: Any, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    seconds_ahead(monkeypatch, skew)
    start()  # web learns the time from the answer
    run_all()
    wanted = datetime.fromtimestamp(redis_now(), tz=UTC) + timedelta(seconds=100)
    snapshot = start_later(ahead=wanted - datetime.now(UTC))
    assert (snapshot.status, score(snapshot.id)) == ("scheduled", pytest.approx(wanted.timestamp(), abs=1))
    later = wanted + timedelta(seconds=100)
    change_tasks.change_start(task_id=snapshot.id, start_at=later)
    assert score(snapshot.id) == pytest.approx(later.timestamp(), abs=1e-5)
    settle()
    redis_connection.get_connection().flushdb()
    rescue()
    assert score(snapshot.id) == pytest.approx(later.timestamp(), abs=1e-5)
