"""Blocks of ids never overlap, even if threads and processes reserve them at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from django.db import connection, transaction

from catalog.id_blocks import FIRST_ID, reserve_ids
from catalog.models import IdBlock


@pytest.mark.django_db
def test_the_first_block_begins_after_the_fixed_ids_and_the_next_follows_it() -> None:
    assert [reserve_ids(count=10), reserve_ids(count=1), reserve_ids(count=5)] == [
        FIRST_ID,
        FIRST_ID + 10,
        FIRST_ID + 11,
    ]
    assert IdBlock.objects.get().next_id == FIRST_ID + 16


@pytest.mark.django_db
def test_an_empty_block_is_refused() -> None:
    with pytest.raises(ValueError, match="can't reserve 0 ids"):
        reserve_ids(count=0)


@pytest.mark.django_db(transaction=True)
def test_a_reservation_inside_a_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        reserve_ids(count=1)


def assert_disjoint(blocks: list[tuple[int, int]]) -> None:
    for (first_id, count), (next_id, _) in pairwise(sorted(blocks)):
        assert first_id + count <= next_id


@pytest.mark.django_db(transaction=True)
def test_threads_get_disjoint_blocks() -> None:
    def reserve_some(thread: int) -> list[tuple[int, int]]:
        try:
            return [(reserve_ids(count=count), count) for count in range(thread + 1, thread + 21)]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        blocks = [block for blocks in pool.map(reserve_some, range(6)) for block in blocks]

    assert len(blocks) == 120
    assert_disjoint(blocks)
    assert IdBlock.objects.get().next_id == FIRST_ID + sum(count for _, count in blocks)


@pytest.mark.django_db(transaction=True)
def test_processes_get_disjoint_blocks(run_python: Callable[..., str]) -> None:
    code = (
        "from catalog.id_blocks import reserve_ids\nfor count in range(1, 51): print(reserve_ids(count=count), count)"
    )

    with ThreadPoolExecutor(3) as pool:
        outputs = list(pool.map(run_python, [code] * 3))

    blocks = [(int(line.split()[0]), int(line.split()[1])) for output in outputs for line in output.splitlines()]
    assert len(blocks) == 150
    assert_disjoint(blocks)
