"""tasks_app/queues/end_watcher.py: a watcher is notified once, by a publication, by a poll or at the deadline."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import redis as redis_package

from tasks_app.domain import task_snapshot, task_status
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.queues import end_watcher, enqueue, redis_connection, redis_keys, transitions
from tasks_app.queues.end_watcher import PREFIX, EndWatcher, Watch
from tasks_app.queues.transitions import Transition

SOON_SECONDS = 20.0
LATE = 1e9


class RecordedWatch:
    """A watch that stores its notifications."""

    def __init__(self, task_id: str, *, seconds: float = 50) -> None:
        self.answers: list[Snapshot | None] = []
        self._is_told = threading.Event()
        self.watch = Watch(task_id, time.monotonic() + seconds, self._note_end)

    def _note_end(self, snapshot: Snapshot | None) -> None:
        self.answers.append(snapshot)
        self._is_told.set()

    def read(self) -> Snapshot | None:
        assert self._is_told.wait(SOON_SECONDS), "no notification arrived"
        [answer] = self.answers
        return answer


@pytest.fixture
def watcher(redis: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[EndWatcher]:
    """A watcher that never polls, so that it learns of ends by publication alone."""
    monkeypatch.setattr(end_watcher, "READ_AGAIN_SECONDS", LATE)
    yield EndWatcher()
    wait_until(lambda: not redis.pubsub_channels(f"{PREFIX}?*"))


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        threading.Event().wait(0.01)


def start() -> Snapshot:
    task = Snapshot(id=str(uuid.uuid4()), name="upload", created_at=datetime.now(UTC))
    enqueue.enqueue_tasks([task])
    return task


def end(task: Snapshot, status: str = task_status.FINISHED) -> None:
    ended = replace(task, status=status, done=3, epoch=1)
    assert transitions.apply_transitions(redis_connection.get_connection(), [Transition(ended, "any", "ended")]) == [
        True
    ]


@pytest.mark.parametrize("status", sorted(task_status.ENDED))
def test_a_published_end_notifies_the_watcher(watcher: EndWatcher, redis: Any, status: str) -> None:
    task, other = start(), start()
    recorded, again, others = RecordedWatch(task.id), RecordedWatch(task.id), RecordedWatch(other.id)
    for each in (recorded, again, others):
        watcher.watch(each.watch)
    wait_until(lambda: len(redis.pubsub_channels(f"{PREFIX}?*")) == 2)
    redis.publish(PREFIX + task.id, "no snapshot")
    transitions.apply_transitions(
        redis_connection.get_connection(), [Transition(replace(task, done=1), "unchanged", "stay")]
    )  # no end
    end(task, status)
    for each in (recorded, again):
        snapshot = each.read()
        assert snapshot is not None
        assert (snapshot.status, snapshot.done) == (status, 3)
    assert others.answers == []
    watcher.drop(others.watch)


def test_an_end_before_the_watch_notifies_the_watcher(watcher: EndWatcher) -> None:
    task = start()
    end(task)
    recorded = RecordedWatch(task.id)
    watcher.watch(recorded.watch)
    snapshot = recorded.read()
    assert snapshot is not None
    assert snapshot.status == "finished"


def test_the_newest_state_is_reported_at_the_deadline(watcher: EndWatcher) -> None:
    task = start()
    transitions.apply_transitions(
        redis_connection.get_connection(), [Transition(replace(task, done=2), "unchanged", "stay")]
    )
    recorded, unknown = RecordedWatch(task.id, seconds=0.3), RecordedWatch(str(uuid.uuid4()), seconds=0.3)
    watcher.watch(recorded.watch)
    watcher.watch(unknown.watch)
    snapshot = recorded.read()
    assert snapshot is not None
    assert (snapshot.status, snapshot.done) == ("queued", 2)
    assert unknown.read() is None


def test_a_dropped_watcher_is_not_notified(watcher: EndWatcher, redis: Any) -> None:
    task, other = start(), start()
    dropped, kept = RecordedWatch(task.id), RecordedWatch(other.id)
    watcher.watch(dropped.watch)
    watcher.watch(kept.watch)
    wait_until(lambda: len(redis.pubsub_channels(f"{PREFIX}?*")) == 2)
    watcher.drop(dropped.watch)
    wait_until(lambda: len(redis.pubsub_channels(f"{PREFIX}?*")) == 1)
    end(task)
    end(other)
    assert kept.read() is not None
    assert dropped.answers == []


def test_an_end_that_was_not_published_is_read(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_watcher, "READ_AGAIN_SECONDS", 0.1)
    watcher, task = EndWatcher(), start()
    recorded = RecordedWatch(task.id)
    watcher.watch(recorded.watch)
    wait_until(lambda: redis.pubsub_channels(f"{PREFIX}?*"))
    redis.hset(redis_keys.job_key(task.id), "s", task_snapshot.encode(replace(task, status="canceled")))
    snapshot = recorded.read()
    assert snapshot is not None
    assert snapshot.status == "canceled"


def test_a_dropped_watcher_does_not_delay_the_next_poll(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_watcher, "READ_AGAIN_SECONDS", 0.5)
    monkeypatch.setattr(end_watcher, "_PAGE", 2)
    watcher, task = EndWatcher(), start()
    many = [RecordedWatch(str(uuid.uuid4())) for _ in range(200)]
    for each in many:
        watcher.watch(each.watch)
    wait_until(lambda: watcher._unread)
    for each in many:
        watcher.drop(each.watch)
    recorded = RecordedWatch(task.id)
    watcher.watch(recorded.watch)
    wait_until(lambda: redis.pubsub_channels(f"{PREFIX}?*") == [(PREFIX + task.id).encode()])
    began = time.monotonic()
    redis.hset(redis_keys.job_key(task.id), "s", task_snapshot.encode(replace(task, status="canceled")))
    assert recorded.read() is not None
    assert time.monotonic() - began < 5  # a hundred pages of dropped watches would take 50 s


def test_a_broken_subscription_is_renewed(watcher: EndWatcher, redis: Any) -> None:
    task = start()
    recorded = RecordedWatch(task.id)
    watcher.watch(recorded.watch)
    wait_until(lambda: redis.pubsub_channels(f"{PREFIX}?*"))
    [mine] = [each["id"] for each in redis.client_list(_type="pubsub") if each["sub"] == "2"]
    redis.client_kill_filter(_id=mine)
    end(task)  # while nobody is subscribed
    assert recorded.read() is not None


def test_ends_are_polled_where_an_acl_forbids_the_channels(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_watcher, "READ_AGAIN_SECONDS", 0.1)
    redis.acl_setuser("nochannels", enabled=True, nopass=True, keys=["*"], commands=["+@all"], channels=[])
    try:
        number = redis.connection_pool.connection_kwargs["db"]
        address = redis.connection_pool.connection_kwargs
        restricted = redis_package.Redis(
            host=address["host"], port=address["port"], db=number, username="nochannels", password="x"
        )
        monkeypatch.setattr(redis_connection, "get_connection", lambda: restricted)
        with pytest.raises(redis_package.exceptions.NoPermissionError):
            restricted.publish(PREFIX, "x")
        watcher, task = EndWatcher(), start()
        recorded = RecordedWatch(task.id)
        watcher.watch(recorded.watch)
        end(task)
        assert recorded.read() is not None
        restricted.close()
    finally:
        redis.acl_deluser("nochannels")
