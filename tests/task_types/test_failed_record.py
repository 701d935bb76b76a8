"""tasks_app/task_types/failed_record.py: whatever a type says of a record can be stored, and what was changed is said."""

import json
import tracemalloc
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.core import exceptions as django_exceptions
from django.db import DataError, IntegrityError
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import serializers

from tasks_app.task_types.failed_record import (
    KEY_CHARACTERS,
    MESSAGE_CHARACTERS,
    VALUES_BYTES,
    FailedRecord,
    bound_record,
    describe_failure,
)

ID = UUID("0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10")
ANY_TEXT = st.text(alphabet=st.characters(), max_size=50)


class Endless(Mapping[str, Any]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, key: str) -> Any:
        return "x" * 1000

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            yield str(number)
            number += 1


class Rude:
    def __repr__(self) -> str:
        raise SystemError

    __str__ = __repr__


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a\x00b", "a\x00b"),
        ("\N{GRINNING FACE}", "\N{GRINNING FACE}"),
        (5, 5),
        (True, True),
        (None, None),
        (1.5, 1.5),
        (Decimal("1.50"), "1.50"),
        (date(2026, 1, 31), "2026-01-31"),
        (ID, str(ID)),
        ({"a": [1, Decimal(2)]}, {"a": [1, "2"]}),
    ],
)
def test_a_value_is_kept_exactly(value: object, kept: object) -> None:
    _, _, values, is_exact = bound_record(FailedRecord(values={"name": value}))
    assert (json.loads(values), is_exact) == ({"name": kept}, True)


@pytest.mark.parametrize(
    "values",
    [
        {"a": "x" * 1_000_000},
        {"a": "caf\udce9"},
        {"caf\udce9": "a"},
        {"x" * 1000: 1},
        {"a": float("nan")},
        {"a": 2**70},
        {"a": b"\xff"},
        {"a": Rude()},
        {"a": ["x" * 30_000]},
        {str(number): "x" * 15_000 for number in range(10)},
        {str(number): 1 for number in range(5000)},
        {7: "a key that is no text"},
        Endless(),
        "no mapping",
        {"a": b"x" * 1_000_000},
    ],
)
def test_a_value_that_is_changed_is_said_to_be(values: Any) -> None:
    _, _, text, is_exact = bound_record(FailedRecord(values=values))
    assert not is_exact
    assert isinstance(json.loads(text.encode()), dict)
    assert len(text.encode()) <= VALUES_BYTES


def test_a_long_value_does_not_push_out_the_short_ones_behind_it() -> None:
    long = "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 20_000
    _, _, text, is_exact = bound_record(FailedRecord(values={"a": long, "b": long, "sku": "S1"}))
    assert ([*json.loads(text)], is_exact) == (["a", "sku"], False)


def test_a_record_of_a_gigabyte_costs_no_copy_of_it() -> None:
    values = {"text": "x" * 50_000_000, "bytes": b"x" * 50_000_000, "list": [b"x" * 50_000_000], "name": "S1"}
    tracemalloc.start()
    try:
        _, _, text, is_exact = bound_record(FailedRecord(key=values["bytes"], values=values))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000
    assert (json.loads(text)["name"], is_exact) == ("S1", False)


@pytest.mark.parametrize(
    ("key", "line", "expected"),
    [
        (17, 3, ("17", 3, True)),
        (ID, None, (str(ID), None, True)),
        ("k" * 300, None, ("k" * KEY_CHARACTERS, None, False)),
        ("a\udce9", -1, ("a\\udce9", None, False)),
        ("", True, ("", None, True)),
        ("", 2**64, ("", None, True)),
    ],
)
def test_key_and_line_are_bounded(key: object, line: Any, expected: tuple[str, int | None, bool]) -> None:
    text, number, _, is_exact = bound_record(FailedRecord(key=key, line=line))
    assert (text, number, is_exact) == expected


@given(key=ANY_TEXT, values=st.dictionaries(ANY_TEXT, st.one_of(ANY_TEXT, st.floats(), st.integers())))
def test_any_record_is_valid_utf_8(key: str, values: dict[str, Any]) -> None:
    text, _, stored, is_exact = bound_record(FailedRecord(key=key, values=values))
    text.encode()
    assert len(text) <= KEY_CHARACTERS
    if is_exact:
        assert (text, json.loads(stored)) == (key, values)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("bad"), ("ValueError", "bad")),
        (ValueError(), ("ValueError", "ValueError")),
        (KeyError("phone"), ("KeyError", "'phone'")),
        (IntegrityError(1062, "Duplicate entry"), ("IntegrityError", "(1062, 'Duplicate entry')")),
        (DataError("Data too long\x1b[2J"), ("DataError", "Data too long\\x1b[2J")),
        (
            serializers.ValidationError({"a": ["no", "never"], "b": {"c": ["x"]}, "non_field_errors": ["all"]}),
            ("ValidationError", "a: no; a: never; b.c: x; all"),
        ),
        (serializers.ValidationError("no"), ("ValidationError", "no")),
        (django_exceptions.ValidationError({"a": ["no"], "__all__": ["all"]}), ("ValidationError", "a: no; all")),
        (django_exceptions.ValidationError("caf\udce9"), ("ValidationError", "caf\\udce9")),
    ],
)
def test_an_error_has_a_code_and_a_message(error: Exception, expected: tuple[str, str]) -> None:
    assert describe_failure(error) == expected


def test_a_long_or_rude_error_is_described() -> None:
    assert len(describe_failure(ValueError("x" * 10**6))[1]) == MESSAGE_CHARACTERS
    many = serializers.ValidationError({str(number): ["x" * 1000] for number in range(1000)})
    assert len(describe_failure(many)[1]) == MESSAGE_CHARACTERS
    code, message = describe_failure(type("E" * 1000, (ValueError,), {"__str__": lambda self: 1 / 0})())
    assert (len(code), bool(message)) == (64, True)
