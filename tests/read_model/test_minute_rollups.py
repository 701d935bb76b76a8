"""Minute roll-ups count each snapshot once and rows when they are committed; quantiles are within their error."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.models import TaskMinute
from tasks_app.queues import redis_connection, snapshot_stream
from tasks_app.read_model import minute_rollups
from tests.admin.conftest import run_mirror

pytestmark = pytest.mark.django_db
CREATED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
NEW = Snapshot(id="01900000-0000-7000-8000-000000000001", name="upload", created_at=CREATED, cause="start")


def tell(*snapshots: Snapshot) -> None:
    for snapshot in snapshots:
        snapshot_stream.append(redis_connection.get_connection(), snapshot)


def started(**values: object) -> Snapshot:
    return replace(NEW, status="started", cause="take", started_at=CREATED + timedelta(seconds=2), **values)  # type: ignore[arg-type]


def finished() -> Snapshot:
    return replace(
        started(done=10, counts={"users": 10, "products": 10}),
        status="finished",
        cause="end",
        ended_at=CREATED + timedelta(seconds=10),
    )


def total(name: str) -> int:
    return sum(getattr(row, name) for row in TaskMinute.objects.all())


@pytest.mark.parametrize("at_once", [True, False])
def test_a_task_counts_once_in_one_batch_or_in_many(at_once: bool) -> None:
    half = replace(started(done=4, counts={"users": 4, "products": 4}), cause="progress")
    for snapshot in (NEW, started(), half, finished(), finished()):
        tell(snapshot)
        if not at_once:
            run_mirror()
    run_mirror()

    assert [total(name) for name in ("accepted", "started", "finished", "failed", "rows")] == [1, 1, 1, 0, 20]
    [*_, last] = minute_rollups.list_last(minutes=2)
    both = [*minute_rollups.list_last(minutes=2)]
    waits, runs = minute_rollups.merge(view.waits for view in both), minute_rollups.merge(view.runs for view in both)
    assert minute_rollups.quantile_seconds(waits, 0.5) == pytest.approx(2, rel=0.1)
    assert minute_rollups.quantile_seconds(runs, 0.95) == pytest.approx(8, rel=0.1)
    assert last.minute.second == 0


def test_rows_committed_before_a_retry_are_not_counted_again() -> None:
    failed = replace(started(done=4, counts={"users": 4}), status="failed", cause="end", ended_at=CREATED)
    tell(NEW, failed)
    run_mirror()
    tell(replace(NEW, epoch=2, cause="retry", done=4, counts={"users": 4}))
    run_mirror()
    tell(replace(finished(), epoch=2, counts={"users": 10}))
    run_mirror()

    assert [total(name) for name in ("accepted", "failed", "finished", "rows")] == [1, 1, 1, 10]


def test_minutes_without_a_task_are_listed() -> None:
    views = minute_rollups.list_last(minutes=60)
    assert len(views) == 60
    assert all(later.minute - earlier.minute == timedelta(minutes=1) for earlier, later in pairwise(views))
    assert minute_rollups.quantile_seconds(views[0].waits, 0.5) is None


def test_quantiles_are_right_within_nine_percent() -> None:
    histogram: dict[str, int] = {}
    durations = [0.004 * 1.07**step for step in range(200)]
    for duration in durations:
        histogram = minute_rollups.merge(
            [histogram, {minute_rollups._bucket(CREATED, CREATED + timedelta(seconds=duration)): 1}]
        )
    for share in (0.5, 0.95):
        exact = durations[int(share * 200) - 1]
        assert minute_rollups.quantile_seconds(histogram, share) == pytest.approx(exact, rel=0.09)


def test_today_is_counted_from_the_roll_ups() -> None:
    tell(NEW, finished())
    run_mirror()
    counts = minute_rollups.count_since(datetime.now(UTC) - timedelta(minutes=1))
    assert (counts["accepted"], counts["finished"], counts["rows"]) == (1, 1, 20)


def test_old_minutes_are_deleted_when_an_hour_begins() -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for age in (timedelta(days=31), timedelta(days=29)):
        TaskMinute.objects.create(minute=hour - age, queue="low", name="upload")
    rollup = minute_rollups.Rollup()
    rollup.add(f"{int(hour.timestamp() * 1000)}-0", NEW, None)
    rollup.save()
    assert TaskMinute.objects.count() == 2
