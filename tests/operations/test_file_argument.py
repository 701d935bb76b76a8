"""`manage.py task start … --file`: the file is stored, and the task gets its id."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

import tests.support.export_types  # noqa: F401 (registers them)
from tasks_app.models import TaskFile, TaskFileUse
from tests.support.stored_files import folder, list_stored

__all__ = ["folder"]
pytestmark = pytest.mark.django_db(transaction=True)
CONTENT = b"sku,name\nA-1,Lamp\n"


def start(*arguments: str) -> dict[str, object]:
    said = io.StringIO()
    call_command("task", "start", *arguments, "--json", stdout=said)
    return dict(json.loads(said.getvalue()))


def test_a_file_is_stored_and_named(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_bytes(CONTENT)
    task = start("count_lines", "--file", str(path))
    row = TaskFile.objects.get()
    assert task["params"] == {"file": str(row.pk)}
    assert (row.name, row.content_type, row.size, row.owner) == ("products.csv", "text/csv", len(CONTENT), "")
    assert TaskFileUse.objects.filter(file_id=row.pk, task_id=task["id"]).exists()


def test_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(CONTENT)))
    start("count_lines", "--file", "-")
    assert (folder / TaskFile.objects.get().storage_key).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["count_lines", "--file", "/nowhere/products.csv"], "No such file"),
        (["count_lines", "--file", "/"], "Is a directory"),
        (["upload", "--file", "-"], "exactly one file"),
        (
            ["count_lines", "--file", "-", "--params", '{"file": "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"}'],
            "exactly one file",
        ),
    ],
)
def test_wrong_arguments_store_nothing(folder: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        start(*arguments)
    assert refused.value.returncode == 2
    assert list_stored(folder) == []
