"""Records that fail are left out of an import and listed; the corrected list is imported as it is."""

from __future__ import annotations

import csv
import io
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

    mirror()
    refused = client.post(f"/tasks/{task_id}/failures/retry", content_type="application/json")
    assert refused.status_code == 409
    assert "as CSV" in refused.json()["detail"]
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
