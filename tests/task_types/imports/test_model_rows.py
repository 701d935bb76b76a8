"""Rows of a model: a serializer without queries, inserts, and updates by a unique constraint."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework import serializers

from catalog.models import IdBlock, User
from tasks_app.task_types.imports import Import, ImportRow, model_rows
from tests.support.stored_files import Store
from tests.task_types.imports.conftest import run_all

pytestmark = pytest.mark.django_db


class ImportBlocks(Import):
    name = "import_blocks"
    model = IdBlock
    fields = ("name", "next_id")


class OptionalBlock(serializers.Serializer[Any]):
    name = serializers.CharField()
    next_id = serializers.IntegerField(required=False)


class UpdateBlocks(ImportBlocks):
    update_by = ("name",)


def blocks() -> dict[str, int]:
    return dict(IdBlock.objects.exclude(name="records").values_list("name", "next_id"))


def test_the_rows_of_a_model_are_inserted_with_two_queries_a_chunk(store: Store) -> None:
    file = store(b"name,next_id\na,1\nb,2\nc,3\n")
    with CaptureQueriesContext(connection) as queries:
        run_all(ImportBlocks(), {"file": file}, limit=100)
    assert blocks() == {"a": 1, "b": 2, "c": 3}
    statements = [query["sql"] for query in queries if "catalog_idblock" in query["sql"]]
    assert len(statements) == 1


def test_a_row_that_exists_is_updated(store: Store) -> None:
    run_all(ImportBlocks(), {"file": store(b"name,next_id\na,1\nb,2\n")}, limit=100)
    for limit in (1, 100):
        run_all(UpdateBlocks(), {"file": store(b"name,next_id\nb,20\nc,30\n")}, limit=limit)
        assert blocks() == {"a": 1, "b": 20, "c": 30}


def test_a_column_that_is_left_out_is_not_updated(store: Store) -> None:
    run_all(ImportBlocks(), {"file": store(b"name,next_id\na,1\n")}, limit=100)
    serializer = model_rows.make_serializer(IdBlock, ("name",))
    assert list(serializer().fields) == ["name"]

    class Names(UpdateBlocks):
        fields = ("name",)

    run_all(Names(), {"file": store(b"name\na\n")}, limit=100)
    assert blocks() == {"a": 1}


def test_an_empty_field_updates_nothing_and_the_last_row_of_a_key_decides(store: Store) -> None:
    class UpdateOptional(UpdateBlocks):
        row_serializer = OptionalBlock

    run_all(ImportBlocks(), {"file": store(b"name,next_id\na,1\nb,2\n")}, limit=100)
    file = store(b"name,next_id\na,\nb,20\nc,30\nb,21\nc,\n")
    run_all(UpdateOptional(), {"file": file}, limit=100)
    assert blocks() == {"a": 1, "b": 21, "c": 30}


def test_keys_that_a_collation_may_take_for_equal_keep_their_order() -> None:
    rows = [
        ImportRow({"name": name} | ({"next_id": 1} if full else {}), {}, 1, 0)
        for name, full in (("a", True), ("b", False), ("c", True), ("A", False), ("Ä ", True))
    ]
    groups = [[row.values["name"] for row in group] for group in model_rows._group_rows(rows, ("name",))]
    assert groups == [["a", "c"], ["b"], ["A"], ["Ä "]]


def test_a_field_must_be_a_column_that_can_be_written() -> None:
    class Wrong(ImportBlocks):
        fields = ("name", "other")

    with pytest.raises(ValueError, match="fields has 'other'; accepted: name, next_id"):
        Wrong()


def test_update_by_must_be_unique() -> None:
    model_rows.check_update_by(IdBlock, ("name",))
    with pytest.raises(ValueError, match=r"update_by is \('email',\); accepted: the fields of a unique constraint: id"):
        model_rows.check_update_by(User, ("email",))
