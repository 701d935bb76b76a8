"""A storage without a folder behind it: uploads, tasks, exports, downloads and the sweep use Django's interface alone."""

import io
import uuid
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.test import Client

import tests.support.export_types  # noqa: F401 (registers them)
from tasks_app.files.open_file import open_file
from tasks_app.files.removal import remove_expired
from tasks_app.files.storage import get_storage
from tasks_app.models import TaskFile
from tests.support.engine import Worker, checkpoint
from tests.support.stored_files import upload
from tests.task_types.exports.test_export import begin, make_users

pytestmark = pytest.mark.django_db(transaction=True)


class ObjectStorage(Storage):
    """Objects by key, as a service has them: no paths, no append, and it may store one under another key."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def _save(self, name: str, content: Any) -> str:
        with io.BytesIO() as taken:
            for piece in content.chunks():
                taken.write(piece)
            self.objects[f"prefix/{name}"] = taken.getvalue()
        content.close()  # as the client of S3 does
        return f"prefix/{name}"

    def _open(self, name: str, mode: str = "rb") -> Any:
        if name not in self.objects:
            raise FileNotFoundError(name)
        return ContentFile(self.objects[name], name=name)

    def exists(self, name: str) -> bool:
        return name in self.objects

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)


@pytest.fixture(params=["tests.files.test_other_storages.ObjectStorage", "django.core.files.storage.InMemoryStorage"])
def other(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Generator[Storage, None, None]:
    settings.FILE_DIR = tmp_path
    settings.STORAGES = {**settings.STORAGES, "longtasks": {"BACKEND": request.param}}
    yield get_storage()
    vars(storages).pop("backends", None)


def test_an_upload_is_read_by_a_task_and_by_its_owner(other: Storage, client: Client) -> None:
    row = upload(b"line 1\nline 2\n", owner="").row
    assert other.exists(row.storage_key)
    with open_file(row.pk) as file:
        assert (file.readline(), file.tell()) == (b"line 1\n", 7)
        file.seek(5)
        assert file.read() == b"1\nline 2\n"
    answer = client.get(f"/files/{row.pk}/content", headers={"Range": "bytes=7-12"})
    assert (answer.status_code, b"".join(answer.streaming_content)) == (206, b"line 2")
    other.delete(row.storage_key)
    assert client.get(f"/files/{row.pk}/content").status_code == 503


def test_an_export_leaves_one_object(other: Storage, client: Client) -> None:
    make_users(10)
    task_id = begin("export_users")
    Worker().run()
    assert checkpoint(task_id).outcome == "finished", checkpoint(task_id).error
    [artifact] = client.get(f"/tasks/{task_id}").json()["artifacts"]
    assert b"".join(client.get(artifact["url"]).streaming_content).count(b"\r\n") == 11
    parts = list(TaskFile.objects.filter(task_id=uuid.UUID(task_id), kind=TaskFile.Kind.PART))
    assert len(parts) >= 4
    assert sum(remove_expired(now=datetime.now(UTC) + timedelta(minutes=1))) == len(parts)
    assert not any(other.exists(part.storage_key) for part in parts)
