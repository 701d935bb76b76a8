"""tasks_app/queues/redis_clock.py: scripts and web use the clock of Redis; no time of a task runs backwards."""

import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks_app.domain import task_snapshot
from tasks_app.queues import lua_script, redis_connection, redis_keys, transitions, worker_entries
from tasks_app.queues import redis_clock as clock_module
from tasks_app.queues.redis_clock import RedisClock, clock
from tests.support.engine import Worker, job, record, rescue, start


def seconds_ahead(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Shift this machine's clock, as Python code reads it."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=seconds)

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)
    for name in (
        "queues.redis_clock",
        "queues.transitions",
        "engine.task_session",
        "engine.batch_runner",
        "recovery.requeue",
        "recovery.reconciliation",
        "checkpoints.as_snapshot",
    ):
        monkeypatch.setattr(f"tasks_app.{name}.datetime", Skewed)
    monkeypatch.setattr(clock, "_seen", RedisClock()._seen)


def redis_now() -> float:
    seconds, microseconds = redis_connection.get_connection().time()
    return float(seconds + microseconds / 1e6)


@pytest.mark.parametrize("skew", [-10.0, 10.0])
def test_times_are_redis_times_whatever_the_local_clock_says(monkeypatch: pytest.MonkeyPatch, skew: float) -> None:
    began = datetime.fromtimestamp(redis_now(), tz=UTC)
    seconds_ahead(monkeypatch, skew)
    first = start("small")  # web learns the time from its answer
    task_id = start("small")
    assert clock.skew_seconds == pytest.approx(skew, abs=0.2)
    while Worker().run():
        pass
    ended = datetime.fromtimestamp(redis_now(), tz=UTC)
    seen = record(task_id)
    assert seen.started_at is not None
    assert seen.ended_at is not None
    assert began <= seen.created_at + timedelta(seconds=0.2)
    assert seen.created_at <= seen.started_at <= seen.ended_at <= ended
    milliseconds = uuid.UUID(task_id).int >> 80
    assert began.timestamp() - 0.2 <= milliseconds / 1000 <= ended.timestamp()
    before = record(first)
    assert before.started_at is not None
    assert before.ended_at is not None
    assert before.created_at <= before.started_at <= before.ended_at


@pytest.mark.parametrize("skew", [-10.0, 10.0])
def test_a_next_attempt_is_due_by_the_redis_clock(monkeypatch: pytest.MonkeyPatch, longtasks: Any, skew: float) -> None:
    longtasks(retry_attempts=3, retry_first_seconds=3)
    seconds_ahead(monkeypatch, skew)
    task_id = start("flaky", times=1, at=1)
    Worker().run()
    score: Any = redis_connection.get_connection().zscore("rq:scheduled:low", task_id)
    assert 1 < score - redis_now() < 4
    due = job(task_id).next_attempt_at
    assert due is not None
    assert due.timestamp() == pytest.approx(score, abs=0.01)
    assert rescue().enqueue_due() == 0
    # A change of priority keeps the time.
    transitions.apply_transitions(
        redis_connection.get_connection(),
        [
            transitions.Transition(
                task_snapshot.decode(task_snapshot.encode(job(task_id))),
                "delayed",
                datetime.now(UTC),
            )
        ],
    )
    assert redis_connection.get_connection().zscore("rq:scheduled:low", task_id) == score


def test_a_workers_first_heartbeat_reports_its_clock_skew(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds_ahead(monkeypatch, 10.0)
    connection = redis_connection.get_connection()
    worker_entries.beat(connection, worker="w1", queues=["low"], fields={"queues": "low"}, ttl_seconds=60)
    connection.sadd("rq:workers", redis_keys.worker_key("w1"))
    assert [worker.skew_seconds for worker in worker_entries.list_registered(connection)] == [
        pytest.approx(10.0, abs=0.2)
    ]


def test_small_clock_differences_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = RedisClock()
    now = time.time()
    seen.note(sent_at=now, seconds=int(now + 0.1), microseconds=int((now + 0.1) % 1 * 1e6))
    assert abs((seen.now() - datetime.now(UTC)).total_seconds()) < 0.05
    slow = RedisClock()
    slow.note(sent_at=now - 30, seconds=int(now), microseconds=0)
    assert slow.skew_seconds == 0.0, "a slow answer says nothing about the clock"
    assert clock_module.TRUSTED_SECONDS < 1


def test_the_scripts_write_times_as_python_does() -> None:
    source = lua_script.Script("set").source.split("-- Set a small key")[0]
    dice = random.Random(7)
    moments = [
        datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC),
        datetime(2000, 3, 1, tzinfo=UTC),
        datetime(2100, 2, 28, tzinfo=UTC),
    ]
    moments += [datetime.fromtimestamp(dice.randrange(4_000_000_000), tz=UTC) for _ in range(200)]
    for moment in moments:
        script = f"{source}\nreturn format_time({int(moment.timestamp())}, {moment.microsecond})"
        written: Any = redis_connection.get_connection().eval(script, 0)
        assert written.decode() == moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
