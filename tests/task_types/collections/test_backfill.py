"""A back-fill processes each row exactly once, for keys of every kind, and while other connections change the rows."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db.models import Count, F

from tasks_app.engine.interruption import Interruption
from tasks_app.services import change_tasks
from tasks_app.task_types.collections import Backfill, Run
from tests.support.engine import Worker, checkpoint, job, record, rescue
from tests.task_types.collections.conftest import Registered, begin, run_all
from tests.task_types.collections.keyed_rows import KEYS, add_tenants, make_numbers
from tests.task_types.collections.models import Child, Number, Parent, Tenant


def visit(rows: list[Any]) -> None:
    """Count a visit of each row, in the database: a second one shows."""
    type(rows[0]).objects.filter(pk__in=[row.pk for row in rows]).update(visits=F("visits") + 1)


class Visit(Backfill):
    """Base class: pages of three rows."""

    first_limit = max_limit = 3
    model: Any = Number

    def collection(self, params: Any) -> Any:
        return self.model.objects.all()

    def process(self, rows: list[Any], run: Run) -> dict[str, int]:
        visit(rows)
        run.count("seen", len(rows))
        return {"pages": 1}


def visits(model: Any) -> set[int]:
    return set(model.objects.values_list("visits", flat=True))


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("shards", [0, 4])
def test_each_row_is_processed_once_whatever_its_key(
    kind: str, size: int, shards: int, registered: Registered, longtasks: Callable[..., None]
) -> None:
    model, cursor_fields, fill = KEYS[kind]
    fill()
    longtasks(shard_records=shards)
    options = {"model": model, "cursor_fields": cursor_fields, "first_limit": size, "max_limit": size}
    registered(type("VisitKeys", (Visit,), options))

    task_id = begin("visit_keys")
    run_all(workers=2)

    assert visits(model) == {1}
    row, seen = checkpoint(task_id), record(task_id)
    assert (row.outcome, row.failures, row.error) == ("finished", 0, "")
    number = model.objects.count()
    assert (seen.status, seen.done, seen.total, seen.total_is_estimate) == ("finished", number, number, False)
    assert seen.counts["seen"] == number
    if shards:
        assert row.shards > 1
        assert row.open_shards == 0


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_come_change_and_go_meanwhile_do_no_harm(seed: int, registered: Registered) -> None:
    dice = random.Random(seed)
    make_numbers(range(0, 300, 3))
    there_from_the_start = set(Number.objects.values_list("pk", flat=True))
    registered(Visit)
    worker = Worker()
    deleted: set[int] = set()

    def disturb() -> None:
        make_numbers([key for key in {dice.randrange(600) * 3 + 1} if not Number.objects.filter(pk=key).exists()])
        victim = dice.choice(sorted(Number.objects.values_list("pk", flat=True)))
        deleted.add(victim)
        Number.objects.filter(pk=victim).delete()
        Number.objects.filter(pk=dice.randrange(300)).update(note="changed")

    worker.on_check = disturb
    task_id = begin("visit")
    worker.run()

    assert checkpoint(task_id).outcome == "finished"
    remaining = dict(Number.objects.values_list("pk", "visits"))
    assert {remaining[key] for key in there_from_the_start - deleted} == {1}
    assert set(remaining.values()) <= {0, 1}
    assert {visited for key, visited in remaining.items() if key > 297} <= {0}, "beyond the bound"
    seen = record(task_id)
    assert seen.total == seen.done == seen.counts["seen"]


def test_a_collection_that_shrinks_by_the_work_itself_is_processed_whole(registered: Registered) -> None:
    class Mark(Visit):
        def collection(self, params: Any) -> Any:
            return Number.objects.filter(note="")

        def process(self, rows: list[Any], run: Run) -> None:
            for row in rows:
                row.note, row.visits = "done", row.visits + 1
            Number.objects.bulk_update(rows, ["note", "visits"])

    make_numbers(range(50))
    registered(Mark)
    begin("mark")
    run_all()
    assert visits(Number) == {1}


def test_an_empty_collection_is_finished_at_once(registered: Registered) -> None:
    registered(Visit)
    task_id = begin("visit")
    run_all()
    assert (record(task_id).status, record(task_id).done, record(task_id).total) == ("finished", 0, 0)


def test_a_join_that_repeats_a_row_processes_it_once(registered: Registered) -> None:
    class Joined(Visit):
        def collection(self, params: Any) -> Any:
            return Parent.objects.filter(children__visits=0)

    for key in range(5):
        parent = Parent.objects.create(id=key)
        Child.objects.bulk_create([Child(id=key * 10 + number, parent=parent) for number in range(4)])
    registered(Joined)
    begin("joined")
    run_all()
    assert visits(Parent) == {1}


@pytest.mark.parametrize("shards", [0, 2])
def test_a_grouped_collection_is_processed_whole(
    shards: int, registered: Registered, longtasks: Callable[..., None]
) -> None:
    class Crowded(Visit):
        def collection(self, params: Any) -> Any:
            return Parent.objects.annotate(number=Count("children")).filter(number__gt=1)

    Parent.objects.bulk_create([Parent(id=key) for key in range(10)])
    Child.objects.bulk_create([Child(id=number, parent_id=number // 2) for number in range(11)])
    longtasks(shard_records=shards)
    registered(Crowded)
    task_id = begin("crowded")
    run_all()
    assert dict(Parent.objects.values_list("pk", "visits")) == {key: int(key < 5) for key in range(10)}
    assert record(task_id).total == 5


def test_params_of_a_dataclass_arrive_as_its_instance(registered: Registered) -> None:
    @dataclass
    class Params:
        least: int
        since: datetime.date = datetime.date(2020, 1, 1)

    class Some(Visit):
        params_class = Params
        got: Any = None

        def collection(self, params: Params) -> Any:
            return Number.objects.filter(pk__gte=params.least)

        def process(self, rows: list[Any], run: Run) -> None:
            Some.got = run.params
            visit(rows)

    make_numbers(range(10))
    registered(Some)
    begin("some", least=7, since="2021-02-03")
    run_all()
    assert Some.got == Params(7, datetime.date(2021, 2, 3))
    assert Number.objects.filter(visits=1).count() == 3


def test_an_error_rolls_the_page_back_and_a_retry_continues_at_the_cursor(
    registered: Registered, longtasks: Callable[..., None]
) -> None:
    class Fail(Visit):
        fail = True

        def process(self, rows: list[Any], run: Run) -> None:
            visit(rows)
            if Fail.fail and rows[-1].pk >= 8:
                Fail.fail = False
                raise RuntimeError("planted")

    longtasks(retry_first_seconds=0)
    make_numbers(range(12))
    registered(Fail)
    task_id = begin("fail")
    run_all()
    assert checkpoint(task_id).done == 6
    rescue().enqueue_due()
    run_all()
    assert visits(Number) == {1}
    assert checkpoint(task_id).outcome == "finished"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"collection": lambda self, params: Number.objects.order_by("note")}, "order_by"),
        ({"collection": lambda self, params: Number.objects.all()[:5]}, "slice"),
        ({"collection": lambda self, params: [1, 2]}, "return a QuerySet"),
        ({"cursor_fields": ("note",)}, "not unique together"),
        ({"collection": lambda self, params: Number.objects.reverse()}, "reverse"),
        (
            {"collection": lambda self, params: Tenant.objects.only("note"), "cursor_fields": ("tenant", "number")},
            "leaves out number, tenant of its cursor_fields",
        ),
    ],
)
def test_what_cannot_work_fails_the_first_attempt_and_says_what_to_do(
    change: dict[str, Any], words: str, registered: Registered
) -> None:
    make_numbers(range(3))
    add_tenants()
    registered(type("Odd", (Visit,), change))
    task_id = begin("odd")
    run_all()
    seen = record(task_id)
    assert (seen.status, seen.attempts) == ("failed", 1)
    assert words in (seen.error or "")
    assert visits(Number) == {0}


def test_a_canceled_backfill_that_is_retried_continues_at_its_cursor_and_keeps_its_bound(
    registered: Registered,
) -> None:
    make_numbers(range(10))
    registered(Visit)
    worker = Worker()
    worker.interruption = Interruption.PREEMPT
    task_id = begin("visit")
    worker.run()
    assert job(task_id).total == 10
    make_numbers(range(10, 20))
    change_tasks.cancel_task(task_id=task_id)
    change_tasks.retry_task(task_id=task_id)
    run_all()
    assert set(Number.objects.filter(pk__lt=10).values_list("visits", flat=True)) == {1}
    assert set(Number.objects.filter(pk__gte=10).values_list("visits", flat=True)) == {0}
    assert record(task_id).total == 10
