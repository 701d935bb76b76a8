"""The fields of a key: which are accepted, and that a value is the same after its way through JSON."""

from __future__ import annotations

import datetime
import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from tasks_app.task_types import HopelessError
from tasks_app.task_types.collections.cursor_keys import find_key
from tests.task_types.collections.models import Day, Detail, Moment, Number, Pair, Price, Tenant, Uid, Word

KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (Number, st.integers(-(2**63), 2**63 - 1)),
    (Uid, st.uuids()),
    (Word, st.text(st.characters(codec="utf-8"))),
    (Price, st.decimals(allow_nan=False, allow_infinity=False, places=4)),
    (Moment, st.datetimes(timezones=st.just(datetime.UTC))),
    (Day, st.dates()),
]


@pytest.mark.parametrize(("model", "values"), KINDS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_value_is_the_same_after_json(model: Any, values: st.SearchStrategy[Any]) -> None:
    key = find_key(model, ())

    @given(values)
    def check(value: Any) -> None:
        stored = json.loads(json.dumps(key.encode((value,))))
        assert key.decode(stored, what="cursor") == (value,)

    check()


@pytest.mark.parametrize(
    ("model", "fields", "names"),
    [
        (Number, (), ("id",)),
        (Tenant, ("tenant", "number"), ("tenant", "number")),
        (Tenant, ("created", "id"), ("created", "id")),
        (Tenant, ("tenant", "number", "id"), ("tenant", "number")),
        (Tenant, ("id", "created"), ("id",)),
        (Pair, (), ("left", "right")),
        (Detail, (), ("parent_id",)),
        (Detail, ("parent",), ("parent_id",)),
        (Uid, ["id"], ("id",)),
        (Price, ("id",), ("id",)),
    ],
)
def test_a_key_is_unique_not_null_and_served_by_an_index(model: Any, fields: Any, names: Any) -> None:
    assert find_key(model, fields).names == names


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("absent",), "has no field 'absent'"),
        (("maybe",), "may be null"),
        (("weight",), "is a FloatField; accepted: integers"),
        (("tenant",), r"not unique together.*\(tenant, id\)"),
        (("created",), r"\(created, id\)"),
        (("loose", "id"), "No index .* begins with"),
        (("number", "tenant"), "No index .* begins with"),
        (("id", "id"), "twice"),
    ],
)
def test_other_fields_are_refused_with_what_to_do(fields: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find_key(Tenant, fields)


def test_a_stored_key_of_other_fields_is_hopeless() -> None:
    with pytest.raises(HopelessError, match="have changed since"):
        find_key(Tenant, ("tenant", "number")).decode([1], what="cursor")
    assert find_key(Number, ()).decode([5], what="bound") == (5,)
    assert find_key(Price, ()).encode((Decimal("1.50"),)) == ["1.50"]
    assert find_key(Uid, ()).encode((uuid.UUID(int=1),)) == ["00000000-0000-0000-0000-000000000001"]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="MariaDB keeps all digits")
def test_a_decimal_that_sqlite_would_round_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Price._meta.pk, "max_digits", 16)
    with pytest.raises(ValueError, match="SQLite keeps 15"):
        find_key(Price, ())
