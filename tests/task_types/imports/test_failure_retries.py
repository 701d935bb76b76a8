"""An import of the failed records alone: read at their places in the same file, each once, and never by two tasks."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework import serializers

from catalog.models import Product
from catalog.task_types.import_products import ImportProductsTask
from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.errors import FailuresNotRetried
from tasks_app.models import TaskFailure, TaskFile, TaskFileUse
from tasks_app.services import start_tasks
from tasks_app.services.retry_failures import retry_failures
from tasks_app.task_types import register, unregister
from tasks_app.task_types.imports import Import, ImportRow, ImportRun
from tests.support.engine import Worker, checkpoint, longtasks, mirror  # noqa: F401 (fixture)
from tests.support.stored_files import Store

pytestmark = pytest.mark.django_db(transaction=True)
ODD = b'sku,note\n\n\na,1\n"b\nb",2\n\nc,3,4\r\nd,4\n\n\n\ne,5\nf,6\n'  # blank lines, a line break in a field, a cell too many
LINES = b'{"sku":"a","note":"1"}\n\n{"sku":"b","note":"2"}\n{"sku":"c","x":1}\n{"sku":"d"}\n{"sku":"e","note":"5"}\n'


class Row(serializers.Serializer[Any]):
    sku = serializers.CharField()
    note = serializers.CharField(required=False)


class ImportNotes(Import):
    """Keeps what it has written in memory; a record that is in `refused` fails."""

    name = "import_notes"
    row_serializer = Row
    max_limit = 4
    refused: frozenset[str] = frozenset()
    seen: list[tuple[str, int, int]] = []

    def process(self, rows: Sequence[ImportRow], run: ImportRun) -> None:
        if bad := [row.values["sku"] for row in rows if row.values["sku"] in self.refused]:
            raise ValueError(f"{bad[0]!r} is refused")
        self.seen.extend((row.values["sku"], row.line, row.position) for row in rows)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[ImportNotes]]:
    register(ImportNotes)
    monkeypatch.setattr(ImportNotes, "seen", [])
    monkeypatch.setattr(ImportNotes, "refused", frozenset())
    yield ImportNotes
    unregister(ImportNotes.name)


def run(name: str, file: str, **params: Any) -> str:
    task = start_tasks.NewTask(name=name, params={"file": file, **params}, max_failures="100%")
    task_id = start_tasks.start_task(task=task, caller=COMMAND_LINE).snapshot.id
    run_all()
    return task_id


def run_all() -> None:
    while Worker().run():
        pass
    mirror()


def retry(task_id: str) -> str:
    new = retry_failures(task_id=task_id).snapshot.id
    run_all()
    return new


@pytest.mark.parametrize("shard_records", [0, 2])
@pytest.mark.parametrize("is_gzip", [False, True])
def test_records_are_read_again_at_their_places(
    store: Store,
    notes: type[ImportNotes],
    longtasks: Any,  # noqa: F811
    shard_records: int,
    is_gzip: bool,
) -> None:
    longtasks(shard_records=shard_records)
    notes.refused = frozenset({"a", "b\nb", "e", "f"})
    first = run(notes.name, store(gzip.compress(ODD) if is_gzip else ODD))
    assert (checkpoint(first).outcome, notes.seen) == ("finished", [("d", 9, 3)])
    notes.refused = frozenset({"e"})
    notes.seen.clear()

    second = retry(first)

    assert (checkpoint(second).outcome, checkpoint(second).done, checkpoint(second).failed_records) == (
        "finished",
        5,
        2,
    )
    assert sorted(notes.seen) == [("a", 4, 0), ("b\nb", 5, 1), ("f", 14, 4)]
    first_keys, second_keys = (
        list(TaskFailure.objects.filter(task_id=task).order_by("position", "id").values_list("line", "key"))
        for task in (first, second)
    )
    assert [line for line, _ in second_keys] == [8, 13]  # the cell too many is still one too many
    assert set(second_keys) < set(first_keys)
    assert checkpoint(second).counts == {"rows": 3}

    notes.refused = frozenset()
    third = retry(second)
    assert (checkpoint(third).counts, checkpoint(third).failed_records) == ({"rows": 1}, 1)
    assert sorted(notes.seen)[2] == ("e", 13, 1)


def test_json_lines_keep_their_types(store: Store, notes: type[ImportNotes]) -> None:
    notes.refused = frozenset({"b", "d", "e"})
    first = run(notes.name, store(LINES, name="x.jsonl"))
    notes.refused = frozenset()
    second = retry(first)
    assert notes.seen == [("a", 1, 0), ("b", 3, 0), ("d", 5, 2), ("e", 6, 3)]
    assert checkpoint(second).failed_records == 1


def test_a_chunk_of_a_retry_is_bounded_too(
    store: Store, notes: type[ImportNotes], monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks: list[int] = []
    monkeypatch.setattr(notes, "prepare_rows", lambda self, rows, run: chunks.append(len(rows)))
    notes.refused = frozenset("pqrst")
    first = run(notes.name, store(b"sku\n" + b"".join(b"%c\n" % each for each in b"pqrst")))
    notes.refused = frozenset()
    chunks.clear()
    monkeypatch.setattr(notes, "max_chunk_bytes", 3)
    retry(first)
    assert chunks == [2, 2, 1]


@pytest.mark.parametrize("shard_records", [0, 10])
def test_products_are_inserted_once(
    store: Store,
    client: Client,
    longtasks: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    shard_records: int,
) -> None:
    longtasks(shard_records=shard_records)
    content = "sku,name,price\n" + "".join(f"S{number},N,{number}\n" for number in range(90))
    process = ImportProductsTask.process

    def refuse_some(self: Any, rows: Sequence[ImportRow], run: ImportRun) -> Any:
        if any(row.position % 3 == 0 for row in rows):
            raise ValueError("refused")
        return process(self, rows, run)

    with monkeypatch.context() as patch:
        patch.setattr(ImportProductsTask, "process", refuse_some)
        first = run("import_products", store(content.encode()))
    assert checkpoint(first).failed_records == 30

    second = client.post(f"/tasks/{first}/failures/retry", content_type="application/json").json()["id"]
    run_all()

    assert (checkpoint(second).outcome, checkpoint(second).counts) == ("finished", {"products": 30})
    assert sorted(Product.objects.values_list("sku", flat=True)) == sorted(f"S{number}" for number in range(90))
    refused = client.post(f"/tasks/{first}/failures/retry", content_type="application/json")
    assert refused.status_code == 409
    assert second in refused.json()["detail"]


def test_without_its_file_the_reason_says_what_to_do(store: Store, folder: Path, notes: type[ImportNotes]) -> None:
    notes.refused = frozenset({"a"})
    first = run(notes.name, store(ODD))
    uses = TaskFileUse.objects.filter(task_id=first)
    files = TaskFile.objects.filter(pk__in=uses.values("file_id"))
    files.update(is_complete=False)
    with pytest.raises(FailuresNotRetried, match=r"There is no file .* Get the list as CSV .*, and start an import"):
        retry_failures(task_id=first)
    files.update(is_complete=True)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    contents = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    with pytest.raises(FailuresNotRetried, match="has lost the bytes"):
        retry_failures(task_id=first)
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert checkpoint(retry(first)).outcome == "finished"  # the refusals have reserved nothing


def test_a_list_without_places_is_hopeless(store: Store, notes: type[ImportNotes]) -> None:
    notes.refused = frozenset({"a"})
    first = run(notes.name, store(ODD))
    TaskFailure.objects.filter(task_id=first, line=4).update(key="A-1")
    second = retry(first)
    assert checkpoint(second).outcome == "failed"
    assert "its key is 'A-1'; accepted: byte N, line N" in checkpoint(second).error
