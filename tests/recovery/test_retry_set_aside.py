"""tasks_app/recovery/retry_set_aside.py: an operator retries a set-aside item or drops it, once and audited."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tasks_app.models import AuditEntry, SetAsideItem, TaskCheckpoint
from tasks_app.queues import redis_connection
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.resilience import set_aside_items
from tests.support.dead_workers import claim
from tests.support.engine import Worker, history, mirror, record, start, waiting
from tests.support.refused_items import append, changed, items, raise_, refused_task, retry

BIG = 2**64


def test_a_fixed_task_is_requeued_when_its_item_is_retried(redis: Any) -> None:
    bad = start()
    Worker("dead").dequeue()
    claim(bad)
    mirror()
    TaskCheckpoint.objects.filter(task_id=bad).update(counts={"users": BIG})
    Rescuer(connection=redis_connection.get_connection()).run()
    [item] = items(set_aside_items.TASK)
    assert retry(item).startswith("refused again: TypeError")
    TaskCheckpoint.objects.filter(task_id=bad).update(counts={"users": 0})
    redis.zremrangebyrank("rq:wip:low", 0, -1)
    assert retry(item) == "applied"
    assert waiting() == [bad]


def test_a_retried_item_is_applied_as_at_first(redis: Any) -> None:
    task_id, item = refused_task(redis)
    assert retry(item) == "refused again: ValueError: priority is 'Middle': not a valid queue name"
    item.refresh_from_db()
    assert item.tries == 2
    SetAsideItem.objects.update(payload=bytes(item.payload).replace(b"Middle", b"high"), size=item.size - 2)
    assert retry(item) == "applied"
    assert record(task_id).total == 5
    assert history(task_id)[-1] == ("started", "x")
    assert not SetAsideItem.objects.exists()
    assert list(AuditEntry.objects.values_list("action", "source")) == [("try_again", "cli")] * 2


def test_an_item_older_than_its_task_is_not_applied(redis: Any) -> None:
    task_id, item = refused_task(redis)
    SetAsideItem.objects.update(payload=bytes(item.payload).replace(b"Middle", b"high"), size=item.size - 2)
    append(redis, changed(task_id, done=2, status="started"))
    mirror()
    assert retry(item) == "not applied: a newer state of the task is stored"
    assert record(task_id).done == 2
    assert not SetAsideItem.objects.exists()


def test_an_item_is_listed_and_dropped_with_an_entry_in_the_audit(redis: Any, capsys: Any) -> None:
    _, item = refused_task(redis)
    call_command("set_aside", "list")
    assert f"{item.pk} snapshot {item.key}: ValueError: priority is 'Middle'" in capsys.readouterr().out
    call_command("set_aside", "list", "--json")
    [listed] = json.loads(capsys.readouterr().out)["items"]
    assert listed["payload"] == bytes(item.payload).decode()
    call_command("set_aside", "drop", str(item.pk))
    assert not SetAsideItem.objects.exists()
    [entry] = AuditEntry.objects.all()
    assert (entry.action, entry.detail) == ("drop", f"snapshot {item.key}: {item.reason}")


def test_an_item_is_applied_once_after_an_interrupted_retry(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id, item = refused_task(redis)
    SetAsideItem.objects.update(payload=bytes(item.payload).replace(b"Middle", b"high"), size=item.size - 2)
    with monkeypatch.context() as patch:
        patch.setattr(SetAsideItem, "delete", raise_(KeyboardInterrupt()))  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            retry(item)
    assert record(task_id).total == 3
    assert retry(item) == "applied"
    assert [cause for _, cause in history(task_id)] == ["start", "x"]
    with pytest.raises(CommandError, match=f"There is no set-aside item {item.pk}"):
        retry(item)
