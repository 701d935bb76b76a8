"""The task type `import_products`: every row of the file once, or an error that names the place."""

from __future__ import annotations

import gzip
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from rest_framework import serializers

from catalog.models import Product
from tasks_app.domain import task_status
from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.operations.verification import EQUAL, verify_task
from tasks_app.services import start_tasks
from tasks_app.task_types import get_task_type
from tests.api.conftest import assert_problem
from tests.support.engine import Worker, checkpoint, job, longtasks, mirror  # noqa: F401 (fixture)
from tests.support.stored_files import Store, folder, store  # noqa: F401 (fixtures)

pytestmark = pytest.mark.django_db(transaction=True)
HEADER = "sku,name,price,stock\n"


def start(file: str, **params: Any) -> str:
    """Start an import; return its id."""
    task = start_tasks.NewTask(name="import_products", params={"file": file, **params})
    return start_tasks.start_task(task=task, caller=COMMAND_LINE).snapshot.id


def make_csv(records: int) -> bytes:
    """Return a file in which every third name has a line break."""
    lines = (
        f'S{number},"Name\n{number}",{number}.5,{number % 7}\n' if number % 3 == 0 else f"S{number},N,{number},\n"
        for number in range(records)
    )
    return (HEADER + "".join(lines)).encode()


def read_products(task_id: str) -> list[tuple[Any, ...]]:
    rows = Product.objects.filter(task_id=task_id).order_by("position", "id")
    return list(rows.values_list("position", "sku", "price", "stock"))


def expected(records: int) -> list[tuple[Any, ...]]:
    return [
        (
            number,
            f"S{number}",
            Decimal(number) + (Decimal("0.5") if number % 3 == 0 else 0),
            0 if number % 3 else number % 7,
        )
        for number in range(records)
    ]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_becomes_products(store: Store, pack: Any) -> None:  # noqa: F811
    task_id = start(store(pack(make_csv(3000))))
    Worker().run()
    assert read_products(task_id) == expected(3000)
    row = checkpoint(task_id)
    assert (row.outcome, row.done, row.counts) == (task_status.FINISHED, 3000, {"products": 3000})
    assert job(task_id).total == 3000
    mirror()
    assert verify_task(task_id=task_id).verdict == EQUAL


def test_a_refused_row_fails_the_task_and_leaves_the_rows_before_it(store: Store, longtasks: Any) -> None:  # noqa: F811
    longtasks(retry_attempts=1)
    data = make_csv(30) + b"S30,N,cheap,1\n" + b"S31,N,1,1\n"
    task_id = start(store(data))
    Worker().run()
    assert read_products(task_id) == expected(30)
    row = checkpoint(task_id)
    assert row.outcome == task_status.FAILED
    assert "Line 42, column 3: price: A valid number is required. The value is 'cheap'." in row.error


def test_a_file_that_is_cut_fails_at_the_first_attempt(store: Store) -> None:  # noqa: F811
    task_id = start(store(make_csv(10) + b'S10,"N'))
    Worker().run()
    assert read_products(task_id) == expected(10)
    row = checkpoint(task_id)
    assert (row.outcome, row.failures) == (task_status.FAILED, 1)
    assert f"Line 16 (byte {len(make_csv(10))}): the file ends within a quoted field" in row.error


def test_another_header_is_refused_before_the_201(store: Store, client: Client) -> None:  # noqa: F811
    file = store(b"sku,name,prize\n")
    response = client.post(
        "/tasks", {"name": "import_products", "params": {"file": file}}, content_type="application/json"
    )
    problem = assert_problem(response, 400)
    assert problem["type"] == "urn:longtasks:problem:invalid"
    [error] = problem["errors"]
    assert error == {
        "field": "params.file",
        "message": "Line 1, column 3: unknown column 'prize'. Known columns: sku, name, category, price, stock.",
    }
    many = client.post(
        "/tasks/bulk",
        {"tasks": [{"name": "import_products", "params": {"file": file}}]},
        content_type="application/json",
    )
    assert assert_problem(many, 400)["errors"][0]["field"] == "tasks.0.params.file"
    good = {"name": "import_products", "params": {"file": store(make_csv(2))}}
    assert client.post("/tasks", good, content_type="application/json").status_code == 201


def test_parameters_are_bounded() -> None:
    serializer = get_task_type("import_products").params_serializer
    assert issubclass(serializer, serializers.Serializer)
    for wrong in (
        {},
        {"file": "x"},
        {"file": "0" * 32, "format": "xlsx"},
        {"file": "0" * 32, "encoding": "utf-7"},
        {"file": "0" * 32, "delimiter": "|"},
    ):
        assert not serializer(data=wrong).is_valid(), wrong
    assert serializer(data={"file": "0" * 32, "delimiter": "tab", "encoding": "cp1252", "format": "csv"}).is_valid()
