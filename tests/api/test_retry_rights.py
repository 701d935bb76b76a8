"""A retry runs with the rights of the start, whoever requests it."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tasks_app.domain import task_snapshot
from tasks_app.models import TaskRecord
from tasks_app.queues import job_snapshots, redis_connection, redis_keys
from tasks_app.services import change_many_tasks
from tests.api.conftest import assert_problem
from tests.api.task_requests import plant, start

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]


@pytest.mark.parametrize("where", ["redis", "record"])
def test_a_retry_does_not_lend_its_callers_rights_to_a_foreign_purge(
    client_of: Any, mirror: Any, redis: Any, where: str
) -> None:
    ann, bob, root = client_of("ann"), client_of("bob"), client_of("root", "admin")
    task_id = start(ann).json()["id"]
    forged = plant(
        task_snapshot.Snapshot(
            id=str(uuid.uuid4()), name="purge", created_at=datetime.now(UTC), owner="bob", params={"taskId": task_id}
        )
    )
    assert bob.post(f"/tasks/{forged}/cancel", content_type="application/json").status_code == 200
    mirror()
    if where == "record":
        redis.flushdb()
    for client in (bob, root):
        problem = assert_problem(client.post(f"/tasks/{forged}/retry", content_type="application/json"), 404)
        assert [error["field"] for error in problem["errors"]] == ["params.taskId"]
    with pytest.raises(CommandError, match=r"params\.taskId"):
        call_command("task", "retry", forged)
    result = change_many_tasks.retry_tasks(task_ids=[forged], actor="olga")
    assert (result.changed, dict(result.left)) == ([], {"refused": 1})
    assert TaskRecord.objects.get(pk=forged).status == "canceled"
    assert redis_connection.get_connection().lpos(redis_keys.queue_key("low"), forged) is None


def test_a_retry_keeps_the_rights_of_the_start(client_of: Any, mirror: Any, redis: Any) -> None:
    ann, root = client_of("ann"), client_of("root", "admin")
    task_id = start(ann).json()["id"]
    own, theirs = (start(client, "purge", taskId=task_id).json()["id"] for client in (ann, root))
    for client, purge in ((ann, own), (root, theirs)):
        assert client.post(f"/tasks/{purge}/cancel", content_type="application/json").status_code == 200
        assert client.post(f"/tasks/{purge}/retry", content_type="application/json").status_code == 202
        snapshot = job_snapshots.get_snapshot(purge)
        assert snapshot is not None
        assert snapshot.scope == ("admin" if client is root else "write")
    # Only Redis knows the scope of a start: without Redis the lowest scope applies.
    root.post(f"/tasks/{theirs}/cancel", content_type="application/json")
    mirror()
    redis.flushdb()
    assert_problem(root.post(f"/tasks/{theirs}/retry", content_type="application/json"), 404)
