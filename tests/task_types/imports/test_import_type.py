"""An import's chunks: each record once, from the position in the state; refusals name the place and cost no row before them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from rest_framework import serializers

from tasks_app.domain.callers import ANONYMOUS
from tasks_app.errors import FilesUnavailable, HopelessError, ParamRefused
from tasks_app.files.open_file import FileGone
from tasks_app.models import TaskFile
from tasks_app.task_types import Chunk
from tasks_app.task_types.imports import Import, ImportRow, ImportRun, RowRefused, open_import
from tests.support.stored_files import Store
from tests.task_types.imports.conftest import run_all, run_chunk

pytestmark = pytest.mark.django_db
GOOD = b'sku,stock\na,1\n"b\nc",2\n\nd,\ne,5\nf,6\n'
GOOD_ROWS = [("a", 1, 2, 0), ("b\nc", 2, 3, 1), ("d", 0, 6, 2), ("e", 5, 7, 3), ("f", 6, 8, 4)]


class Row(serializers.Serializer[Any]):
    sku = serializers.CharField(max_length=5)
    stock = serializers.IntegerField(default=0, max_value=9)


class Collecting(Import):
    """Keeps its rows in memory."""

    name = "collecting"
    row_serializer = Row

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[Any, ...]] = []

    def process(self, rows: Sequence[ImportRow], run: ImportRun) -> None:
        assert len(rows) <= run.limit
        self.rows += [(row.values["sku"], row.values["stock"], row.line, row.position) for row in rows]


def work(file: str, *, limit: int = 100, state: Any = None, start: int = 0, **params: Any) -> Chunk:
    return Chunk(uuid.uuid4(), {"file": file, **params}, start=start, limit=limit, total=None, state=state or {})


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_each_record_is_processed_once_whatever_the_chunks(store: Store, limit: int) -> None:
    task_type = Collecting()
    results = run_all(task_type, {"file": store(GOOD)}, limit=limit)
    assert task_type.rows == GOOD_ROWS
    assert sum(result.done for result in results) == 5
    assert {result.counts.get("rows", 0) for result in results} == {result.done for result in results}
    assert results[-1].state == {"offset": len(GOOD), "line": 9}


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_a_chunk_that_runs_twice_and_in_another_process_gets_the_same_rows(store: Store, limit: int) -> None:
    file = store(GOOD)
    results = run_all(Collecting(), {"file": file}, limit=limit)
    start = 0
    for before, result in zip([{}, *(each.state for each in results)], results, strict=False):
        seen = []
        for forget in (False, True, False):
            if forget:
                open_import.hold(None, None)
            task_type = Collecting()
            again = run_chunk(task_type, work(file, limit=limit, state=before, start=start))
            assert again == result
            seen.append(task_type.rows)
        assert seen[0] == seen[1] == seen[2] == GOOD_ROWS[start : start + result.done]
        start += result.done


def test_a_halved_chunk_reads_nothing_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    file, task_type = store(GOOD), Collecting()
    chunk = work(file, limit=4)
    task_type.prepare_chunks([chunk])
    monkeypatch.setattr(open_import.OpenImport, "_read_one", lambda self: pytest.fail("it reads again"))
    half = Chunk(chunk.task_id, chunk.params, start=0, limit=2, total=None, state={})
    first = run_chunk(task_type, half)
    second = Chunk(chunk.task_id, chunk.params, start=2, limit=2, total=None, state=first.state)
    run_chunk(task_type, second)
    assert task_type.rows == GOOD_ROWS[:4]


def test_the_rows_before_a_refused_one_are_a_chunk_of_their_own(store: Store) -> None:
    file, task_type = store(b"sku,stock\na,1\nb,2\ntoo long,77\nd,4\n"), Collecting()
    first = run_chunk(task_type, work(file))
    assert (first.done, first.finished, len(task_type.rows)) == (2, False, 2)
    refused = work(file, state=first.state, start=2)
    with pytest.raises(RowRefused) as caught:
        run_chunk(task_type, refused)
    assert str(caught.value) == (
        "Line 4, column 1: sku: Ensure this field has no more than 5 characters. The value is 'too long'. "
        "Line 4, column 2: stock: Ensure this value is less than or equal to 9. The value is '77'."
    )
    assert (caught.value.line, caught.value.position) == (4, 2)
    assert caught.value.original == {"sku": "too long", "stock": "77"}
    assert len(task_type.rows) == 2
    skipped, description = task_type.skip_record(
        Chunk(refused.task_id, refused.params, start=2, limit=1, total=None, state=refused.state)
    )
    assert description is not None
    assert (description.line, description.values) == (4, {"sku": "too long", "stock": "77"})
    assert (skipped.done, skipped.counts, skipped.finished) == (1, {}, False)
    last = run_chunk(task_type, work(file, state=skipped.state, start=3))
    assert task_type.rows[2:] == [("d", 4, 5, 3)]
    assert last.finished


def test_there_is_nothing_to_skip_at_the_end(store: Store) -> None:
    file, task_type = store(b"sku\na\n"), Collecting()
    [only] = run_all(task_type, {"file": file}, limit=10)
    result, description = task_type.skip_record(work(file, limit=1, state=only.state, start=1))
    assert (result.done, result.finished, description) == (0, True, None)


def test_a_place_that_cannot_be_read_fails_the_task_after_the_rows_before_it(store: Store) -> None:
    file, task_type = store(b'sku,stock\na,1\nb,2\n"c'), Collecting()
    first = run_chunk(task_type, work(file))
    assert (first.done, first.finished) == (2, False)
    with pytest.raises(HopelessError, match=r"Line 4 \(byte 18\): the file ends within a quoted field"):
        run_chunk(task_type, work(file, state=first.state, start=2))
    assert len(task_type.rows) == 2


def test_a_file_with_only_a_header_has_no_rows(store: Store) -> None:
    task_type = Collecting()
    [only] = run_all(task_type, {"file": store(b"sku,stock\n")}, limit=10)
    assert (only.done, only.finished, task_type.rows) == (0, True, [])


def test_a_chunk_reads_a_bounded_part_of_the_file(store: Store) -> None:
    class Careful(Collecting):
        max_chunk_bytes = 10

    task_type = Careful()
    results = run_all(task_type, {"file": store(b"sku\n" + b"abcd\n" * 7)}, limit=100)
    assert [result.done for result in results] == [2, 2, 2, 1]


def test_a_part_ends_where_the_next_one_begins(store: Store) -> None:
    file, task_type = store(GOOD), Collecting()
    whole = run_all(Collecting(), {"file": file}, limit=2)
    end = whole[0].state["offset"]
    first = run_all(task_type, {"file": file}, limit=1, state={"offset": 0, "line": 1, "end": end})
    assert [result.finished for result in first] == [False, True]
    run_all(task_type, {"file": file}, limit=10, state=whole[0].state, start=2)
    assert task_type.rows == GOOD_ROWS


@pytest.mark.parametrize(
    ("name", "data", "params"),
    [
        ("x.JSONL", b'{"sku":"a","stock":1}\n', {}),
        ("x", b'{"sku":"a","stock":1}\n', {"format": "jsonl"}),
        ("x.ndjson", b"sku;stock\na;1", {"format": "csv"}),
        ("x.csv", "sku\tstock\na\t1".encode("utf-16"), {"encoding": "utf-16", "delimiter": "tab"}),
    ],
)
def test_format_encoding_and_delimiter_are_declared_or_found(
    store: Store, name: str, data: bytes, params: dict[str, str]
) -> None:
    task_type = Collecting()
    task_type.authorize({"file": store(data, name=name), **params}, ANONYMOUS)
    run_all(task_type, {"file": store(data, name=name), **params}, limit=10)
    assert [row[:2] for row in task_type.rows] == [("a", 1)]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.csv", b"sku,price\n", "Line 1, column 2: unknown column 'price'. Known columns: sku, stock."),
        ("x.csv", b"", "Line 1: the file is empty"),
        ("x.jsonl", b'{"stock":1}\n', "Line 1: missing column: sku."),
        ("x.csv", b"\x1f\x8b\x08", "Line 1: the gzip data ends too early"),
    ],
)
def test_a_start_with_another_header_is_refused(store: Store, name: str, data: bytes, message: str) -> None:
    with pytest.raises(ParamRefused) as caught:
        Collecting().authorize({"file": store(data, name=name)}, ANONYMOUS)
    assert caught.value.reason.startswith(message)
    assert caught.value.field == "file"
    Collecting().authorize({"file": store(GOOD)}, ANONYMOUS)


def test_a_file_that_is_gone_refuses_the_start_and_fails_the_task(store: Store) -> None:
    file = store(GOOD)
    TaskFile.objects.all().delete()
    with pytest.raises(ParamRefused, match="There is no file"):
        Collecting().authorize({"file": file}, ANONYMOUS)
    with pytest.raises(FileGone, match="There is no file"):
        run_chunk(Collecting(), work(file))


def test_a_storage_that_does_not_answer_refuses_no_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    file = store(GOOD)

    def fail(*args: object) -> None:
        raise ConnectionError("storage")

    monkeypatch.setattr("tasks_app.task_types.imports.import_type.open_file", fail)
    with pytest.raises(FilesUnavailable):
        Collecting().authorize({"file": file}, ANONYMOUS)
    with pytest.raises(ConnectionError):
        run_chunk(Collecting(), work(file))


def test_the_file_is_open_between_chunks_and_closed_at_the_end(store: Store) -> None:
    file, task_type = store(GOOD), Collecting()
    chunk = work(file, limit=3)
    first = run_chunk(task_type, chunk)
    held = open_import.get_held(("collecting", chunk.task_id))
    assert held is not None
    assert not held._file.closed
    run_chunk(task_type, Chunk(chunk.task_id, chunk.params, start=3, limit=3, total=None, state=first.state))
    assert held._file.closed
    assert open_import.get_held(("collecting", chunk.task_id)) is None


def test_what_prepare_rows_returns_is_in_the_run(store: Store) -> None:
    class Preparing(Collecting):
        def prepare_rows(self, rows: Sequence[ImportRow], run: Chunk) -> Any:
            return [row.position for row in rows]

        def process(self, rows: Sequence[ImportRow], run: ImportRun) -> Any:
            assert run.prepared == [row.position for row in rows]
            assert (run.owner, run.start) == ("", 0)
            return {"mine": len(rows)}

    [result] = run_all(Preparing(), {"file": store(GOOD)}, limit=100)
    assert result.counts == {"mine": 5}


def test_a_declaration_without_rows_is_refused() -> None:
    class Nothing(Import):
        name = "nothing"

    with pytest.raises(ValueError, match="set row_serializer, or model and fields"):
        Nothing()

    class NoModel(Import):
        name = "nothing"
        row_serializer = Row
        update_by = ("sku",)

    with pytest.raises(ValueError, match="update_by needs model"):
        NoModel()
