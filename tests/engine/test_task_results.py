"""Results and artifacts of tasks: they commit with their chunk, and the task's owner sees them."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

import tests.support.export_types  # noqa: F401 (registers them)
from tasks_app.domain.callers import COMMAND_LINE, WRITE, Caller
from tasks_app.errors import NamedFileUnknown
from tasks_app.files.removal import delete_file
from tasks_app.files.task_files import list_artifacts
from tasks_app.models import TaskFileUse
from tasks_app.services import start_tasks
from tests.support.engine import Worker, checkpoint, start
from tests.support.stored_files import folder, upload

__all__ = ["folder"]


def count_lines(file_id: Any, *, owner: str = "ann", **params: Any) -> str:
    task = start_tasks.NewTask(name="count_lines", params={"file": str(file_id), **params})
    return start_tasks.start_task(task=task, caller=Caller(owner=owner, scope=WRITE)).snapshot.id


def test_a_task_reads_a_file_and_leaves_another(folder: Path, client: Client) -> None:
    file_id = upload(b"a\nb\nc").row.pk
    task_id = count_lines(file_id)
    assert TaskFileUse.objects.filter(file_id=file_id, task_id=task_id).exists()
    before = client.get(f"/tasks/{task_id}").json()
    assert (before["result"], before["artifacts"]) == (None, [])
    Worker().run()
    task = client.get(f"/tasks/{task_id}").json()
    assert (task["status"], task["result"]) == ("finished", {"lines": 3})
    [artifact] = task["artifacts"]
    answer = client.get(artifact["url"])
    assert b"".join(answer.streaming_content) == b"c\nb\na"
    assert answer["ETag"] == f'"{artifact["sha256"]}"'
    assert artifact["name"] == "reversed.txt"
    answer = client.get(f"/tasks/{task_id}", headers={"If-None-Match": client.get(f"/tasks/{task_id}")["ETag"]})
    assert answer.status_code == 304


def test_a_task_type_that_leaves_nothing_costs_no_statement(client: Client, django_assert_num_queries: Any) -> None:
    task_id = start("upload", numRecords=1)
    Worker().run()
    with django_assert_num_queries(0):
        task = client.get(f"/tasks/{task_id}").json()
    assert (task["result"], task["artifacts"]) == (None, [])


@pytest.mark.parametrize("wanted", ["of another", "unknown", "deleted"])
def test_only_ones_own_files_can_be_named(folder: Path, wanted: str) -> None:
    file_id = uuid.uuid4() if wanted == "unknown" else upload(owner="bob" if wanted == "of another" else "ann").row.pk
    if wanted == "deleted":
        delete_file(str(file_id), caller=COMMAND_LINE)
    with pytest.raises(NamedFileUnknown) as refused:
        count_lines(file_id)
    assert refused.value.fields == ("params.file",)
    with pytest.raises(NamedFileUnknown) as refused:
        count_lines(upload().row.pk, others=[str(upload().row.pk), str(file_id)])
    assert refused.value.fields == ("params.others.1",)
    assert not TaskFileUse.objects.exists()


def test_a_file_that_vanishes_fails_the_task_at_once(folder: Path) -> None:
    row = upload().row
    task_id = count_lines(row.pk)
    (folder / row.storage_key).unlink()
    Worker().run()
    found = checkpoint(task_id)
    assert (found.outcome, found.failures) == ("failed", 1)
    assert "FileGone" in found.error
    assert list_artifacts(uuid.UUID(task_id)) == []


def test_a_result_has_to_be_declared() -> None:
    task_id = start("leaves_undeclared")
    Worker().run()
    assert "leaves_results = True" in checkpoint(task_id).error
