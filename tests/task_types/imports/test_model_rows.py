"""Rows of a model: a serializer without queries, inserts, and updates by a unique constraint."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import IdBlock, User
from tasks_app.task_types.imports import Import, model_rows
from tests.support.stored_files import Store
from tests.task_types.imports.conftest import run_all

pytestmark = pytest.mark.django_db


class ImportBlocks(Import):
    name = "import_blocks"
    model = IdBlock
    fields = ("name", "next_id")


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


def test_update_by_must_be_unique() -> None:
    model_rows.check_update_by(IdBlock, ("name",))
    with pytest.raises(ValueError, match=r"update_by is \('email',\); accepted: the fields of a unique constraint: id"):
        model_rows.check_update_by(User, ("email",))
