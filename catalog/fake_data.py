"""Fake records: the values of users, products and order items, as a pure function of (task, position).

Owns the pools of values, which each process draws from Faker once, with a fixed seed; a cheap hash of task and position
picks from them. Every process therefore makes the same rows for the same chunk. Must not use the database.
"""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

SEED = 1729
FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)  # earliest time in a fake row
CATALOG = {
    "home": ("lamp", "kettle", "armchair", "bookshelf"),
    "garden": ("hose", "rake", "bench", "flowerpot"),
    "sports": ("racket", "bicycle", "skateboard", "dumbbell"),
    "office": ("stapler", "notebook", "desk", "fountain pen"),
    "clothing": ("jacket", "scarf", "raincoat", "sweater"),
    "music": ("guitar", "ukulele", "metronome", "drum"),
    "toys": ("puzzle", "kite", "yo-yo", "board game"),
    "tools": ("hammer", "drill", "spanner", "spirit level"),
}
MASK = (1 << 64) - 1

Row = tuple[Any, ...]


class Rows(NamedTuple):
    """Rows of the three tables, with values in the order of the model's fields. Row i of each table is the same record."""

    users: list[Row]
    products: list[Row]
    order_items: list[Row]


@dataclass(frozen=True, slots=True)
class Pools:
    """Values to pick from. Every length is a power of two, so that a shift and a mask pick a value."""

    first_names: list[tuple[str, str]]  # 512: the name, and its form in an e-mail address
    last_names: list[tuple[str, str]]  # 512
    cities: list[str]  # 128
    phones: list[str]  # 1024
    birth_dates: list[Any]  # 512
    goods: list[tuple[str, str, str]]  # 256: name, category, start of the SKU
    prices: list[Any]  # 128
    totals: list[Any]  # 512: prices × quantity 1…4; the total of price p and quantity q is at 4p + q - 1
    moments: list[Any]  # 256

    def converted(self, convert: Callable[[Any], Any]) -> Pools:
        """Return the same pools with dates, times and decimals converted, for a writer that needs text."""
        names = ("birth_dates", "prices", "totals", "moments")
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Pools(**{**values, **{name: [convert(value) for value in values[name]] for name in names}})


@cache
def draw_pools() -> Pools:
    """Return the pools from Faker: about 50 ms at the first call, then from memory."""
    from faker import Faker  # the import takes 300 ms, so only processes that make rows do it

    providers = [f"faker.providers.{name}" for name in ("person", "address", "phone_number", "color")]
    people = Faker("es_ES", use_weighting=False, providers=providers)
    people.seed_instance(SEED)
    things = Faker("en_US", use_weighting=False, providers=providers)
    things.seed_instance(SEED)

    goods = [(noun, category) for category, nouns in CATALOG.items() for noun in nouns]
    prices = [Decimal(_mix(i) % 50_000 + 99).scaleb(-2) for i in range(128)]
    return Pools(
        first_names=[(name, _mail_part(name)) for name in (people.first_name() for _ in range(512))],
        last_names=[(name, _mail_part(name)) for name in (people.last_name() for _ in range(512))],
        cities=[people.city() for _ in range(128)],
        phones=[people.phone_number() for _ in range(1024)],
        birth_dates=[date(1940, 1, 1) + timedelta(days=_mix(i) % 23_000) for i in range(512)],
        goods=[
            (f"{things.safe_color_name().title()} {noun}", category, category[:3].upper())
            for noun, category in goods * 8
        ],
        prices=prices,
        totals=[price * quantity for price in prices for quantity in (1, 2, 3, 4)],
        moments=[FIRST_DAY + timedelta(seconds=_mix(i) % 150_000_000) for i in range(256)],
    )


def make_rows(*, task_id: uuid.UUID, first_id: int, start: int, stop: int, pools: Pools, task_value: Any) -> Rows:
    """Return the rows of the records start…stop-1 of a task whose record 0 has the id `first_id`.

    `task_value` is the value of the column task_id, in the form that the writer needs.
    """
    first_names, last_names, cities, phones = pools.first_names, pools.last_names, pools.cities, pools.phones
    birth_dates, goods, prices = pools.birth_dates, pools.goods, pools.prices
    totals, moments = pools.totals, pools.moments
    seed = _mix((task_id.int >> 64) ^ (task_id.int & MASK))
    tag = f"{seed >> 32:08x}"
    rows = Rows([], [], [])
    add_user, add_product, add_item = rows.users.append, rows.products.append, rows.order_items.append
    row_id = first_id + start
    for position in range(start, stop):
        # splitmix64, inlined: a call costs as much as the arithmetic
        bits = (seed + position * 0x9E3779B97F4A7C15) & MASK
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
        bits ^= bits >> 31
        low, high = bits & 0xFFFFFFF, bits >> 34  # small ints, whose arithmetic is faster
        first_name, first_mail = first_names[low & 511]
        last_name, last_mail = last_names[low >> 9 & 511]
        name, category, code = goods[high & 255]
        price, quantity = high >> 8 & 127, high >> 17 & 3
        moment = moments[high >> 19 & 255]
        add_user((
            row_id, task_value, position, first_name, last_name,
            f"{first_mail}.{last_mail}.{tag}.{position}@example.com",
            phones[low >> 18 & 1023], cities[high >> 4 & 127], birth_dates[high >> 11 & 511], moment,
        ))  # fmt: skip
        add_product((
            row_id, task_value, position, f"{code}-{tag}-{position}", name, category,
            prices[price], low >> 6 & 1023, moment,
        ))  # fmt: skip
        add_item((
            row_id, task_value, position, row_id, row_id, quantity + 1,
            prices[price], totals[price * 4 + quantity], moment,
        ))  # fmt: skip
        row_id += 1
    return rows


def _mix(number: int) -> int:
    """splitmix64: spread a number over 64 bits."""
    bits = (number + 1) * 0x9E3779B97F4A7C15 & MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
    return bits ^ (bits >> 31)


def _mail_part(name: str) -> str:
    """Return the name in the form for an e-mail address: "María José" -> "maria-jose"."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "-".join("".join(c if c.isalnum() else " " for c in ascii_name.lower()).split())
