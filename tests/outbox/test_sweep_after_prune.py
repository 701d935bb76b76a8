"""tasks_app/outbox/sweep.py and `manage.py prune`: nothing that was pruned is enqueued again."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from redis import Redis

from loadtests.started.servers import IS_EMBEDDED
from tasks_app.domain import task_snapshot
from tasks_app.models import OutboxTask, TaskCheckpoint, TaskRecord
from tasks_app.operations import retention
from tasks_app.outbox import push
from tasks_app.outbox.sweep import OutboxSweep
from tasks_app.queues import enqueue, redis_connection, redis_keys
from tasks_app.starting import start_task
from tests.outbox.test_start_task import START
from tests.outbox.test_sweep import _settled, start_unpushed  # noqa: F401 (fixtures)
from tests.support.engine import Worker, positions, record


def test_prune_leaves_out_what_is_in_the_outbox(redis: Redis) -> None:
    with transaction.atomic():
        task_id = start_task(*START).id
    Worker().run()
    assert record(task_id).status == "finished"
    later = datetime.now(UTC) + timedelta(days=1)
    list(retention.prune(ended_before=later))
    assert TaskRecord.objects.filter(pk=task_id).exists()
    assert TaskCheckpoint.objects.filter(pk=task_id).exists()
    OutboxSweep().run()
    list(retention.prune(ended_before=later))
    assert not TaskRecord.objects.exists()
    assert not TaskCheckpoint.objects.exists()


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has one lock for all rows")
def test_a_sweep_that_is_stopped_before_redis_enqueues_no_task_that_was_pruned_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its lock keeps the outbox row, and the outbox row keeps the task."""
    task_id = start_unpushed(monkeypatch=monkeypatch)
    snapshot = task_snapshot.decode(bytes(OutboxTask.objects.get().snapshot))
    stopped, goes_on = threading.Event(), threading.Event()
    original = enqueue.enqueue_tasks

    def stop(snapshots: Any) -> Any:
        stopped.set()
        assert goes_on.wait(timeout=30)
        return original(snapshots)

    def run() -> None:
        OutboxSweep().run()
        connections.close_all()

    with monkeypatch.context() as patch:
        patch.setattr(enqueue, "enqueue_tasks", stop)
        thread = threading.Thread(target=run)
        thread.start()
        assert stopped.wait(timeout=30)
    push._push(snapshot)
    Worker().run()
    assert record(task_id).status == "finished"
    OutboxSweep().run()
    list(retention.prune(ended_before=datetime.now(UTC) + timedelta(days=1)))
    redis_connection.get_connection().delete(redis_keys.job_key(task_id))
    goes_on.set()
    thread.join()
    Worker().run()
    assert positions(task_id) == [0, 1, 2]
    assert record(task_id).status == "finished"
