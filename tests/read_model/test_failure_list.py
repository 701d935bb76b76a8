"""tasks_app/read_model/failure_list.py: pages by key, and a CSV that can be read back."""

import csv
import io
import uuid
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.db.models.functions import Now

from tasks_app.domain.csv_cells import restore
from tasks_app.models import TaskFailure
from tasks_app.read_model import failure_list
from tasks_app.task_types import FailedRecord
from tasks_app.task_types.failed_record import FAILURE_COLUMNS, bound_record
from tests.admin.test_query_plans import explain

pytestmark = pytest.mark.django_db(transaction=True)
TASK, OTHER = uuid.uuid4(), uuid.uuid4()


def fail(position: int, *, task_id: uuid.UUID = TASK, part: uuid.UUID | None = None, **values: Any) -> TaskFailure:
    return TaskFailure.objects.create(
        task_id=task_id,
        checkpoint_id=part or task_id,
        position=position,
        code="ValueError",
        message="bad",
        values_json=bound_record(FailedRecord(values=values))[2],
        failed_at=Now(),
    )


def read_csv() -> list[dict[str, str]]:
    text = b"".join(failure_list.write_csv(task_id=TASK)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_pages_hold_each_failure_once_in_the_order_of_positions() -> None:
    parts = [uuid.uuid4(), uuid.uuid4()]
    for position in (7, 3, 3, 0, 12, 5):  # estimated shards may overlap
        fail(position, part=parts.pop() if position == 3 else None)
    fail(1, task_id=OTHER)

    pages, cursor = [], ""
    while True:
        page = failure_list.read_page(task_id=TASK, cursor=cursor, limit=2)
        pages.append([each.position for each in page.failures])
        if not (cursor := page.next_cursor):
            break

    assert pages == [[0, 3], [3, 5], [7, 12]]
    assert [each.position for each in failure_list.iterate_failures(task_id=TASK)] == [0, 3, 3, 5, 7, 12]


def test_a_checkpoint_has_one_failure_at_a_position() -> None:
    fail(3)
    with pytest.raises(IntegrityError):
        fail(3)


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "-1", "1-2-3", "1-2\n", "9" * 20 + "-1"])
def test_an_invalid_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match="not a valid cursor"):
        failure_list.read_page(task_id=TASK, cursor=cursor)


def test_a_cursor_beyond_all_numbers_is_the_end() -> None:
    fail(3)
    assert failure_list.read_page(task_id=TASK, cursor=f"{'9' * 19}-{'9' * 19}").failures == []


def test_csv_has_the_original_columns_and_the_failure() -> None:
    fail(
        0,
        name='a;b,"c"\nd',
        price="=1+1",
        zip="-5",
        none=None,
        more={"x": [1]},
        nul="a\x00b",
        emoji="\N{GRINNING FACE}",
    )
    fail(1, price="2", name="f", extra="only here", zip=3.5, truth=True)

    first, second = read_csv()

    assert [*first] == ["name", "price", "zip", "none", "more", "nul", "emoji", "extra", "truth", *FAILURE_COLUMNS]
    assert first["name"] == 'a;b,"c"\nd'
    assert (first["price"], restore(first["price"])) == ("'=1+1", "=1+1")
    assert (first["zip"], first["none"], first["more"]) == ("-5", "", '{"x":[1]}')
    assert (first["nul"], first["emoji"]) == ("a\x00b", "\N{GRINNING FACE}")
    assert (second["extra"], second["zip"], second["truth"], second["emoji"]) == ("only here", "3.5", "true", "")
    assert (second["failure_position"], second["failure_line"], second["failure_code"]) == ("1", "", "ValueError")
    assert (second["failure_message"], second["failure_other"]) == ("bad", "")


def test_columns_that_come_later_are_in_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_list.read_page, "__kwdefaults__", {"cursor": "", "limit": 2})
    for position in range(5):
        fail(position, a=position, **({"late": "=x"} if position == 4 else {}))

    rows = read_csv()

    assert [row["a"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert [row["failure_other"] for row in rows] == ["", "", "", "", '{"late":"=x"}']


def test_the_columns_of_a_corrected_file_do_not_come_twice() -> None:
    fail(0, a=1, failure_message="of the first run")
    [row] = read_csv()
    assert [*row] == ["a", *FAILURE_COLUMNS]
    assert row["failure_message"] == "bad"


def test_a_record_without_all_of_its_values_says_so() -> None:
    fail(0, sku="S1", name="x" * 30_000)
    TaskFailure.objects.update(values_are_exact=False)
    fail(1, **{"sku": "S2", "": "the text of a record that was not parsed"})

    first, second = read_csv()

    assert [*first] == ["sku", "name", *FAILURE_COLUMNS]
    assert (first["failure_incomplete"], second["failure_incomplete"]) == ("yes", "")
    assert second["failure_other"] == '{"":"the text of a record that was not parsed"}'


def test_an_empty_list_has_a_header() -> None:
    assert b"".join(failure_list.write_csv(task_id=TASK, with_bom=True)).decode().startswith("\ufefffailure_position,")


@pytest.mark.skipif(connection.vendor != "mysql", reason="EXPLAIN is MariaDB's")
def test_a_page_is_a_range_of_the_index() -> None:
    TaskFailure.objects.bulk_create(
        TaskFailure(task_id=task_id, checkpoint_id=task_id, position=position, code="x", message="", failed_at=Now())
        for task_id in (TASK, OTHER)
        for position in range(3000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE tasks_app_taskfailure")
    middle = failure_list.read_page(task_id=TASK, limit=1500).next_cursor
    for cursor_of_page in ("", middle):
        for plan in explain(lambda: failure_list.read_page(task_id=TASK, cursor=cursor_of_page, limit=100)):  # noqa: B023
            assert plan["key"] == "failure_of_task", plan
            assert "filesort" not in (plan["Extra"] or ""), plan
