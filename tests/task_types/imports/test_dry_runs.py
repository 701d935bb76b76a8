"""Dry runs of imports: no row is inserted, refused records are listed, and the first rows are shown with their lines."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.models import IdBlock, Product
from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.models import TaskFailure
from tasks_app.read_model.row_change_list import list_changes
from tasks_app.services import start_tasks
from tasks_app.task_types import register, unregister
from tests.support.engine import Worker, checkpoint, longtasks, record  # noqa: F401 (fixture)
from tests.support.stored_files import Store
from tests.task_types.imports.test_model_rows import UpdateBlocks

pytestmark = pytest.mark.django_db(transaction=True)
RECORDS = 90
BAD = (3, 41)


def run(name: str, file: str, *, allowed: str = "10") -> str:
    task = start_tasks.NewTask(name=name, params={"file": file}, max_failures=allowed, dry_run=True)
    task_id = start_tasks.start_task(task=task, caller=COMMAND_LINE).snapshot.id
    while Worker().run():
        pass
    return task_id


@pytest.mark.parametrize("shard_records", [0, 40])
def test_an_import_inserts_nothing_and_shows_its_first_rows(store: Store, longtasks: Any, shard_records: int) -> None:  # noqa: F811
    longtasks(shard_records=shard_records)
    rows = (f"S{number},N,{'cheap' if number in BAD else number}\n" for number in range(RECORDS))
    task_id = run("import_products", store(("sku,name,price\n" + "".join(rows)).encode()))
    row = checkpoint(task_id)
    assert (row.outcome, row.done, row.failed_records) == ("finished", RECORDS, len(BAD))
    assert row.counts == {"products": RECORDS - len(BAD)}
    assert not Product.objects.exists()
    failures = TaskFailure.objects.filter(task_id=task_id).order_by("position")
    assert list(failures.values_list("position", flat=True)) == list(BAD)
    changes = list_changes(record(task_id).pk)
    assert [change.position for change in changes] == [number for number in range(22) if number not in BAD][:20]
    assert [change.line for change in changes] == [change.position + 2 for change in changes]
    first = changes[0]
    assert (first.before, first.key, first.model) == (None, "", "")
    assert first.after == {"sku": "S0", "name": "N", "category": "", "price": "0.00", "stock": 0}


def test_an_update_shows_the_row_before(store: Store) -> None:
    IdBlock.objects.bulk_create([IdBlock(name="a", next_id=1)])
    register(UpdateBlocks)
    try:
        task_id = run("import_blocks", store(b"name,next_id\na,10\nb,20\n"))
    finally:
        unregister("import_blocks")
    assert checkpoint(task_id).outcome == "finished"
    assert dict(IdBlock.objects.exclude(name="records").values_list("name", "next_id")) == {"a": 1}
    update, insert = list_changes(record(task_id).pk)
    assert (update.before, update.after) == ({"name": "a", "next_id": 1}, {"name": "a", "next_id": 10})
    assert (update.model, update.key, update.line) == ("catalog.IdBlock", str(IdBlock.objects.get(name="a").pk), 2)
    assert (insert.before, insert.after) == (None, {"name": "b", "next_id": 20})
