"""The task type `purge` deletes and counts all rows of one upload, and no other rows."""

import uuid

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from catalog.models import MODELS
from catalog.sample_rows import CONTEXT_ID
from tasks_app.task_types import Chunk, ChunkResult, get_task_type
from tasks_app.task_types.task_params import encode_params
from tests.catalog.conftest import read_rows, upload

pytestmark = pytest.mark.django_db


def run_once(task_id: uuid.UUID, *, start: int, limit: int) -> ChunkResult:
    work = Chunk(uuid.uuid4(), {"taskId": str(task_id)}, start=start, limit=limit, total=None, state={})
    with transaction.atomic():
        [result] = get_task_type("purge").run_chunks([work], None)
    return result


def purge(task_id: uuid.UUID, *, limit: int) -> tuple[dict[str, int], list[int]]:
    """Run all chunks; return the sums of the counts and the records of each chunk."""
    counts, finished = dict.fromkeys(get_task_type("purge").count_names, 0), False
    done: list[int] = []
    while not finished:
        result = run_once(task_id, start=sum(done), limit=limit)
        finished = bool(result.finished)
        done.append(result.done)
        counts = {name: count + result.counts[name] for name, count in counts.items()}
    return counts, done


def test_the_parameter_is_a_task_id() -> None:
    serializer = get_task_type("purge").params_serializer
    task_id = uuid.uuid4()

    params = serializer(data={"taskId": str(task_id)})

    assert params.is_valid()
    assert encode_params(params.validated_data) == {"taskId": str(task_id)}
    assert not serializer(data={}).is_valid()
    assert not serializer(data={"taskId": "42"}).is_valid()


@pytest.mark.parametrize("limit", [1, 64, 1000, 5000])
def test_deletes_all_rows_of_the_task_in_chunks_and_counts_them(limit: int) -> None:
    records = 30 if limit == 1 else 1000
    task_id, other = upload(records=records), upload(records=10)
    others_rows = read_rows(other)

    counts, done = purge(task_id, limit=limit)

    assert counts == dict.fromkeys(("deleted_order_items", "deleted_products", "deleted_users"), records)
    assert sum(done) == 3 * records
    assert max(done) <= limit
    assert not any(read_rows(task_id).values())
    assert read_rows(other) == others_rows


def test_a_second_purge_finds_nothing() -> None:
    task_id = upload(records=10)
    purge(task_id, limit=100)

    counts, done = purge(task_id, limit=100)

    assert done == [0]
    assert set(counts.values()) == {0}


def test_a_rolled_back_chunk_deletes_nothing_and_runs_again() -> None:
    task_id = upload(records=100)
    before = read_rows(task_id)
    with transaction.atomic():
        first = run_once(task_id, start=0, limit=150)
        transaction.set_rollback(True)
    assert read_rows(task_id) == before

    assert run_once(task_id, start=0, limit=150) == first
    assert {table: len(rows) for table, rows in read_rows(task_id).items()} == {
        "users": 100,
        "products": 50,
        "order_items": 0,
    }


def test_purges_the_fixed_data_set() -> None:
    """Its tables have different lengths."""
    call_command("load_test_context")

    counts, _ = purge(CONTEXT_ID, limit=3)

    assert counts == {"deleted_order_items": 8, "deleted_products": 4, "deleted_users": 5}
    assert not any(read_rows(CONTEXT_ID).values())


@pytest.mark.django_db(transaction=True)  # ANALYZE TABLE commits
def test_no_statement_reads_a_whole_table() -> None:
    task_id = upload(records=20)
    for _ in range(40):
        upload(records=50)
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute("ANALYZE TABLE users, products, order_items")
        else:
            cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as queries:
        run_once(task_id, start=0, limit=50)

    statements = [query["sql"] for query in queries if query["sql"].startswith(("SELECT", "DELETE"))]
    assert sum(sql.startswith("DELETE") for sql in statements) == len(MODELS)
    for sql in statements:
        assert_uses_task_index(sql)


def assert_uses_task_index(sql: str) -> None:
    is_mysql = connection.vendor == "mysql"
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}" if is_mysql else f"EXPLAIN QUERY PLAN {sql}")
        names = [column[0] for column in cursor.description]
        plan, *foreign_keys = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if is_mysql:
        assert plan["key"].endswith("_task_position"), f"{sql}\n{plan}"
        assert plan["type"] in ("ref", "range"), f"{sql}\n{plan}"
    else:
        assert plan["detail"].startswith("SEARCH "), f"{sql}\n{plan}"
        assert "_task_position (task_id=?" in plan["detail"], f"{sql}\n{plan}"
        assert all(step["detail"].startswith("SEARCH ") for step in foreign_keys), f"{sql}\n{foreign_keys}"
