"""The task type `upload`: a chunk that runs twice writes the same rows with the same primary keys."""

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from django.db import transaction

from catalog.models import MODELS, OrderItem, User
from tasks_app.task_types import Chunk, ChunkResult, get_task_type
from tests.catalog.conftest import read_rows

pytestmark = pytest.mark.django_db


def chunk(
    *, records: int, start: int = 0, limit: int = 500, state: Mapping[str, Any] | None = None, task_id: Any = None
) -> Chunk:
    params = {"numRecords": records}
    return Chunk(task_id or uuid.uuid4(), params, start=start, limit=limit, total=records, state=state or {})


def run(*chunks: Chunk) -> list[ChunkResult]:
    task_type = get_task_type("upload")
    prepared = task_type.prepare_chunks(chunks)
    with transaction.atomic():
        return task_type.run_chunks(chunks, prepared)


def is_finished(work: Chunk, result: ChunkResult) -> bool:
    """Return what the runner derives from `finished=None`."""
    assert work.total is not None
    return work.start + result.done >= work.total


def test_parameters_have_a_default_and_bounds() -> None:
    serializer = get_task_type("upload").params_serializer
    for data, valid in (
        ({}, {"numRecords": 100}),
        ({"numRecords": 1}, {"numRecords": 1}),
        ({"numRecords": 10_000_000}, {"numRecords": 10_000_000}),
        ({"numRecords": 0}, None),
        ({"numRecords": 10_000_001}, None),
        ({"numRecords": "many"}, None),
    ):
        params = serializer(data=data)
        assert (params.validated_data if params.is_valid() else None) == valid
    assert get_task_type("upload").total({"numRecords": 7}) == 7


def test_a_task_in_several_chunks_writes_each_record_once() -> None:
    task_id, done, finished = uuid.uuid4(), 0, False
    state: dict[str, Any] = {}
    while not finished:
        work = chunk(records=1234, start=done, limit=500, state=state, task_id=task_id)
        [result] = run(work)
        assert result.counts == dict.fromkeys(("users", "products", "order_items"), result.done)
        finished = is_finished(work, result)
        done, state = done + result.done, dict(result.state)

    assert done == 1234
    first_id = state["firstId"]
    for rows in read_rows(task_id).values():
        assert [(row[0], row[2]) for row in rows] == [(first_id + n, n) for n in range(1234)]
    assert OrderItem.objects.filter(task_id=task_id, user__task_id=task_id, product__task_id=task_id).count() == 1234


def test_a_chunk_that_is_rolled_back_and_run_again_writes_the_same_rows() -> None:
    task_type = get_task_type("upload")
    work = chunk(records=1000, start=400, limit=300, state={"firstId": 77_000})
    prepared = task_type.prepare_chunks([work])
    with transaction.atomic():
        first = task_type.run_chunks([work], prepared)
        first_rows = read_rows(work.task_id)
        transaction.set_rollback(True)
    assert not any(read_rows(work.task_id).values())

    second = run(work)

    assert second == first
    assert read_rows(work.task_id) == first_rows
    assert [row[0] for row in first_rows["users"]] == list(range(77_400, 77_700))


def test_many_small_tasks_share_one_block_of_ids_and_one_statement_a_table(
    django_assert_max_num_queries: Any,
) -> None:
    run(chunk(records=1))  # creates the sequence
    works = [chunk(records=n % 3 + 1) for n in range(60)]

    with django_assert_max_num_queries(10):
        results = run(*works)

    assert [result.done for result in results] == [n % 3 + 1 for n in range(60)]
    assert all(is_finished(work, result) for work, result in zip(works, results, strict=True))
    for work, result in zip(works, results, strict=True):
        for rows in read_rows(work.task_id).values():
            assert [row[0] for row in rows] == [result.state["firstId"] + n for n in range(result.done)]
    first_ids = [result.state["firstId"] for result in results]
    assert first_ids[-1] - first_ids[0] + results[-1].done == sum(result.done for result in results)


def test_new_and_resumed_tasks_share_one_call() -> None:
    begun = chunk(records=20, start=10, state={"firstId": 50_000})
    new = chunk(records=5)

    results = run(begun, new)

    assert [result.done for result in results] == [10, 5]
    assert [row[0] for row in read_rows(begun.task_id)["users"]] == list(range(50_010, 50_020))
    assert User.objects.filter(task_id=new.task_id).count() == 5
    assert [model.objects.count() for model in MODELS] == [15] * 3
