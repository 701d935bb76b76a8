"""The task type `deduplicate_users`: merges users that stand for the same record."""

from __future__ import annotations

import itertools
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from catalog.models import OrderItem, User
from tasks_app.task_types import Caller, NotAllowed, register
from tasks_app.task_types.collections import Backfill, Run


@register
class DeduplicateUsers(Backfill):
    """An import that inserts records at least once leaves several users of one record: of one task and position.

    The one with the lowest id stays and gets the order items of the others, which are deleted.
    """

    description = gettext_noop("Merges users that stand for the same record of a task.")
    cursor_fields = ("task_id", "position", "id")  # the index `users_task_position` has the primary key at its end
    count_names = ("kept_users", "deleted_users", "moved_order_items")

    def authorize(self, params: Any, caller: Caller) -> None:
        """Only an admin may delete the users of all owners."""
        if not caller.sees_all:
            raise NotAllowed("Only an admin may delete the users of all owners.")

    def collection(self, params: Any) -> QuerySet[User]:
        return User.objects.only("id", "task_id", "position")

    def process(self, rows: list[User], run: Run) -> None:
        keepers = find_keepers(rows)
        items = list(OrderItem.objects.filter(user_id__in=keepers).only("id", "user_id"))
        for item in items:
            item.user_id = keepers[item.user_id]
        OrderItem.objects.bulk_update(items, ["user"], batch_size=500)
        User.objects.filter(pk__in=keepers).delete()
        run.count("kept_users", len(rows) - len(keepers))
        run.count("deleted_users", len(keepers))
        run.count("moved_order_items", len(items))


def find_keepers(rows: list[User]) -> dict[int, int]:
    """Return the user to keep for each user of the page that is not the first one of its record."""
    keepers: dict[int, int] = {}
    for place, (record, users) in enumerate(itertools.groupby(rows, key=lambda user: (user.task_id, user.position))):
        ids = [user.pk for user in users]
        # Users of the page's first record may stand on the page before, or in the shard before.
        before = _find_first(*record) if place == 0 else None
        first = ids[0] if before is None else before
        keepers |= {each: first for each in ids if each != first}
    return keepers


def _find_first(task_id: Any, position: int) -> int | None:
    users = User.objects.filter(task_id=task_id, position=position)
    return users.order_by("task_id", "position", "id").values_list("id", flat=True).first()
