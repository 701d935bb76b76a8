"""The task type `deduplicate_users` keeps the first user of each record, with the order items of all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from catalog.models import OrderItem, User
from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.services import start_tasks
from tasks_app.task_types import get_task_type
from tests.catalog.conftest import read_rows, upload
from tests.support.engine import Worker, _database, longtasks, record  # noqa: F401 (fixtures)

COPIES = 10**9  # ids of the copies


def copy_users(users: list[User], *, by: int) -> list[User]:
    """Insert each user once more, and let the order items of every second one refer to the copy."""
    copies = [User(**{**_values(user), "id": user.pk + by}) for user in users]
    User.objects.bulk_create(copies)
    for user in users[::2]:
        OrderItem.objects.filter(user_id=user.pk).update(user_id=user.pk + by)
    return copies


def _values(user: User) -> dict[str, object]:
    return {field.attname: getattr(user, field.attname) for field in User._meta.concrete_fields}


@pytest.mark.parametrize("shard_records", [0, 10])
@pytest.mark.parametrize("size", [1, 3, 500])
def test_the_first_user_of_each_record_stays_and_gets_the_order_items_of_the_others(
    shard_records: int,
    size: int,
    longtasks: Callable[..., None],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longtasks(shard_records=shard_records)
    monkeypatch.setattr(type(get_task_type("deduplicate_users")), "first_limit", size)
    monkeypatch.setattr(type(get_task_type("deduplicate_users")), "max_limit", size)
    tasks = [upload(records=30), upload(records=30)]
    before = [read_rows(task) for task in tasks]
    users = list(User.objects.order_by("pk"))
    doubled = users[::3]
    for number in (1, 2, 3):
        copy_users(doubled[::number], by=number * COPIES)
    copies = User.objects.count() - len(users)
    moved = OrderItem.objects.filter(user_id__gt=COPIES).count()
    assert (copies, moved > 0) == (20 + 10 + 7, True)

    task_id = start_tasks.start_task(
        task=start_tasks.NewTask(name="deduplicate_users"), caller=COMMAND_LINE
    ).snapshot.id
    while Worker("a").run() or Worker("b").run():
        pass

    assert [read_rows(task) for task in tasks] == before
    seen = record(task_id)
    assert (seen.status, seen.done, seen.total) == ("finished", len(users) + copies, len(users) + copies)
    assert seen.counts == {"kept_users": len(users), "deleted_users": copies, "moved_order_items": moved}
