"""The bulk writer: the same rows as the ORM's, in the same transaction, and no error passes as a warning."""

import uuid

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, transaction

from catalog import writing
from catalog.ids import reserve_ids
from catalog.load_data import load_rows
from catalog.models import MODELS, User
from catalog.writing import Slice, write_records, write_with_load_data, write_with_orm
from tests.catalog.conftest import read_rows


@pytest.mark.usefixtures("bulk_writer")
def test_rows_equal_the_orm_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LOAD_RECORDS", 700)  # so that slices are cut and pooled
    tasks = [uuid.uuid4() for _ in range(5)]
    slices = [Slice(task_id, reserve_ids(count=500), 3, 500) for task_id in tasks]
    with transaction.atomic():
        write_with_orm(slices=slices)
        expected = [read_rows(task_id) for task_id in tasks]
        transaction.set_rollback(True)
    assert not User.objects.exists()

    with transaction.atomic():
        write_with_load_data(slices=slices)

    assert [read_rows(task_id) for task_id in tasks] == expected
    assert sum(len(rows["users"]) for rows in expected) == 5 * 497


@pytest.mark.usefixtures("bulk_writer")
def test_the_setting_picks_it_and_a_rollback_takes_it_back() -> None:
    task_id = uuid.uuid4()
    slices = [Slice(task_id, reserve_ids(count=50), 0, 50)]
    with transaction.atomic():
        connection.force_debug_cursor = True
        write_records(slices=slices)
        connection.force_debug_cursor = False
        assert sum("LOAD DATA" in query["sql"] for query in connection.queries) == len(MODELS)
        assert {table: len(rows) for table, rows in read_rows(task_id).items()} == {
            "users": 50,
            "products": 50,
            "order_items": 50,
        }
        transaction.set_rollback(True)

    assert not any(read_rows(task_id).values())


@pytest.mark.usefixtures("bulk_writer")
def test_a_key_that_exists_is_an_error() -> None:
    slices = [Slice(uuid.uuid4(), reserve_ids(count=50), 0, 50)]
    write_records(slices=slices)

    with pytest.raises(IntegrityError, match="0 of 50 rows"), transaction.atomic():
        write_records(slices=slices)

    assert User.objects.count() == 50


@pytest.mark.usefixtures("bulk_writer")
def test_a_value_that_does_not_fit_is_an_error() -> None:
    row = (7, uuid.uuid4().hex, 0, "A" * 61, "b", "c@example.com", "1", "d", "2000-01-01", "2024-01-01 00:00:00")

    with pytest.raises(IntegrityError, match="first_name"), transaction.atomic():
        load_rows(model=User, rows=[row], using="default")

    assert not User.objects.exists()


@pytest.mark.usefixtures("bulk_writer")
def test_a_row_without_its_parent_is_an_error() -> None:
    rows = [(7, uuid.uuid4().hex, 0, 123, 123, 1, "1.00", "1.00", "2024-01-01 00:00:00")]

    with pytest.raises(IntegrityError, match="foreign key"), transaction.atomic():
        load_rows(model=MODELS[2], rows=rows, using="default")


@pytest.mark.django_db
def test_on_another_database_the_error_names_the_setting() -> None:
    if connection.vendor == "mysql":
        pytest.skip("this database has LOAD DATA")
    with pytest.raises(ImproperlyConfigured, match="BULK_WRITER"):
        load_rows(model=User, rows=[], using="default")
