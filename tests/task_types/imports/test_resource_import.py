"""Imports through a Resource: its row errors name the place, and its rows commit with the position in the file or not at all."""

from __future__ import annotations

import importlib
import sys
import uuid
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import IntegrityError, OperationalError

from catalog.models import IdBlock
from tasks_app.domain.callers import ANONYMOUS, COMMAND_LINE
from tasks_app.errors import HopelessError, ParamRefused
from tasks_app.models import TaskFailure
from tasks_app.services import start_tasks
from tasks_app.task_types import Chunk
from tasks_app.task_types.imports import RowRefused, resource_import
from tasks_app.task_types.imports.resource_import import ResourceImport
from tests.support.engine import Worker, checkpoint, longtasks  # noqa: F401 (fixture)
from tests.support.resource_types import BlockResource, ImportBlocks, ImportBulkBlocks, ImportNewBlocks
from tests.support.stored_files import Store
from tests.task_types.imports.conftest import run_all, run_chunk

pytestmark = pytest.mark.django_db(transaction=True)


def blocks() -> dict[str, int]:
    return dict(IdBlock.objects.exclude(name="records").values_list("name", "next_id"))


def work(file: str, *, state: Any = None, start: int = 0, is_dry_run: bool = False) -> Chunk:
    return Chunk(
        uuid.uuid4(), {"file": file}, start=start, limit=100, total=None, state=state or {}, is_dry_run=is_dry_run
    )


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_rows_are_created_updated_and_skipped(store: Store, limit: int) -> None:
    IdBlock.objects.bulk_create([IdBlock(name="a", next_id=1), IdBlock(name="b", next_id=2)])
    results = run_all(ImportBlocks(), {"file": store(b"name,next_id\na,1\nb,20\nc,30\n")}, limit=limit)
    assert blocks() == {"a": 1, "b": 20, "c": 30}
    totals = {name: sum(result.counts.get(name, 0) for result in results) for name in ImportBlocks.count_names}
    assert totals == {"created": 1, "updated": 1, "deleted": 0, "skipped": 1}


def test_json_lines_pass_a_resource_too(store: Store) -> None:
    file = store(b'{"name":"a","next_id":1}\n{"next_id":2,"name":"b"}\n', name="x.jsonl")
    ImportBlocks().authorize({"file": file}, ANONYMOUS)
    run_all(ImportBlocks(), {"file": file}, limit=100)
    assert blocks() == {"a": 1, "b": 2}
    unknown = store(b'{"name":"c","next_id":1}\n{"name":"d","other":2}\n', name="x.jsonl")
    with pytest.raises(RowRefused, match="Line 2: unknown keys: 'other'"):
        run_all(ImportBlocks(), {"file": unknown}, limit=100)
    assert blocks() == {"a": 1, "b": 2, "c": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"name,id\n", "Line 1, column 2: unknown column 'id'. Known columns: name, next_id."),
        (b"next_id\n", "Line 1: missing column: name."),
    ],
)
def test_the_header_is_that_of_the_resource(store: Store, data: bytes, message: str) -> None:
    with pytest.raises(ParamRefused) as caught:
        ImportBlocks().authorize({"file": store(data)}, ANONYMOUS)
    assert caught.value.reason.startswith(message)


@pytest.mark.parametrize(
    ("type_", "bad", "message"),
    [
        (ImportBlocks, b"c,many", r"^Line 4, column 2: next_id: .*The value is 'many'\.$"),
        (ImportBulkBlocks, b"c,many", r"^Line 4, column 2: next_id: .*The value is 'many'\.$"),
        (ImportNewBlocks, b"a,3", r"^Line 4: django\.db\.utils\.IntegrityError: "),
    ],
)
def test_the_rows_before_a_refused_one_are_a_chunk_of_their_own(
    store: Store, type_: type[ResourceImport], bad: bytes, message: str
) -> None:
    file, task_type = store(b"name,next_id\na,1\nb,2\n" + bad + b"\nd,4\n"), type_()
    first = run_chunk(task_type, work(file))
    assert (first.done, first.finished, blocks()) == (2, False, {"a": 1, "b": 2})
    assert first.counts["created"] == 2
    refused = work(file, state=first.state, start=2)
    with pytest.raises(RowRefused, match=message) as caught:
        run_chunk(task_type, refused)
    assert (caught.value.line, caught.value.position) == (4, 2)
    assert blocks() == {"a": 1, "b": 2}
    skipped, description = task_type.skip_record(
        Chunk(refused.task_id, refused.params, start=2, limit=1, total=None, state=refused.state)
    )
    assert description is not None
    assert description.line == 4
    run_chunk(task_type, work(file, state=skipped.state, start=3))
    assert blocks() == {"a": 1, "b": 2, "d": 4}


def test_a_validation_error_names_the_column_and_leaves_no_row_behind_it(store: Store) -> None:
    class Checked(BlockResource):
        def before_save_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
            if instance.next_id == 13:
                raise ValidationError({"next_id": "Not thirteen."})

    class Checking(ImportBlocks):
        resource_class = Checked

    file = store(b"next_id,name\n1,a\n13,b\n4,d\n")
    first = run_chunk(Checking(), work(file))
    assert (first.done, blocks()) == (1, {"a": 1})
    with pytest.raises(RowRefused, match=r"^Line 3, column 1: next_id: Not thirteen\. The value is '13'\.$"):
        run_chunk(Checking(), work(file, state=first.state, start=1))
    assert blocks() == {"a": 1}


def test_bulk_mode_cannot_hide_an_error_of_the_database(store: Store) -> None:
    file = store(b"name,next_id\n" + b"".join(b"n%d,1\n" % number for number in range(15)) + b"n3,2\n")
    with pytest.raises(IntegrityError):
        run_chunk(ImportBulkBlocks(), work(file))
    assert blocks() == {}


@pytest.mark.parametrize("name", ["import_new_blocks", "import_bulk_blocks"])
@pytest.mark.parametrize("shard_records", [0, 30])
def test_failing_records_are_found_by_halving(
    store: Store,
    longtasks: Any,  # noqa: F811
    name: str,
    shard_records: int,
) -> None:
    longtasks(shard_records=shard_records)
    bad = {7: b"taken,1\n", 23: b"x,many\n", 64: b"taken,2\n"}
    IdBlock.objects.create(name="taken", next_id=0)
    lines = [bad.get(number, b"n%d,%d\n" % (number, number)) for number in range(80)]
    task = start_tasks.NewTask(name=name, params={"file": store(b"name,next_id\n" + b"".join(lines))}, max_failures="5")
    task_id = start_tasks.start_task(task=task, caller=COMMAND_LINE).snapshot.id
    while Worker().run():
        pass
    row = checkpoint(task_id)
    assert (row.outcome, row.done, row.failed_records) == ("finished", 80, 3)
    assert row.counts["created"] == 77
    assert blocks() == {"taken": 0} | {f"n{number}": number for number in range(80) if number not in bad}
    failures = TaskFailure.objects.filter(task_id=task_id).order_by("position")
    assert [(failure.position, failure.line) for failure in failures] == [(7, 9), (23, 25), (64, 66)]


def test_a_dry_run_writes_nothing_and_counts(store: Store) -> None:
    IdBlock.objects.create(name="a", next_id=0)
    file = store(b"name,next_id\na,1\nb,2\nc,3\n")
    results = run_all(ImportBlocks(), {"file": file}, limit=2, is_dry_run=True)
    assert blocks() == {"a": 0}
    assert sum(result.done for result in results) == 3
    assert [sum(result.counts.get(name, 0) for result in results) for name in ("created", "updated")] == [2, 1]
    with pytest.raises(RowRefused, match=r"^Line 2, column 2: next_id"):
        run_chunk(ImportBulkBlocks(), work(store(b"name,next_id\na,x\n"), is_dry_run=True))


@pytest.mark.parametrize("bulk", [True, False])
def test_an_error_that_is_of_no_row_is_raised_as_it_is(store: Store, bulk: bool) -> None:
    class Deadlocked(BlockResource):
        class Meta:
            use_bulk = bulk

        def before_save_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
            if instance.name == "b":
                raise OperationalError(1213, "Deadlock found")

    class Deadlocking(ImportBlocks):
        resource_class = Deadlocked

    with pytest.raises(OperationalError, match="Deadlock"):
        run_chunk(Deadlocking(), work(store(b"name,next_id\na,1\nb,2\n")))
    assert blocks() == {}


def test_the_hooks_of_a_resource_see_the_task_and_their_own_columns(store: Store) -> None:
    seen = []

    class Hooked(BlockResource):
        def before_import_row(self, row: Any, **kwargs: Any) -> None:
            row["next_id"] = row["first"]
            seen.append((row["first"], kwargs["task_id"], kwargs["owner"]))

    class Hooking(ImportBlocks):
        resource_class = Hooked
        extra_columns = ("first",)

    chunk = work(store(b"name,first\na,7\n"))
    Hooking().authorize(chunk.params, ANONYMOUS)
    run_chunk(Hooking(), chunk)
    assert blocks() == {"a": 7}
    assert seen == [("7", chunk.task_id, "")]


def test_a_resource_that_changes_the_number_of_rows_is_refused(store: Store) -> None:
    class Dropped(BlockResource):
        def before_import(self, dataset: Any, **kwargs: Any) -> None:
            del dataset[0]

    class Dropping(ImportBlocks):
        resource_class = Dropped

    with pytest.raises(HopelessError, match="made 1 rows of 2 records"):
        run_chunk(Dropping(), work(store(b"name,next_id\na,1\nb,2\n")))
    assert blocks() == {}


def test_a_wrong_declaration_is_refused() -> None:
    class Nothing(ResourceImport):
        name = "nothing"

    with pytest.raises(ValueError, match="set resource_class to a Resource"):
        Nothing()

    class Elsewhere(BlockResource):
        class Meta:
            using_db = "other"

    class Writing(ImportBlocks):
        resource_class = Elsewhere

    with pytest.raises(ValueError, match="writes to the database 'other'; accepted: 'default'"):
        Writing()


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "import_export.resources", None)
    monkeypatch.delitem(sys.modules, resource_import.__name__)
    with pytest.raises(ImproperlyConfigured, match=r"install the extra import-export"):
        importlib.import_module(resource_import.__name__)
