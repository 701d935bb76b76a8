"""The ranges of a split cover the collection without overlap, and have about the same number of rows."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
from django.db import connection
from django.db.models.expressions import RawSQL

from tasks_app.task_types.collections import key_splits
from tasks_app.task_types.collections.cursor_keys import find_key
from tasks_app.task_types.collections.key_splits import KeyRange, find_last_key, select_range, split_keys
from tests.task_types.collections.models import Number, Uid, Word

DICE = random.Random(5)
GAPPY = sorted(
    {*range(200), *(10**6 + number * 3 for number in range(200)), *(DICE.randrange(2**60) for _ in range(200))}
)
UUIDS = [uuid.UUID(int=DICE.getrandbits(128), version=4) for _ in range(600)]  # MariaDB refuses some without a version


def split(
    model: Any, *, size: int, most: int = 256, total: int | None = None, **options: Any
) -> tuple[list[KeyRange], list[list[Any]]]:
    """Return the ranges, and the primary keys of each."""
    key = find_key(model, ())
    bound = find_last_key(model.objects.all(), key)
    assert bound is not None
    total = model.objects.count() if total is None else total
    ranges = split_keys(model.objects.all(), key, bound=bound, total=total, size=size, most=most, **options)
    rows = [select_range(model.objects.all(), key, after=each.after, up_to=each.up_to) for each in ranges]
    return ranges, [list(each.values_list("pk", flat=True)) for each in rows]


def fill(model: Any, keys: Any) -> list[Any]:
    model.objects.bulk_create([model(id=key) for key in keys])
    return list(model.objects.order_by("pk").values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        (Number, range(600)),
        (Number, GAPPY),
        (Uid, UUIDS),
        (Word, [f"{'x' * (number % 7)}{number}" for number in range(600)]),
    ],
    ids=["ints", "gappy", "uuids", "texts"],
)
def test_ranges_are_even_and_cover_every_row_once(model: Any, keys: Any) -> None:
    everything = fill(model, keys)
    ranges, parts = split(model, size=100)
    assert [each.rows for each in ranges] == [len(part) for part in parts] == [100] * 6
    assert [row for part in parts for row in part] == everything
    assert all(each.is_counted for each in ranges)


def test_a_short_last_range_is_joined_to_the_one_before() -> None:
    everything = fill(Number, range(305))
    ranges, parts = split(Number, size=100)
    assert [each.rows for each in ranges] == [100, 100, 105]
    assert [row for part in parts for row in part] == everything


@pytest.mark.parametrize("most", [1, 2, 3, 7, 10, 256])
@pytest.mark.parametrize("total", [1, 600, 10**9])
def test_ranges_are_even_whatever_the_total_says_and_never_more_than_allowed(most: int, total: int) -> None:
    everything = fill(Number, GAPPY)
    ranges, parts = split(Number, size=10, most=most, total=total)
    assert min(most, 60) / 2 <= len(ranges) <= most
    assert [row for part in parts for row in part] == everything
    sizes = [len(part) for part in parts]
    assert [each.rows for each in ranges] == sizes
    assert max(sizes) <= 2 * max(10, 2 * len(everything) / most)


@pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite ends no statement")
def test_a_read_that_takes_too_long_is_ended_by_the_server_and_the_rest_is_guessed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_splits, "PASS_SECONDS", 0.3)
    fill(Number, range(200))
    slow = Number.objects.annotate(pause=RawSQL("SLEEP(0.01)", ())).filter(pause=0)
    ranges = split_keys(slow, find_key(Number, ()), bound=(199,), total=200, size=50, most=10)
    assert not ranges[-1].is_counted
    assert ranges[-1].up_to == (199,)
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@SESSION.max_statement_time")
        assert cursor.fetchone() == (0,), "the limit was that of one statement"


@pytest.mark.parametrize("model", [Number, Uid])
def test_beyond_the_time_limit_the_rest_is_guessed_and_still_covered(model: Any) -> None:
    everything = fill(model, range(1, 601) if model is Number else UUIDS)
    times = iter([0.0, 1.0, 2.0, 99.0])
    ranges, parts = split(model, size=100, clock=lambda: next(times))
    assert [each.is_counted for each in ranges[:2]] == [True, True]
    assert not any(each.is_counted for each in ranges[2:])
    assert len(ranges) == (6 if model is Number else 3)
    assert [row for part in parts for row in part] == everything


def test_a_collection_without_rows_has_no_last_key() -> None:
    assert find_last_key(Number.objects.all(), find_key(Number, ())) is None
