"""tasks_app/recovery/unpublished_decisions.py: what the database decided while Redis refused is published later."""

from typing import Any

import pytest

from tasks_app.models import QueueState
from tasks_app.queues import redis_keys
from tasks_app.services import change_many_tasks, change_tasks, pause_queues
from tests.support.engine import Worker, checkpoint, history, job, mirror, record, rescue, start, waiting
from tests.support.redis_limits import without_replicas


def test_a_cancel_while_redis_refuses_is_published_later(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks_app.recovery.unpublished_decisions.SETTLED_SECONDS", -1.0)
    waits, also_waits = start(), start()
    mirror()
    with without_replicas(redis):
        assert change_tasks.cancel_task(task_id=waits, actor="eve").status == "canceled"
        assert change_many_tasks.cancel_tasks(task_ids=[also_waits], actor="eve").changed == [also_waits]
    for task_id in (waits, also_waits):
        assert checkpoint(task_id).outcome == "canceled"
        assert job(task_id).status == record(task_id).status == "queued", "not published yet"
    rescue()
    assert waiting() == []
    for task_id in (waits, also_waits):
        assert job(task_id).status == record(task_id).status == "canceled"
    published_count = len(history(waits))
    rescue()
    assert len(history(waits)) == published_count, "published once"


def test_a_retry_while_redis_refuses_is_enqueued_later(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks_app.recovery.reconciliation.SETTLED_SECONDS", -1.0)
    task_id = start()
    change_tasks.cancel_task(task_id=task_id, actor="eve")
    mirror()
    with without_replicas(redis):
        assert change_tasks.retry_task(task_id=task_id, actor="eve").status == "queued"
    assert waiting() == []
    rescue()
    assert waiting() == [task_id]
    Worker().run()
    assert record(task_id).status == "finished"


def test_a_pause_while_redis_refuses_reaches_redis_later(redis: Any) -> None:
    with without_replicas(redis):
        pause_queues.pause_queue(queue="low", actor="eve")
    assert QueueState.objects.get(name="low").paused_at is not None
    assert not redis.exists(redis_keys.paused_key("low"))
    rescue()
    assert redis.exists(redis_keys.paused_key("low"))
    with without_replicas(redis):
        pause_queues.resume_queue(queue="low", actor="eve")
    assert redis.exists(redis_keys.paused_key("low"))
    rescue()
    assert not redis.exists(redis_keys.paused_key("low"))
