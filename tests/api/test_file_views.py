"""The endpoints of files: what they answer to owners, to others, and to odd requests."""

import errno
import hashlib
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from tasks_app.files import links, store
from tests.api.conftest import assert_problem, wrong_fields
from tests.support.stored_files import BrokenStorage, folder, list_stored

__all__ = ["folder"]
pytestmark = pytest.mark.django_db(transaction=True)
CONTENT = b"sku,name\nA-1,Lamp\n"


def send(client: Client, content: bytes = CONTENT, *, query: str = "?name=a.csv", **headers: str) -> Any:
    content_type = headers.pop("content_type", "text/csv")
    return client.generic("POST", f"/files{query}", content, content_type=content_type, headers=headers)


def read(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_a_file_comes_back_as_it_was_sent(folder: Path, client: Client) -> None:
    answer = send(client)
    assert answer.status_code == 201
    file = answer.json()
    assert answer["Location"] == f"/files/{file['id']}"
    assert (file["name"], file["size"], file["contentType"]) == ("a.csv", len(CONTENT), "text/csv")
    assert file["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert client.get(f"/files/{file['id']}").json() == file
    content = client.get(f"/files/{file['id']}/content")
    assert (content.status_code, read(content), content["Content-Type"]) == (200, CONTENT, "text/csv")
    assert content["Content-Disposition"] == 'attachment; filename="a.csv"'
    assert content["ETag"] == f'"{file["sha256"]}"'
    assert client.delete(f"/files/{file['id']}").status_code == 204
    assert_problem(client.get(f"/files/{file['id']}"), 404)
    assert list_stored(folder) == []


@pytest.mark.parametrize(
    ("query", "disposition", "name"),
    [
        ("?name=" + quote("ñ 日.csv"), "", "ñ 日.csv"),
        ("", 'attachment; filename="b c.csv"', "b c.csv"),
        ("", "attachment; filename*=UTF-8''%C3%B1.csv", "ñ.csv"),
        ("?name=a.csv", 'attachment; filename="b.csv"', "a.csv"),
    ],
)
def test_names_come_from_query_or_header(folder: Path, client: Client, query: str, disposition: str, name: str) -> None:
    headers = {"Content-Disposition": disposition} if disposition else {}
    answer = send(client, query=query, **headers)
    assert (answer.status_code, answer.json().get("name")) == (201, name), answer.content


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?name=",
        "?name=../x",
        "?name=a%00b",
        "?name=a%0d%0aSet-Cookie:x",
        "?name=" + "x" * 256,
        "?other=1",
        "?name=a&name=b",
    ],
)
def test_other_names_are_refused_and_nothing_is_stored(folder: Path, client: Client, query: str) -> None:
    assert wrong_fields(assert_problem(send(client, query=query), 400)) <= {"name", "other"}
    assert list_stored(folder) == []


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/plain", "TEXT/PLAIN; x=y"],
)
def test_forms_are_refused(folder: Path, client: Client, content_type: str) -> None:
    assert "application/octet-stream" in assert_problem(send(client, content_type=content_type), 415)["detail"]


def test_a_larger_file_than_the_limit_is_refused(folder: Path, client: Client, settings: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, file_bytes=10)
    assert send(client, b"x" * 10).status_code == 201
    assert "FILE_BYTES" in assert_problem(send(client, b"x" * 11), 413)["detail"]


@pytest.mark.parametrize("name", ["a.html", 'a"b;c=.csv', "ñ 日.csv", "a'%0A.csv"])
def test_a_browser_stores_a_page_and_does_not_show_it(folder: Path, client: Client, name: str) -> None:
    page = b"<script>alert(1)</script>"
    file = send(client, page, query=f"?name={quote(name)}", content_type="text/html").json()
    link, _ = links.make_link(uuid.UUID(file["id"]))
    for address in (f"/files/{file['id']}/content", f"/downloads/{link}"):
        answer = client.get(address)
        assert read(answer) == page
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Disposition"].startswith("attachment; filename")
        assert "\n" not in answer["Content-Disposition"]


def test_an_odd_content_type_is_not_sent_back(folder: Path, client: Client) -> None:
    file = send(client, content_type="text/html, x: y").json()
    assert file["contentType"] == "application/octet-stream"
    answer = client.get(f"/files/{file['id']}/content")
    assert (answer["Content-Type"], read(answer)) == ("application/octet-stream", CONTENT)


def test_an_empty_file_is_a_file(folder: Path, client: Client) -> None:
    file = send(client, b"", **{"Content-Type": "text/csv"}).json()  # Django's client sends no type without a body
    assert file["size"] == 0
    assert read(client.get(f"/files/{file['id']}/content")) == b""
    answer = client.get(f"/files/{file['id']}/content", headers={"Range": "bytes=0-"})
    assert (answer.status_code, answer["Content-Range"]) == (416, "bytes */0")


@pytest.mark.parametrize(
    ("header", "status", "content", "range_"),
    [
        ("bytes=0-2", 206, b"sku", f"bytes 0-2/{len(CONTENT)}"),
        ("bytes=-5", 206, CONTENT[-5:], f"bytes 13-17/{len(CONTENT)}"),
        ("bytes=4-", 206, CONTENT[4:], f"bytes 4-17/{len(CONTENT)}"),
        ("bytes=17-17", 206, CONTENT[17:], f"bytes 17-17/{len(CONTENT)}"),
        ("bytes=17-99", 206, CONTENT[17:], f"bytes 17-17/{len(CONTENT)}"),
        ("bytes=-99", 206, CONTENT, f"bytes 0-17/{len(CONTENT)}"),
        ("bytes=18-", 416, b"", f"bytes */{len(CONTENT)}"),
        ("bytes=-0", 416, b"", f"bytes */{len(CONTENT)}"),
        ("bytes=3-2", 200, CONTENT, None),
        ("bytes=-", 200, CONTENT, None),
        ("bytes=1e1-", 200, CONTENT, None),
        ("bytes=1-2,4-5", 200, CONTENT, None),
        ("x", 200, CONTENT, None),
    ],
)
def test_ranges(folder: Path, client: Client, header: str, status: int, content: bytes, range_: str | None) -> None:
    address = f"/files/{send(client).json()['id']}/content"
    answer = client.get(address, headers={"Range": header})
    assert (answer.status_code, answer.get("Content-Range")) == (status, range_)
    assert answer["Accept-Ranges"] == "bytes"
    if status == 416:
        assert f"{len(CONTENT)} bytes" in assert_problem(answer, 416)["detail"]
    else:
        assert (read(answer), answer["Content-Length"]) == (content, str(len(content)))
    head = client.head(address, headers={"Range": header})
    assert (head.status_code, head.content, head["Content-Length"]) == (200, b"", str(len(CONTENT)))
    assert "Content-Range" not in head


def test_conditional_requests(folder: Path, client: Client) -> None:
    address = f"/files/{send(client).json()['id']}/content"
    etag = client.head(address)["ETag"]
    assert client.get(address, headers={"If-None-Match": f'"x", W/{etag}'}).status_code == 304
    for tag, status, content in (
        (etag, 206, b"s"),
        ('"other"', 200, CONTENT),
        ("Sat, 31 Jan 2026 12:00:00 GMT", 200, CONTENT),
    ):
        answer = client.get(address, headers={"Range": "bytes=0-0", "If-Range": tag})
        assert (answer.status_code, read(answer)) == (status, content)


def test_others_get_404_and_readers_cannot_upload(
    folder: Path, closed_api: None, client_of: Any, client: Client
) -> None:
    ann, bob, reader = client_of("ann"), client_of("bob"), client_of("ann", "read")
    file_id = send(ann).json()["id"]
    for path in (f"/files/{file_id}", f"/files/{file_id}/content"):
        for caller in (ann, reader, client_of("boss", "admin")):
            answer = caller.get(path)
            assert (answer.status_code, bool(read(answer))) == (200, True)
        unknown = bob.get(path.replace(file_id, str(uuid.uuid4())))
        assert assert_problem(bob.get(path), 404)["type"] == assert_problem(unknown, 404)["type"]
        assert_problem(client.get(path), 401)
    assert_problem(bob.delete(f"/files/{file_id}"), 404)
    assert_problem(reader.delete(f"/files/{file_id}"), 403)
    assert_problem(send(reader), 403)
    assert_problem(send(client), 401)
    assert len(list_stored(folder)) == 1


def test_a_link_needs_no_token(
    folder: Path, closed_api: None, client_of: Any, client: Client, monkeypatch: Any
) -> None:
    file_id = send(client_of("ann")).json()["id"]
    link, expires = links.make_link(uuid.UUID(file_id))
    answer = client.get(f"/downloads/{link}", headers={"Range": "bytes=0-2", "Accept": "text/html"})
    assert (answer.status_code, read(answer)) == (206, b"sku")
    assert_problem(client.get("/downloads/x"), 404)
    assert_problem(client.get(f"/downloads/{links.make_link(uuid.uuid4())[0]}"), 404)
    monkeypatch.setattr(links.time, "time", lambda: expires + 1)
    problem = assert_problem(client.get(f"/downloads/{link}"), 410)
    assert problem["type"] == "urn:longtasks:problem:link-expired"


@pytest.mark.parametrize(
    ("error", "status", "kind"), [(errno.ENOSPC, 507, "files-full"), (errno.EIO, 503, "files-unavailable")]
)
def test_a_storage_that_fails(
    folder: Path, client: Client, monkeypatch: pytest.MonkeyPatch, error: int, status: int, kind: str
) -> None:
    monkeypatch.setattr(store, "get_storage", lambda: BrokenStorage(OSError(error, "secret path")))
    answer = send(client)
    problem = assert_problem(answer, status)
    assert problem["type"] == f"urn:longtasks:problem:{kind}"
    assert "secret path" not in problem["detail"]
    assert ("Retry-After" in answer) == (status == 503)


def test_a_file_whose_bytes_are_gone_is_a_problem_of_the_service(folder: Path, client: Client) -> None:
    file_id = send(client).json()["id"]
    for key in list_stored(folder):
        (folder / key).unlink()
    assert_problem(client.get(f"/files/{file_id}/content"), 503)
