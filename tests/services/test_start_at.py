"""A task with a start: scheduled until then, begun as a new task then; its start can change while it waits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks_app.auth import audit_log
from tasks_app.domain import task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import ParamRefused, QueueFull, TaskBegun, TaskEnded
from tasks_app.models import AuditEntry, TaskCheckpoint
from tasks_app.queues import redis_connection
from tasks_app.queues.transitions import Transition
from tasks_app.recovery import due_tasks
from tasks_app.services import change_tasks, start_tasks
from tests.support.engine import Worker, history, job, positions, record, rescue, start, waiting

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def start_later(*, ahead: timedelta = HOUR, name: str = "slow", priority: str = "low", **params: Any) -> Snapshot:
    task = start_tasks.NewTask(name=name, params={"records": 3, **params}, priority=priority, start_at=now() + ahead)
    return start_tasks.start_task(task=task).snapshot


def score(task_id: str, queue: str = "low") -> float | None:
    found: float | None = redis_connection.get_connection().zscore(f"rq:scheduled:{queue}", task_id)
    return found


def let_come(task_id: str) -> None:
    """Let the task's start come, as if the time had passed."""
    snapshot = job(task_id)
    assert snapshot.start_at is not None
    redis_connection.get_connection().zadd(f"rq:scheduled:{snapshot.priority}", {task_id: now().timestamp() - 1})


def run_all() -> None:
    while Worker().run():
        pass


# --- the start


def test_it_is_scheduled_until_its_start_and_then_begins_as_a_new_task() -> None:
    snapshot = start_later()
    assert (snapshot.status, snapshot.next_attempt_at) == ("scheduled", snapshot.start_at)
    assert job(snapshot.id) == snapshot
    assert score(snapshot.id) == pytest.approx(snapshot.start_at.timestamp(), abs=1e-5)  # type: ignore[union-attr]
    assert waiting() == []
    assert not TaskCheckpoint.objects.exists()
    assert rescue().enqueue_due() == 0
    run_all()
    assert record(snapshot.id).status == "scheduled"

    let_come(snapshot.id)
    assert rescue().enqueue_due() == 1
    assert rescue().enqueue_due() == 0
    assert waiting() == [snapshot.id]
    run_all()
    ended = record(snapshot.id)
    assert (ended.status, ended.attempts, ended.next_attempt_at, ended.start_at) == (
        "finished", 1, None, snapshot.start_at,
    )  # fmt: skip
    assert positions(snapshot.id) == [0, 1, 2]
    assert [change for change in history(snapshot.id) if change[1] != "progress"] == [
        ("scheduled", "start"), ("queued", "due"), ("started", "take"), ("finished", "end"),
    ]  # fmt: skip


@pytest.mark.parametrize("ahead", [timedelta(0), -HOUR, timedelta(days=-400_000)])
def test_a_start_that_has_come_is_at_once(ahead: timedelta) -> None:
    snapshot = start_later(ahead=ahead)
    assert (snapshot.status, snapshot.start_at, snapshot.next_attempt_at) == ("queued", None, None)
    assert waiting() == [snapshot.id]


def test_a_start_without_a_zone_or_beyond_a_year_is_refused(redis: Any) -> None:
    for start_at, words in ((datetime(2026, 12, 1), "no time zone"), (now() + timedelta(days=370), "at most 366 days")):
        task = start_tasks.NewTask("small", {"records": 1}, start_at=start_at)
        with pytest.raises(ParamRefused, match=words) as refused:
            start_tasks.start_tasks(tasks=[start_tasks.NewTask("small", {"records": 1}), task])
        assert refused.value.field == "tasks.1.startAt"
        with pytest.raises(ParamRefused, match=words) as refused:
            start_tasks.validate_tasks(tasks=[task])
        assert refused.value.field == "startAt"
    assert redis.keys("rq:*") == []


def test_due_tasks_queue_behind_those_that_wait_in_the_order_of_their_starts() -> None:
    late, early = start_later(ahead=2 * HOUR).id, start_later().id
    queued = start()
    redis = redis_connection.get_connection()
    redis.zadd("rq:scheduled:low", {late: now().timestamp() - 1, early: now().timestamp() - 2})
    assert rescue().enqueue_due() == 2
    assert waiting() == [queued, early, late]


def test_its_wait_counts_from_its_start() -> None:
    snapshot = start_later()
    assert snapshot.waits_since == snapshot.start_at
    assert start_later(ahead=-HOUR).waits_since < now()


def test_a_failed_first_attempt_is_retried_like_any_other(longtasks: Any) -> None:
    longtasks(retry_first_seconds=30)
    task_id = start_later(name="flaky", times=1).id
    let_come(task_id)
    rescue().enqueue_due()
    Worker().run()
    failed = job(task_id)
    assert (failed.status, failed.attempts, failed.waits_for_start) == ("scheduled", 1, False)
    assert 20 < (score(task_id) or 0) - now().timestamp() < 40
    with pytest.raises(TaskBegun, match="only a task that has not begun"):
        change_tasks.change_start(task_id=task_id, start_at=now() + HOUR)
    change_tasks.change_priority(task_id=task_id, priority="high")
    assert 20 < (score(task_id, "high") or 0) - now().timestamp() < 40


# --- the admission limit


def test_scheduled_tasks_have_a_limit_of_their_own(longtasks: Any) -> None:
    longtasks(queue_bound=3, queue_reserve=0.0)
    for _ in range(3):
        start_later()
    with pytest.raises(QueueFull, match="3 scheduled tasks wait, the limit is 3"):
        start_later()
    assert len([start() for _ in range(3)]) == 3, "those that wait for their start keep no one out"
    with pytest.raises(QueueFull, match="3 tasks wait"):
        start()


# --- idempotency


def test_a_replay_shows_the_first_answer_also_after_its_start() -> None:
    task = start_tasks.NewTask("small", {"records": 1}, start_at=now() + timedelta(seconds=0.5))
    first = start_tasks.start_task(task=task, idempotency_key="k")
    assert first.snapshot.status == "scheduled"
    while now() < task.start_at:  # type: ignore[operator]
        pass
    again = start_tasks.start_task(task=task, idempotency_key="k")
    assert again.replayed
    assert (again.snapshot.id, again.snapshot.status, again.snapshot.start_at) == (
        first.snapshot.id, "scheduled", task.start_at,
    )  # fmt: skip
    assert waiting() == []


def test_the_fingerprint_of_a_task_without_a_start_is_the_previous_versions() -> None:
    task = start_tasks.NewTask("small", {"records": 1})
    assert start_tasks._fingerprint([task]) == "2a19e3d330335c584ad86915"


# --- changes while it waits


def test_its_start_can_be_changed_in_both_directions() -> None:
    task_id = start_later().id
    for ahead in (3 * HOUR, 2 * HOUR):
        wanted = now() + ahead
        changed = change_tasks.change_start(task_id=task_id, start_at=wanted, actor="olga", source=audit_log.CLI)
        assert (changed.status, changed.start_at, changed.next_attempt_at) == ("scheduled", wanted, wanted)
        assert job(task_id) == changed
        assert score(task_id) == pytest.approx(wanted.timestamp(), abs=1e-5)
    assert change_tasks.change_start(task_id=task_id, start_at=wanted) == changed, "nothing to do"
    entries = AuditEntry.objects.filter(action="reschedule").order_by("pk")
    assert [(entry.actor, entry.source) for entry in entries] == [("olga", "cli")] * 2
    assert entries[1].detail.endswith(f" → {wanted:%Y-%m-%d %H:%M:%S} UTC")
    assert record(task_id).start_at == wanted
    assert history(task_id)[1:] == [("scheduled", "reschedule")] * 2


@pytest.mark.parametrize("start_at", [None, datetime(2020, 1, 1, tzinfo=UTC)])
def test_it_can_begin_at_once(start_at: datetime | None) -> None:
    task_id = start_later().id
    changed = change_tasks.change_start(task_id=task_id, start_at=start_at)
    assert (changed.status, changed.start_at, changed.next_attempt_at) == ("queued", None, None)
    assert (waiting(), score(task_id)) == ([task_id], None)
    run_all()
    assert record(task_id).status == "finished"


def test_a_task_that_waits_in_its_queue_can_be_given_a_start() -> None:
    task_id = start()
    wanted = now() + HOUR
    assert change_tasks.change_start(task_id=task_id, start_at=wanted).status == "scheduled"
    assert waiting() == []
    assert score(task_id) == pytest.approx(wanted.timestamp(), abs=1e-5)


def test_a_task_that_has_begun_or_ended_keeps_its_start() -> None:
    running, ended = start(), start_later().id
    Worker().dequeue(max_tasks=1)
    change_tasks.cancel_task(task_id=ended)
    for task_id, status in ((running, "started"), (ended, "canceled")):
        with pytest.raises(TaskBegun, match=f"is {status}: only a task that has not begun can change its start"):
            change_tasks.change_start(task_id=task_id, start_at=now() + HOUR)


def test_a_change_at_the_last_moment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rescuer has read the task as due when its start is changed: it must not begin."""
    task_id = start_later().id
    let_come(task_id)
    apply_batch = due_tasks.Requeuer.apply_batch

    def change_first(self: Any, batch: list[Transition]) -> int:
        if batch:
            change_tasks.change_start(task_id=task_id, start_at=now() + 2 * HOUR)
        return apply_batch(self, batch)

    monkeypatch.setattr(due_tasks.Requeuer, "apply_batch", change_first)
    assert rescue().enqueue_due() == 0
    assert (waiting(), job(task_id).status) == ([], "scheduled")


def test_a_change_of_priority_keeps_the_start() -> None:
    snapshot = start_later()
    moved = change_tasks.change_priority(task_id=snapshot.id, priority="high")
    assert (moved.priority, moved.start_at, moved.status) == ("high", snapshot.start_at, "scheduled")
    assert (score(snapshot.id), score(snapshot.id, "high")) == (None, pytest.approx(snapshot.start_at.timestamp()))  # type: ignore[union-attr]
    let_come(snapshot.id)
    rescue().enqueue_due()
    assert waiting("high") == [snapshot.id]


def test_a_cancel_ends_it_at_once_and_a_retry_starts_it_now() -> None:
    task_id = start_later().id
    assert change_tasks.cancel_task(task_id=task_id).status == "canceled"
    assert (score(task_id), record(task_id).next_attempt_at) == (None, None)
    rescue()
    assert waiting() == []
    again = change_tasks.retry_task(task_id=task_id)
    assert (again.status, again.start_at) == ("queued", None)
    assert waiting() == [task_id]
    run_all()
    assert record(task_id).status == "finished"
    assert positions(task_id) == [0, 1, 2]
    with pytest.raises(TaskEnded):
        change_tasks.retry_task(task_id=task_id)


def test_a_canceled_task_whose_cancel_redis_has_not_seen_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = start_later().id
    monkeypatch.setattr(change_tasks, "apply_to_redis", lambda changes: None)
    change_tasks.cancel_task(task_id=task_id)
    let_come(task_id)
    rescue().enqueue_due()
    run_all()
    assert positions(task_id) == []
    assert record(task_id).status == task_status.CANCELED
