"""The file input of the start form: a file of the form, or the id of an uploaded one."""

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

import tests.support.export_types  # noqa: F401 (registers them)
from tasks_app.files import store
from tasks_app.models import TaskFile
from tasks_app.queues import job_snapshots
from tests.admin.conftest import OPERATE, MakeClient
from tests.admin.pages import LIST, get
from tests.support.stored_files import BrokenStorage, folder, list_stored, upload

__all__ = ["folder"]
pytestmark = pytest.mark.django_db(transaction=True)
START = {"type": "count_lines", "priority": "low", "description": ""}


def started(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 302, answer.context["form"].errors
    task = job_snapshots.get_snapshot(answer.headers["Location"].split("/")[-2])
    assert task is not None
    return task.params


def test_the_form_has_a_file_input(make_client: MakeClient) -> None:
    shown = get(make_client(OPERATE), f"{LIST}start/?type=count_lines")
    assert 'type="file" name="params-file_file"' in shown
    assert 'enctype="multipart/form-data"' in shown


def test_a_file_of_the_form_is_stored_for_the_user(folder: Path, make_client: MakeClient) -> None:
    file = SimpleUploadedFile("products.csv", b"a\nb\n", content_type="text/csv")
    params = started(make_client(OPERATE).post(f"{LIST}start/", {**START, "params-file_file": file}))
    row = TaskFile.objects.get()
    assert (params, row.owner, row.name, row.size) == ({"file": str(row.pk)}, "olga", "products.csv", 4)


def test_the_id_of_an_uploaded_file_is_accepted(folder: Path, make_client: MakeClient) -> None:
    file_id = str(upload().row.pk)
    assert started(make_client(OPERATE).post(f"{LIST}start/", {**START, "params-file_id": file_id})) == {
        "file": file_id
    }


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"params-file_id": "x"},
        {"params-file_id": "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"},
        {"params-file_file": SimpleUploadedFile(" a.csv", b"a")},
        {"params-file_file": SimpleUploadedFile("a.csv", b"a"), "params-others": "not JSON"},
    ],
)
def test_a_wrong_file_is_reported_and_nothing_is_stored(folder: Path, make_client: MakeClient, fields: Any) -> None:
    answer = make_client(OPERATE).post(f"{LIST}start/", {**START, **fields})
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert list_stored(folder) == []


def test_a_name_loses_its_control_characters(folder: Path, make_client: MakeClient) -> None:
    started(
        make_client(OPERATE).post(f"{LIST}start/", {**START, "params-file_file": SimpleUploadedFile("a\u202eb", b"")})
    )
    assert TaskFile.objects.get().name == "ab"


def test_a_full_storage_is_reported(folder: Path, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "get_storage", lambda: BrokenStorage(OSError(28, "No space left on device")))
    file = SimpleUploadedFile("a.csv", b"a")
    answer = make_client(OPERATE).post(f"{LIST}start/", {**START, "params-file_file": file})
    assert "no space left" in answer.content.decode()
