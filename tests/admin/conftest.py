"""What the admin's tests share: users with permissions, tasks, and a mirror that has read the whole stream."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tasks_app.queues import queue_names, redis_connection, transitions
from tasks_app.services import start_tasks
from tasks_app.services.start_tasks import NewTask
from tasks_app.task_types import list_names
from tests.support.mirror import run_mirror

MakeClient = Callable[..., Client]
VIEW, OPERATE, ADMINISTER = "view_taskrecord", "operate_tasks", "administer_tasks"


def start(**values: Any) -> str:
    """Start a task and run the mirror; returns the task's id."""
    params = values.pop("params", {"numRecords": 3})
    task_id = start_tasks.start_task(task=NewTask("upload", params, **values)).snapshot.id
    run_mirror()
    return task_id


def take(*, worker: str = "w1", types: list[str] | None = None) -> list[str]:
    """Dequeue the waiting tasks of these types, or of all, as a worker does; returns their ids."""
    dequeued, _ = transitions.dequeue_tasks(
        redis_connection.get_connection(),
        worker=worker,
        types=list_names() if types is None else types,
        queues=queue_names.QUEUES,
        max_tasks=100,
        max_records=1000,
    )
    run_mirror()
    return [task.task_id for task in dequeued]


@pytest.fixture
def make_client(db: None) -> MakeClient:
    """`make_client(VIEW, OPERATE)`: a client in which a staff user with these permissions is logged in."""

    def make(*permissions: str, name: str = "olga") -> Client:
        user = User.objects.create_user(name, password="secret", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        return client

    return make
