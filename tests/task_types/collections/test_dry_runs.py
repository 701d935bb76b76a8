"""Dry runs of back-fills and clean-ups: each page is rolled back, the cursor moves, and the first changes are listed."""

from __future__ import annotations

from typing import Any

import pytest

from tasks_app.models import TaskFailure, TaskRowChange
from tasks_app.read_model.row_change_list import ListedChange, list_changes
from tasks_app.services import start_tasks
from tasks_app.task_types.collections import Backfill, Cleanup, Run
from tests.support.engine import checkpoint, record
from tests.task_types.collections.conftest import Registered, run_all
from tests.task_types.collections.models import Child, Number, Parent, Word

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 60


class Double(Backfill):
    """Writes the note of each row twice, as `bulk_update` does; every third one stays as it is."""

    def collection(self, params: Any) -> Any:
        return Number.objects.all()

    def process(self, rows: list[Any], run: Run) -> dict[str, int]:
        assert run.is_dry_run
        changed = [row for row in rows if row.pk % 3]
        for row in changed:
            row.note = row.note * 2
        Number.objects.bulk_update(changed, ["note"])
        return {"changed": len(changed)}


def start(name: str, *, allowed: str = "") -> str:
    task = start_tasks.NewTask(name=name, params={}, max_failures=allowed, dry_run=True)
    return start_tasks.start_task(task=task).snapshot.id


def changes_of(task_id: str) -> list[ListedChange]:
    return list_changes(record(task_id).pk)


@pytest.fixture
def numbers() -> dict[int, str]:
    Number.objects.bulk_create(Number(id=key, note=f"n{key}") for key in range(1, ROWS + 1))
    return dict(Number.objects.values_list("id", "note"))


@pytest.mark.parametrize("shard_records", [0, 20])
def test_a_back_fill_is_rolled_back_and_shows_its_first_changes(
    numbers: dict[int, str], registered: Registered, longtasks: Any, shard_records: int
) -> None:
    longtasks(shard_records=shard_records)
    registered(Double)
    task_id = start("double")
    run_all(workers=2)
    row = checkpoint(task_id)
    assert (row.outcome, row.done, row.counts) == ("finished", ROWS, {"changed": 40})
    assert (record(task_id).dry_run, record(task_id).status) == (True, "finished")
    assert dict(Number.objects.values_list("id", "note")) == numbers
    changes = changes_of(task_id)
    assert [int(change.key) for change in changes] == [key for key in range(1, ROWS) if key % 3][:20]
    assert changes[0] == ListedChange(
        position=0,
        line=None,
        model="collection_tests.Number",
        key="1",
        before={"note": "n1"},
        after={"note": "n1n1"},
        values_are_exact=True,
    )
    assert [change.position for change in changes] == [int(change.key) - 1 for change in changes]


def test_small_chunks_list_the_first_twenty_changes_once(
    numbers: dict[int, str], registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Double, "first_limit", 7)
    monkeypatch.setattr(Double, "max_limit", 7)
    registered(Double)
    task_id = start("double")
    run_all()
    assert [int(change.key) for change in changes_of(task_id)] == [key for key in range(1, ROWS) if key % 3][:20]
    assert TaskRowChange.objects.filter(task_id=task_id).count() == 20


def test_rows_that_fail_are_listed_and_the_others_shown(numbers: dict[int, str], registered: Registered) -> None:
    class DoubleGood(Double):
        def process(self, rows: list[Any], run: Run) -> dict[str, int]:
            counts = super().process(rows, run)
            if bad := [row.pk for row in rows if row.pk in (2, 40)]:
                raise ValueError(f"row {bad[0]} is bad")
            return counts

    registered(DoubleGood)
    task_id = start("double_good", allowed="10")
    run_all()
    row = checkpoint(task_id)
    assert (row.outcome, row.done, row.failed_records) == ("finished", ROWS, 2)
    assert list(TaskFailure.objects.filter(task_id=task_id).values_list("key", flat=True)) == ["2", "40"]
    assert dict(Number.objects.values_list("id", "note")) == numbers
    assert [int(change.key) for change in changes_of(task_id)][:3] == [1, 4, 5]


def test_describe_row_decides_what_is_shown(numbers: dict[int, str], registered: Registered) -> None:
    class DoubleQuietly(Double):
        def collection(self, params: Any) -> Any:
            return Number.objects.only("visits")

        def describe_row(self, row: Any) -> dict[str, Any]:
            return {"visits": row.visits, "letters": len(row.note)}

    registered(DoubleQuietly)
    task_id = start("double_quietly")
    run_all()
    first = changes_of(task_id)[0]
    assert (first.before, first.after) == ({"letters": 2}, {"letters": 4})


def test_a_row_that_leaves_the_collection_is_a_changed_row(registered: Registered) -> None:
    Word.objects.bulk_create([Word(id="a"), Word(id="b", note="kept")])

    class FillNotes(Backfill):
        def collection(self, params: Any) -> Any:
            return Word.objects.filter(note="")

        def process(self, rows: list[Any], run: Run) -> None:
            Word.objects.filter(pk__in=[row.pk for row in rows]).update(note="x" * 150, visits=7)

    registered(FillNotes)
    task_id = start("fill_notes")
    run_all()
    [change] = changes_of(task_id)
    assert (change.key, change.before, change.after) == (
        "a",
        {"visits": 0, "note": ""},
        {"visits": 7, "note": "x" * 150},
    )
    assert Word.objects.get(pk="a").note == ""


def test_a_clean_up_shows_what_it_would_delete(registered: Registered) -> None:
    Parent.objects.bulk_create(Parent(id=key) for key in range(1, 31))
    Child.objects.bulk_create(Child(id=key, parent_id=key) for key in range(1, 31))

    class PruneParents(Cleanup):
        def collection(self, params: Any) -> Any:
            return Parent.objects.filter(pk__lte=25)

    registered(PruneParents)
    task_id = start("prune_parents")
    run_all()
    assert checkpoint(task_id).counts == {
        "deleted_collection_tests_parent": 25,
        "deleted_collection_tests_child": 25,
    }
    assert (Parent.objects.count(), Child.objects.count()) == (30, 30)
    changes = changes_of(task_id)
    assert [change.key for change in changes] == [str(key) for key in range(1, 21)]
    assert (changes[0].before, changes[0].after) == ({"visits": 0, "note": "", "id": 1}, None)


def test_an_ordinary_run_reads_each_row_once_and_lists_nothing(
    numbers: dict[int, str], registered: Registered, django_assert_max_num_queries: Any
) -> None:
    class Visit(Backfill):
        def collection(self, params: Any) -> Any:
            return Number.objects.all()

        def process(self, rows: list[Any], run: Run) -> None:
            assert not run.is_dry_run
            Number.objects.filter(pk__in=[row.pk for row in rows]).update(visits=1)

    registered(Visit)
    task = start_tasks.NewTask(name="visit", params={})
    task_id = start_tasks.start_task(task=task).snapshot.id
    run_all()
    assert set(Number.objects.values_list("visits", flat=True)) == {1}
    assert changes_of(task_id) == []
