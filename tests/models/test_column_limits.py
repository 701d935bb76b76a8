"""Every text from a snapshot or a command is truncated or refused before its column, on SQLite as on MySQL."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User as Person
from django.db import models
from django.test import Client

from tasks_app.auth import api_tokens, audit_log
from tasks_app.domain import task_snapshot
from tasks_app.models import AuditEntry, QueueState, SetAsideItem, TaskEvent, TaskRecord, WebhookDelivery, column_limits
from tasks_app.queues import redis_connection, snapshot_stream
from tasks_app.read_model.mirror import Mirror
from tasks_app.services import change_tasks, pause_queues, start_tasks
from tests.support.engine import Worker, job, mirror, record, start
from tests.support.refused_items import items

LONG = "ñ🚀" * 1000
TABLES = (TaskRecord, TaskEvent, WebhookDelivery, AuditEntry, QueueState, SetAsideItem)
TEXTS = [name for name, types in task_snapshot._TYPES.items() if types[0] is str and name not in ("error",)]


def assert_all_fits() -> None:
    """No row exceeds its column, which SQLite would allow."""
    for model in TABLES:
        fields = [field for field in model._meta.fields if isinstance(field, models.CharField)]
        for row in model._default_manager.all():
            for field in fields:
                assert len(getattr(row, field.attname)) <= (field.max_length or 0), (model, field.name)


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_of_a_snapshot_is_cut_or_set_aside(redis: Any, name: str) -> None:
    task_id = start()
    mirror()
    data = {**json.loads(task_snapshot.encode(job(task_id))), "status": "failed", "cause": "end", name: LONG}
    redis.xadd(snapshot_stream.STREAM_KEY, {"s": json.dumps(data).encode()})
    Mirror(connection=redis_connection.get_connection()).step()
    was_set_aside = SetAsideItem.objects.exists()
    is_stored = TaskRecord.objects.get(pk=task_id).status == "failed"
    if name in ("trace", "parent", "scope"):  # never in a row
        return
    assert was_set_aside != is_stored
    assert is_stored == (name in column_limits.CUT)
    assert_all_fits()


def test_every_text_of_a_snapshot_has_its_limit() -> None:
    columns = {
        field.attname: field.max_length
        for model in (TaskRecord, TaskEvent)
        for field in model._meta.fields
        if isinstance(field, models.CharField) and field.attname not in ("status", "priority")
    }
    limits = column_limits.CUT | column_limits.REFUSED
    assert {name: limits.get(name, 0) <= (most or 0) for name, most in columns.items()} == dict.fromkeys(columns, True)
    assert set(columns) <= set(limits)


def test_every_text_of_a_command_fits(redis: Any) -> None:
    done = [start(), start(), start()]
    mirror()
    change_tasks.cancel_task(task_id=done[0], actor=LONG, source=audit_log.ADMIN)
    change_tasks.retry_task(task_id=done[0], actor=LONG, source=audit_log.ADMIN)
    change_tasks.change_priority(task_id=done[1], priority="high", actor=LONG, source=audit_log.ADMIN)
    pause_queues.pause_queue(queue="low", actor=LONG, reason=LONG, source=audit_log.ADMIN)
    pause_queues.resume_queue(queue="low", actor=LONG, source=audit_log.ADMIN)
    start_tasks.start_task(
        task=start_tasks.NewTask(name="slow", params={"records": 1}, description=LONG),
        request_id=LONG,
        source=audit_log.CLI,
    )
    Worker().run()
    mirror()
    assert AuditEntry.objects.count() == 6
    assert TaskRecord.objects.count() == 4
    assert not SetAsideItem.objects.exists()
    assert_all_fits()


def test_a_person_with_a_long_name_starts_a_task() -> None:
    assert column_limits.cut_actor("n" * 94) == "n" * column_limits.OWNER


def test_a_superuser_with_a_long_name_cancels(redis: Any, client: Client) -> None:
    person = Person.objects.create_superuser("n" * 94, password="x")
    client.force_login(person)
    task_id = start()
    mirror()
    assert client.post(f"/admin/tasks_app/taskrecord/{task_id}/cancel/").status_code in (200, 302)
    assert job(task_id).actor == "n" * 64
    assert record(task_id).status == "canceled"
    assert AuditEntry.objects.get().actor == "n" * 64
    assert items() == []


def test_an_owner_of_a_token_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="owner has 65 characters: give 1 to 64"):
        api_tokens.create_token(owner="o" * 65, scope="read")
    token, _ = api_tokens.create_token(owner="o" * 64, scope="read", note="n" * 300, created_by=LONG)
    assert (len(token.note), len(token.created_by)) == (255, 64)


def test_numbers_are_limited_to_their_columns() -> None:
    good = task_snapshot.Snapshot(id=str(uuid.uuid4()), name="slow", created_at=datetime.now(UTC), total=2**63 - 1)
    assert column_limits.check(good) is good
