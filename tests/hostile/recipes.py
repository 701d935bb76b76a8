"""Odd values as JSON: a recipe in a task's params, and the Python value that it builds.

Owns which recipes exist, what they build, and which values a checkpoint can certainly store. Must not import Django at
the top, because the run itself does not use it.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import uuid
from typing import Any

from hypothesis import strategies as st

Recipe = list[Any]  # [kind, argument…]
MEGABYTES_5 = 5_000_000
_SAFE = 2**53


class Number(enum.IntEnum):
    """An integer that is not a JSON integer."""

    ONE = 1


class Text(str):
    """Text that is not a JSON string."""


def build(recipe: Recipe) -> Any:
    """Return the value of a recipe."""
    kind, *rest = recipe
    return _MAKERS[kind](*rest)


def _make_dict(pairs: list[list[Recipe]]) -> dict[Any, Any]:
    made = {}
    for key, value in pairs:
        made[_make_key(key)] = build(value)
    return made


def _make_key(key: Recipe) -> Any:
    """Replace an unhashable key by its text."""
    name = build(key)
    try:
        hash(name)
    except TypeError:
        return repr(name)
    return name


def is_text_key(key: Recipe) -> bool:
    """Tell whether a key of a dict is text."""
    return isinstance(_make_key(key), str)


def _make_deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _make_cycle() -> Any:
    value: dict[str, Any] = {}
    value["itself"] = value
    return value


_MAKERS: dict[str, Any] = {
    "none": lambda: None,
    "bool": lambda value: value,
    "int": int,
    "float": float,
    "text": lambda text: text,
    "bytes": bytes.fromhex,
    "decimal": decimal.Decimal,
    "datetime": datetime.datetime.fromisoformat,
    "date": lambda: datetime.date(2024, 1, 1),
    "timedelta": lambda: datetime.timedelta(days=1),
    "uuid": lambda: uuid.UUID(int=1),
    "complex": lambda: 1j,
    "object": object,
    "class": lambda: dict,
    "function": lambda: len,
    "generator": lambda: (number for number in range(3)),
    "set": lambda: {1, 2},
    "tuple": lambda: (1, 2),
    "enum": lambda: Number.ONE,
    "subclass": lambda: Text("text"),
    "error": lambda: ValueError("as a value"),
    "repeat": lambda text, number: text * number,
    "deep": _make_deep,
    "cycle": _make_cycle,
    "list": lambda items: [build(item) for item in items],
    "dict": _make_dict,
}


def is_surely_good(recipe: Recipe) -> bool:
    """Tell whether a value is plain, small JSON."""
    kind, *rest = recipe
    if kind in ("none", "bool"):
        return True
    if kind == "int":
        return abs(int(rest[0])) <= _SAFE
    if kind == "float":
        return math.isfinite(float(rest[0])) and 1e-9 < abs(float(rest[0])) < 1e9
    if kind == "text":
        return rest[0].isprintable() and _is_text(rest[0])
    if kind == "list":
        return all(is_surely_good(item) for item in rest[0])
    if kind == "dict":
        return all(key[0] == "text" and is_surely_good(key) and is_surely_good(value) for key, value in _last(rest[0]))
    return False


def is_surely_bad(recipe: Recipe) -> bool:
    """Tell whether a value contains something that is not JSON, or far too much."""
    kind, *rest = recipe
    if kind in ("none", "bool", "int", "tuple", "enum", "subclass"):
        return False
    if kind == "float":
        return not math.isfinite(float(rest[0]))
    if kind == "text":
        return not _is_text(rest[0])
    if kind == "repeat":
        return len(rest[0]) * rest[1] >= MEGABYTES_5
    if kind == "deep":
        return rest[0] >= 2_000
    if kind == "list":
        return any(is_surely_bad(item) for item in rest[0])
    if kind == "dict":
        return any(not is_text_key(key) or is_surely_bad(value) for key, value in _last(rest[0]))
    return True


def _last(pairs: list[list[Recipe]]) -> list[list[Recipe]]:
    """Return the pairs that remain in a dict with duplicate keys."""
    return list({repr(key): [key, value] for key, value in pairs}.values())


def _is_text(text: str) -> bool:
    return not any(0xD800 <= ord(letter) <= 0xDFFF for letter in text)


any_text = st.text(st.characters(), max_size=30) | st.sampled_from(
    [
        "",
        "\0",
        "caf\udce9",
        "\ud83d",
        "🎉" * 20,
        "\x1b[2J\r",
        "a\u202eb",
        "\ufeff",
        "é",
        "'; DROP TABLE users; --",
        "%s%n",
        "{}{0}",
    ]
)
integers = st.integers().map(str) | st.sampled_from(
    [
        "0",
        "-1",
        "1",
        "2",
        str(2**31),
        str(2**32),
        str(2**53 + 1),
        str(2**63 - 1),
        str(2**63),
        str(2**64),
        str(2**70),
        "9" * 400,
    ]
)
floats = st.floats().map(str) | st.sampled_from(["nan", "inf", "-inf", "2.0", "1.0", "1e308", "-0.0"])
times = st.datetimes(
    min_value=datetime.datetime(1, 1, 2),
    timezones=st.sampled_from([datetime.UTC, None]),  # type: ignore[arg-type]
).map(lambda value: value.isoformat())
_plain = st.sampled_from(
    [
        "none",
        "date",
        "timedelta",
        "uuid",
        "complex",
        "object",
        "class",
        "function",
        "generator",
        "set",
        "tuple",
        "enum",
        "subclass",
        "error",
    ]
).map(lambda kind: [kind])
leaves: st.SearchStrategy[Recipe] = st.one_of(
    _plain,
    st.booleans().map(lambda value: ["bool", value]),
    integers.map(lambda text: ["int", text]),
    floats.map(lambda text: ["float", text]),
    any_text.map(lambda text: ["text", text]),
    st.binary(max_size=8).map(lambda value: ["bytes", value.hex()]),
    st.decimals().map(lambda value: ["decimal", str(value)]),
    times.map(lambda text: ["datetime", text]),
    st.sampled_from([["repeat", "x", 3_000], ["deep", 10], ["deep", 200]]),
)
keys: st.SearchStrategy[Recipe] = st.one_of(
    any_text.map(lambda text: ["text", text]), integers.map(lambda text: ["int", text]), leaves
)
values: st.SearchStrategy[Recipe] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: ["list", items]),
        st.lists(st.tuples(keys, inner).map(list), max_size=3).map(lambda pairs: ["dict", pairs]),
    ),
    max_leaves=6,
)
