"""tasks_app/services/change_many_tasks.py: sets of tasks are canceled, retried or moved like single ones, and audited."""

import uuid

import pytest

from tasks_app.auth import audit_log
from tasks_app.checkpoints import claims
from tasks_app.checkpoints.claims import Claim
from tasks_app.domain import task_status
from tasks_app.domain.callers import Caller
from tasks_app.errors import TaskNotWaiting, UnknownQueue
from tasks_app.models import AuditEntry, TaskCheckpoint, TaskRecord
from tasks_app.queues import job_snapshots, redis_connection, redis_keys
from tasks_app.services import change_many_tasks, change_tasks, pause_queues, start_tasks
from tests.admin.conftest import run_mirror, start, take

pytestmark = pytest.mark.django_db(transaction=True)


def statuses(task_ids: list[str]) -> list[str]:
    run_mirror()
    return [TaskRecord.objects.get(pk=task_id).status for task_id in task_ids]


def waiting(name: str) -> list[str]:
    return [raw.decode() for raw in redis_connection.get_connection().lrange(redis_keys.queue_key(name), 0, -1)]


def claim(task_id: str) -> Claim:
    held = claims.claim(task_id=uuid.UUID(task_id), worker="w1")
    assert isinstance(held, Claim)
    return held


def test_waiting_tasks_are_canceled_running_ones_requested_and_ended_ones_unchanged() -> None:
    running = start()
    take()
    claim(running)
    waits, ended = start(), start()
    change_tasks.cancel_task(task_id=ended, actor="x")

    result = change_many_tasks.cancel_tasks(
        task_ids=[running, waits, ended, str(uuid.uuid4())], actor="olga", source="admin"
    )

    assert sorted(result.changed) == sorted([running, waits])
    assert result.left == {"canceled": 1, "unknown": 1}
    assert statuses([waits, ended]) == ["canceled", "canceled"]
    assert TaskRecord.objects.get(pk=running).cancel_requested
    assert TaskCheckpoint.objects.get(pk=running).cancel_requested
    assert waiting("low") == []
    entries = AuditEntry.objects.filter(actor="olga", source="admin", action="cancel")
    assert {str(entry.task_id) for entry in entries} == {running, waits}


def test_a_canceled_task_can_be_claimed_only_after_a_retry() -> None:
    task_id = start()
    change_many_tasks.cancel_tasks(task_ids=[task_id], actor="olga")
    assert not isinstance(claims.claim(task_id=uuid.UUID(task_id), worker="w1"), Claim)

    result = change_many_tasks.retry_tasks(task_ids=[task_id], actor="olga", source="admin")

    assert result.changed == [task_id]
    assert statuses([task_id]) == ["queued"]
    assert waiting("low") == [task_id]
    claim(task_id)


def test_only_ended_tasks_are_retried() -> None:
    failed, queued = start(), start()
    take()
    held = claim(failed)
    claims.fail_attempt(held, error="Traceback\nValueError: no", final=True)

    result = change_many_tasks.retry_tasks(task_ids=[failed, queued], actor="olga")

    assert result.changed == [failed]
    assert sum(result.left.values()) == 1
    row = TaskCheckpoint.objects.get(pk=failed)
    assert (row.outcome, row.error, row.failures) == ("", "", 0)


def test_priority_moves_a_waiting_task_to_the_back_of_the_other_queue() -> None:
    first, second, third = start(priority="high"), start(), start()

    result = change_many_tasks.change_priorities(
        task_ids=[third, second], priority="high", actor="olga", source="admin"
    )

    assert sorted(result.changed) == sorted([second, third])
    assert waiting("high") == [first, second, third]  # in the order of their start
    assert waiting("low") == []
    run_mirror()
    assert TaskRecord.objects.get(pk=second).priority == "high"
    assert AuditEntry.objects.filter(action="priority").count() == 2


def test_priority_of_a_running_task_does_not_change() -> None:
    task_id = start()
    take()
    with pytest.raises(TaskNotWaiting):
        change_tasks.change_priority(task_id=task_id, priority="high", actor="olga")
    assert change_many_tasks.change_priorities(task_ids=[task_id], priority="high", actor="olga").left == {"started": 1}
    assert waiting("high") == []


def test_priority_set_after_the_dequeue_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = start()
    stale = job_snapshots.get_snapshot(task_id)
    take()
    monkeypatch.setattr(job_snapshots, "get_snapshot", lambda _: stale)
    with pytest.raises(TaskNotWaiting):
        change_tasks.change_priority(task_id=task_id, priority="high", actor="olga")
    assert waiting("high") == waiting("low") == []


def test_priority_of_a_scheduled_task_changes_where_it_will_wait() -> None:
    from dataclasses import replace
    from datetime import UTC, datetime, timedelta

    from tasks_app.queues.transitions import Transition, apply_transitions

    task_id = start()
    take()
    snapshot = job_snapshots.get_snapshot(task_id)
    assert snapshot is not None
    run_at = datetime.now(UTC) + timedelta(hours=1)
    later = replace(snapshot, status=task_status.SCHEDULED, next_attempt_at=run_at)
    assert apply_transitions(
        redis_connection.get_connection(), [Transition(later, "started", run_at, worker="w1")]
    ) == [True]

    change_tasks.change_priority(task_id=task_id, priority="high", actor="olga")

    connection = redis_connection.get_connection()
    assert connection.zscore("rq:scheduled:low", task_id) is None
    assert connection.zscore("rq:scheduled:high", task_id) == pytest.approx(run_at.timestamp())


def test_an_unknown_priority_is_refused() -> None:
    with pytest.raises(UnknownQueue):
        change_many_tasks.change_priorities(task_ids=[start()], priority="urgent", actor="olga")


def test_the_size_of_a_set_is_bounded() -> None:
    with pytest.raises(ValueError, match="at most"):
        change_many_tasks.cancel_tasks(task_ids=[str(uuid.uuid4()) for _ in range(1001)], actor="olga")


def test_the_audit_is_one_list_of_all_sources_newest_first() -> None:
    through_api = start()
    through_admin = start_tasks.start_task(
        task=start_tasks.NewTask("upload", {"numRecords": 1}), caller=Caller("olga", "admin"), source=audit_log.ADMIN
    ).snapshot.id
    run_mirror()
    change_tasks.cancel_task(task_id=through_api, actor="api")
    change_tasks.retry_task(task_id=through_api, actor="carl", source=audit_log.CLI)
    change_tasks.change_priority(task_id=through_api, priority="high", actor="olga", source=audit_log.ADMIN)
    pause_queues.pause_queue(queue="low", actor="olga", reason="deploy", source=audit_log.ADMIN)
    pause_queues.resume_queue(queue="low", actor="olga", source=audit_log.ADMIN)

    entries = [
        (entry.action, entry.source, entry.actor, str(entry.task_id or "")) for entry in audit_log.list_page().entries
    ]

    assert entries == [
        ("resume", "admin", "olga", ""),
        ("pause", "admin", "olga", ""),
        ("priority", "admin", "olga", through_api),
        ("retry", "cli", "carl", through_api),
        ("cancel", "api", "api", through_api),
        ("start", "admin", "olga", through_admin),
        ("start", "api", "", through_api),
    ]
    assert [entry.action for entry in audit_log.list_page(actor="carl").entries] == ["retry"]
    assert len(audit_log.list_page(action="start").entries) == 2
    assert [entry.source for entry in audit_log.list_page(source="admin", action="start").entries] == ["admin"]


def test_the_audit_pages_by_key_and_repeats_nothing() -> None:
    for index in range(5):
        task_id = start()
        if index % 2:
            change_tasks.cancel_task(task_id=task_id, actor="x")
    seen, cursor = [], ""
    while True:
        page = audit_log.list_page(cursor=cursor, limit=2)
        seen += [entry.pk for entry in page.entries]
        cursor = page.next_cursor
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)


def test_a_request_that_changes_nothing_is_not_audited() -> None:
    task_id = start()
    change_tasks.cancel_task(task_id=task_id, actor="x")
    change_tasks.cancel_task(task_id=task_id, actor="y")
    assert AuditEntry.objects.filter(action="cancel").count() == 1
