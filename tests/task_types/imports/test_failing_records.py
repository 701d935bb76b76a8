"""Records that fail are left out of an import and listed; the corrected list is imported as it is."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client

from catalog.models import Product
from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.models import TaskFailure
from tasks_app.services import start_tasks
from tests.support.engine import Worker, checkpoint, longtasks, mirror  # noqa: F401 (fixture)
from tests.support.stored_files import Store

pytestmark = pytest.mark.django_db(transaction=True)
RECORDS = 90
BAD = (0, 41, 42, 89)


def start(file: str) -> str:
    task = start_tasks.NewTask(name="import_products", params={"file": file}, max_failures="10")
    return start_tasks.start_task(task=task, caller=COMMAND_LINE).snapshot.id


def make_csv() -> bytes:
    rows = (f"=S{number},N,{'cheap' if number in BAD else number}\n" for number in range(RECORDS))
    return ("sku,name,price\n" + "".join(rows)).encode()


def test_records_that_could_not_be_read_come_back_with_the_columns_and_are_not_imported_unread(
    store: Store, client: Client
) -> None:
    long = "x" * 70_000
    text = f'sku,name,price\nS0,N,1\nS1,N\nS2,N,1,more\nS3,"a"b,1\nS4,{long},1\nS5,N,-1\n'
    task_id = start(store(text.encode()))
    while Worker().run():
        pass
    mirror()
    assert checkpoint(task_id).failed_records == 5
    parts = client.get(f"/tasks/{task_id}/failures?format=csv")
    listed = list(csv.DictReader(io.StringIO(b"".join(parts).decode(), newline="")))
    assert [*listed[0]][:3] == ["sku", "name", "price"]
    assert [row["failure_line"] for row in listed] == ["3", "4", "5", "6", "7"]
    assert [row["failure_incomplete"] for row in listed] == ["yes", "yes", "yes", "yes", ""]
    assert json.loads(listed[2]["failure_other"]) == {"": 'S3,"a"b,1\n'}

    def import_again(rows: list[dict[str, str]]) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
        again = start(store(text.getvalue().encode()))
        while Worker().run():
            pass
        return again

    corrected = [row | {"sku": f"S{index}", "name": "N", "price": "1"} for index, row in enumerate(listed, start=1)]
    unread = import_again(corrected)
    assert (checkpoint(unread).counts, checkpoint(unread).failed_records) == ({"products": 1}, 4)
    message = TaskFailure.objects.filter(task_id=unread).earliest("position").message
    assert "has not all of this record's values" in message
    read = import_again([row | {"failure_incomplete": ""} for row in corrected])
    assert (checkpoint(read).counts, checkpoint(read).failed_records) == ({"products": 5}, 0)


@pytest.mark.parametrize("shard_records", [0, 40])
def test_bad_records_are_listed_and_their_corrected_list_is_imported(
    store: Store,
    client: Client,
    longtasks: Any,  # noqa: F811
    shard_records: int,
) -> None:
    longtasks(shard_records=shard_records)
    task_id = start(store(make_csv()))
    while Worker().run():
        pass
    row = checkpoint(task_id)
    assert (row.outcome, row.done, row.failed_records) == ("finished", RECORDS, len(BAD))
    assert row.counts == {"products": RECORDS - len(BAD)}
    good = [number for number in range(RECORDS) if number not in BAD]
    assert list(Product.objects.filter(task_id=task_id).order_by("position").values_list("position", flat=True)) == good
    failures = list(TaskFailure.objects.filter(task_id=task_id).order_by("position"))
    assert [(failure.position, failure.line) for failure in failures] == [(number, number + 2) for number in BAD]
    places = [make_csv().index(f"=S{number},".encode()) for number in BAD]
    assert [failure.key for failure in failures] == [
        f"byte {place}, line {number + 2}" for place, number in zip(places, BAD, strict=True)
    ]

    mirror()
    answer = client.get(f"/tasks/{task_id}/failures?format=csv")
    listed = list(csv.reader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))
    corrected = io.StringIO()
    csv.writer(corrected).writerows([["7" if cell == "cheap" else cell for cell in line] for line in listed])
    again = start(store(corrected.getvalue().encode()))
    while Worker().run():
        pass
    assert checkpoint(again).outcome == "finished"
    products = Product.objects.filter(task_id=again).order_by("position")
    assert [(product.sku, int(product.price)) for product in products] == [(f"=S{number}", 7) for number in BAD]
