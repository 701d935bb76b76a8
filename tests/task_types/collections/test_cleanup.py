"""A clean-up deletes each row with its dependants, and its copy is in the archive or nothing has happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models.signals import post_delete

from tasks_app.task_types.collections import Cleanup
from tests.support.engine import Worker, checkpoint, record, rescue
from tests.task_types.collections.conftest import Registered, begin, run_all
from tests.task_types.collections.models import Child, Guard, NarrowChild, Node, OldChild, OldNode, Parent, Watch


class PruneParents(Cleanup):
    first_limit = max_limit = 3

    def collection(self, params: Any) -> Any:
        return Parent.objects.filter(id__lt=100)


class PruneChildren(Cleanup):
    first_limit = max_limit = 3
    archive_to = OldChild

    def collection(self, params: Any) -> Any:
        return Child.objects.filter(visits=0)


def fill(*, parents: int = 10, children: int = 2) -> None:
    Parent.objects.bulk_create([Parent(id=number) for number in range(parents)] + [Parent(id=1000)])
    keys = [(number, parent.pk) for parent in Parent.objects.all() for number in range(children)]
    Child.objects.bulk_create(
        [Child(id=parent * 10 + number, parent_id=parent, note=f"{parent}/{number}") for number, parent in keys]
    )


@pytest.mark.parametrize("shards", [0, 4])
def test_rows_go_with_their_dependants_and_signals_are_sent(
    shards: int, registered: Registered, longtasks: Callable[..., None]
) -> None:
    fill()
    longtasks(shard_records=shards)
    registered(PruneParents)
    gone: list[Any] = []

    def note(sender: Any, instance: Any, **_: Any) -> None:
        gone.append(instance.pk)

    post_delete.connect(note, sender=Parent)
    try:
        task_id = begin("prune_parents")
        run_all(workers=2)
    finally:
        post_delete.disconnect(note, sender=Parent)

    assert sorted(gone) == list(range(10))
    assert list(Parent.objects.values_list("pk", flat=True)) == [1000]
    assert Child.objects.count() == 2
    seen = record(task_id)
    assert (seen.status, seen.done, seen.total) == ("finished", 10, 10)
    parents, children = Parent._meta.db_table, Child._meta.db_table
    assert seen.counts == {f"deleted_{parents}": 10, f"deleted_{children}": 20}


def test_each_row_is_in_one_of_the_two_tables(registered: Registered) -> None:
    fill()
    before = list(Child.objects.order_by("pk").values("id", "parent_id", "note", "visits"))
    Child.objects.filter(parent_id=3).update(visits=5)
    registered(PruneChildren)
    worker = Worker()

    def look() -> None:
        archived, left = (
            set(OldChild.objects.values_list("pk", flat=True)),
            set(Child.objects.values_list("pk", flat=True)),
        )
        assert archived | left == {row["id"] for row in before}
        assert not archived & left

    worker.on_check = look
    task_id = begin("prune_children")
    worker.run()

    assert list(OldChild.objects.order_by("pk").values("id", "parent_id", "note", "visits")) == [
        row for row in before if row["parent_id"] != 3
    ]
    assert set(Child.objects.values_list("parent_id", flat=True)) == {3}
    table = Child._meta.db_table
    assert record(task_id).counts == {f"archived_{table}": 20, f"deleted_{table}": 20}


@pytest.mark.parametrize("guard", [Guard, Watch])
@pytest.mark.parametrize(
    ("attempts", "gone"), [(1, 6), (2, 7)], ids=["one attempt", "two: the second has pages of a row"]
)
def test_a_protected_row_fails_the_attempt_with_what_protects_it(
    guard: Any, attempts: int, gone: int, registered: Registered, longtasks: Callable[..., None]
) -> None:
    longtasks(retry_attempts=attempts, retry_first_seconds=0)
    fill()
    guarding = guard.objects.create(parent_id=7)
    registered(PruneParents)
    task_id = begin("prune_parents")
    run_all()
    rescue().enqueue_due()
    run_all()

    seen = record(task_id)
    assert seen.status == "failed"
    assert f"collection_tests.{guard.__name__} {guarding.pk}" in (seen.error or "")
    assert "StillReferenced" in (seen.error or "")
    assert list(Parent.objects.filter(pk__lt=100).values_list("pk", flat=True)) == list(range(gone, 10))
    assert Child.objects.filter(parent_id__gte=gone).count() == 2 * (11 - gone), "the page was rolled back as a whole"
    assert checkpoint(task_id).done == gone


def test_an_archive_that_lacks_a_column_deletes_nothing(registered: Registered) -> None:
    fill()
    registered(type("Narrow", (PruneChildren,), {"archive_to": NarrowChild}))
    task_id = begin("narrow")
    run_all()
    seen = record(task_id)
    assert (seen.status, seen.attempts) == ("failed", 1)
    assert "has no visits, note, parent_id" in (seen.error or "")
    assert Child.objects.count() == 22


def test_rows_that_another_has_deleted_meanwhile_are_no_error(registered: Registered) -> None:
    fill()
    registered(PruneParents)
    worker = Worker()
    worker.on_check = lambda: Parent.objects.filter(pk=8).delete() and None
    task_id = begin("prune_parents")
    worker.run()
    assert (record(task_id).status, record(task_id).done) == ("finished", 9)
    assert record(task_id).total == 9


def test_rows_of_the_same_table_that_would_go_unarchived_by_cascade_stop_the_task(registered: Registered) -> None:
    class PruneNodes(Cleanup):
        first_limit = max_limit = 2
        archive_to = OldNode

        def collection(self, params: Any) -> Any:
            return Node.objects.all()

    Node.objects.bulk_create([Node(id=1), Node(id=2), Node(id=3, parent_id=2), Node(id=4)])
    registered(PruneNodes)
    task_id = begin("prune_nodes")
    run_all()
    seen = record(task_id)
    assert (seen.status, seen.attempts) == ("failed", 1)
    assert "NotArchived" in (seen.error or "")
    assert (Node.objects.count(), OldNode.objects.count()) == (4, 0)
