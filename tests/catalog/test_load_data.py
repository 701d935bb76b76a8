"""The bulk writer writes the same rows as the ORM in the same transaction, and its warnings are errors."""

import uuid
from collections.abc import Iterator, Sequence

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, transaction
from django.db.models import Model

from catalog import row_writer
from catalog.fake_data import Row
from catalog.id_blocks import reserve_ids
from catalog.load_data import LoadDataRefused, load_rows
from catalog.models import MODELS, User
from catalog.row_writer import Slice, write_records, write_with_load_data, write_with_orm
from loadtests.started.servers import Database, RedisServer
from tests.catalog.conftest import read_rows
from tests.conftest import MakeStack


@pytest.mark.usefixtures("bulk_writer")
def test_rows_equal_the_orm_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_writer, "LOAD_RECORDS", 700)  # so that slices are split and pooled
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
def test_the_setting_selects_the_writer_and_a_rollback_removes_its_rows() -> None:
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


@pytest.fixture
def server_without_local_infile(bulk_writer: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET GLOBAL local_infile = 0")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET GLOBAL local_infile = 1")


def refuse(model: type[Model], rows: Sequence[Row], using: str) -> None:
    raise LoadDataRefused("disabled")


def load_or_refuse_products(model: type[Model], rows: Sequence[Row], using: str) -> None:
    (refuse if model is MODELS[1] else load_rows)(model=model, rows=rows, using=using)


@pytest.mark.usefixtures("server_without_local_infile")
def test_a_server_that_refuses_load_data_gets_the_same_rows_from_the_orm(caplog: pytest.LogCaptureFixture) -> None:
    check_fallback(caplog)


@pytest.mark.usefixtures("bulk_writer")
def test_a_client_that_refuses_load_data_uses_the_orm(caplog: pytest.LogCaptureFixture) -> None:
    connection.close()
    connection.settings_dict["OPTIONS"] = connection.settings_dict["OPTIONS"] | {"local_infile": False}
    check_fallback(caplog)


@pytest.mark.usefixtures("bulk_writer")
def test_a_server_that_starts_to_refuse_load_data_gets_the_rows_from_the_orm(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_writer, "load_rows", load_or_refuse_products)
    check_fallback(caplog)


def check_fallback(caplog: pytest.LogCaptureFixture) -> None:
    row_writer._warn_of_refusal.cache_clear()
    task_id = uuid.uuid4()
    slices = [Slice(task_id, reserve_ids(count=50), 0, 50)]
    with transaction.atomic():
        write_with_orm(slices=slices)
        expected = read_rows(task_id)
        transaction.set_rollback(True)
    for start in (0, 25):
        with transaction.atomic():
            write_records(slices=[slices[0]._replace(start=start, stop=start + 25)])
    assert read_rows(task_id) == expected
    said = [record.getMessage() for record in caplog.records if "BULK_WRITER=1 has no effect" in record.getMessage()]
    assert len(said) == 1, "one warning a process, not one a chunk"


@pytest.mark.slow
def test_no_task_fails_where_the_server_refuses_load_data(
    make_stack: MakeStack, servers: tuple[Database, RedisServer]
) -> None:
    database, _ = servers
    if not database.is_process:
        pytest.skip("LOAD DATA needs MySQL or MariaDB")
    database.query("", "SET GLOBAL local_infile = 0")
    try:
        stack = make_stack(workers=1, environment={"BULK_WRITER": "1", "RETRY_ATTEMPTS": "1"})
        ended = [stack.wait_for_end(stack.start_upload(records=300), deadline_seconds=60) for _ in range(2)]
    finally:
        database.query("", "SET GLOBAL local_infile = 1")
    assert [task["status"] for task in ended] == ["finished"] * 2
    assert stack.log_path("worker").read_text().count("BULK_WRITER=1 has no effect") == 1


@pytest.mark.django_db
def test_on_another_database_the_error_names_the_setting() -> None:
    if connection.vendor == "mysql":
        pytest.skip("this database supports LOAD DATA")
    with pytest.raises(ImproperlyConfigured, match="BULK_WRITER"):
        load_rows(model=User, rows=[], using="default")
