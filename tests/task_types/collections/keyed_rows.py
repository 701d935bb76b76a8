"""Rows with keys of every kind: which table, which fields are the key, and what inserts the rows."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.task_types.collections.models import Day, Detail, Moment, Number, Pair, Parent, Price, Tenant, Uid, Word

ODD_WORDS = [
    "", " ", "  ", "a", "A ", "a b", "a  b", "ä", "é", "e\u0301", "ß", "ss", "Z", "_", "%", "\\", "'", '"', "\t", "\n", "a\n",
    "\0", "a\0b", "ﬀ", "ff", "İ", "ı", "𝒳", "🙂", "🙂🙂", "日本", "10", "9", "09", "\x7f", "\ufeff", "\u200b", "~" * 80, "null",
    "None",
]  # fmt: skip


def make_numbers(keys: Any) -> None:
    Number.objects.bulk_create([Number(id=key) for key in keys])


def add_words() -> None:
    """Insert the odd words that the column's collation tells apart."""
    for word in ODD_WORDS:
        if not Word.objects.filter(pk=word).exists():
            Word.objects.create(pk=word)


def add_tenants() -> None:
    at = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    Tenant.objects.bulk_create(
        [
            Tenant(tenant=tenant, number=number, created=at, weight=tenant * 100 + place)
            for tenant in (-1, 0, 7)
            for place, number in enumerate(["a", "b", "c", "ca", "d", "1", "11"])
        ]
    )


def add_moments() -> None:
    base = datetime.datetime(2024, 3, 31, 1, 59, 59, tzinfo=datetime.UTC)
    steps = [datetime.timedelta(microseconds=number) for number in (0, 1, 2, 10, 100_000, 999_999, 1_000_000)]
    Moment.objects.bulk_create([Moment(id=base + step) for step in steps])


KEYS: dict[str, tuple[Any, tuple[str, ...], Callable[[], object]]] = {
    "int": (Number, (), lambda: make_numbers([-(2**63), -5, 0, 1, 2, 3, 10, 11, 2**62, 2**63 - 1])),
    "uuid": (Uid, (), lambda: Uid.objects.bulk_create([Uid(id=uuid.uuid4()) for _ in range(20)])),
    "uuid of all versions": (
        Uid,
        (),
        lambda: Uid.objects.bulk_create([Uid(id=make()) for make in (uuid.uuid1, uuid.uuid4) * 10]),
    ),
    "text": (Word, (), add_words),
    "decimal": (
        Price,
        (),
        lambda: Price.objects.bulk_create(
            [
                Price(id=Decimal(text))
                for text in ("-10", "-9.9999", "0", "0.0001", "9", "10", "10.5", "12345678901.2345")
            ]
        ),
    ),
    "datetime": (Moment, (), add_moments),
    "date": (
        Day,
        (),
        lambda: Day.objects.bulk_create(
            [Day(id=datetime.date(2023, 12, 25) + datetime.timedelta(n)) for n in range(14)]
        ),
    ),
    "composite": (Tenant, ("tenant", "number"), add_tenants),
    "composite primary key": (
        Pair,
        (),
        lambda: Pair.objects.bulk_create([Pair(left=place % 4 - 1) for place in range(20)]),
    ),
    "index and primary key": (Tenant, ("created", "id"), add_tenants),
    "foreign key": (
        Detail,
        (),
        lambda: [Detail.objects.create(parent=Parent.objects.create(id=key)) for key in range(1, 30, 3)],
    ),
}
