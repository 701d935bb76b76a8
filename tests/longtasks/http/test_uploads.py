"""Uploads and downloads through a real web process: bounded memory, odd clients, and a full disk."""

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadtests.started.stack import ProcfileStack
from tests.conftest import MakeStack

PIECE = bytes(range(256)) * 4096  # 1 MiB
LIMIT = 210_000_000
TO = b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"


@pytest.fixture(scope="module")
def web(servers: Any) -> Generator[ProcfileStack, None, None]:
    database, redis_server = servers
    made = ProcfileStack(
        database=database,
        redis_server=redis_server,
        roles=("web",),
        environment={"WEB_WORKERS": "1", "FILE_BYTES": str(LIMIT)},
    )
    try:
        made.start()
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def connect(web: ProcfileStack) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def raw(web: ProcfileStack, *parts: bytes) -> socket.socket:
    """Return a new connection to web, on which these bytes were sent. To be closed."""
    sock = socket.create_connection(("127.0.0.1", web.port), timeout=60)
    for part in parts:
        sock.sendall(part)
    return sock


def upload(web: ProcfileStack, content: bytes) -> dict[str, Any]:
    answer = web.post("/files?name=a", content, headers={"Content-Type": "text/csv"})
    assert answer.status == 201, answer.body
    return answer.json  # type: ignore[no-any-return]


def memory(web: ProcfileStack) -> int:
    """Return the resident bytes of web's processes."""
    return sum(psutil.Process(pid).memory_info().rss for pid in web.pids("web"))


def has_spool(pid: int, files: Path) -> bool:
    """Return whether a process has a file without a name open in this directory."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(link).startswith(f"{files}/") and os.readlink(link).endswith("(deleted)"):
                return True
    return False


def stored(web: ProcfileStack) -> list[str]:
    return [str(path) for path in (web.directory / "files" / "stored").rglob("*") if path.is_file()]


def pieces(number: int) -> Iterator[bytes]:
    for _ in range(number):
        yield PIECE


@pytest.mark.parametrize("is_chunked", [False, True])
def test_200_mb_go_in_and_out_in_little_memory(web: ProcfileStack, is_chunked: bool) -> None:
    number = 200
    digest = hashlib.sha256(PIECE * number).hexdigest()
    before = memory(web)
    peak = before
    with connect(web) as connection:
        connection.putrequest("POST", "/files?name=large.bin")
        connection.putheader("Content-Type", "application/octet-stream")
        connection.putheader(
            *(("Transfer-Encoding", "chunked") if is_chunked else ("Content-Length", str(number * len(PIECE))))
        )
        connection.endheaders()
        for piece in pieces(number):
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            peak = max(peak, memory(web))
        if is_chunked:
            connection.send(b"0\r\n\r\n")
        answer = connection.getresponse()
        file = json.loads(answer.read())
        assert (answer.status, file["size"], file["sha256"]) == (201, number * len(PIECE), digest), file
        connection.request("GET", f"/files/{file['id']}/content")
        answer, received = connection.getresponse(), hashlib.sha256()
        while data := answer.read(len(PIECE)):
            received.update(data)
            peak = max(peak, memory(web))
        assert (answer.status, received.hexdigest()) == (200, digest)
        print(f"memory of web: {before / 1e6:.0f} MB before, {peak / 1e6:.0f} MB at most")
        assert peak - before < 40_000_000
        connection.request("DELETE", f"/files/{file['id']}")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 204


def test_uploads_at_the_same_time_do_not_mix(web: ProcfileStack) -> None:
    contents = [bytes([number]) * 3_000_000 for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        files = list(threads.map(lambda content: upload(web, content), contents))
    assert len({file["id"] for file in files}) == 8
    for content, file in zip(contents, files, strict=True):
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert web.get(f"/files/{file['id']}/content").body == content


def test_head_has_no_body_and_the_connection_is_kept(web: ProcfileStack) -> None:
    file_id = upload(web, b"abc")["id"]
    with connect(web) as connection:
        for method, content in (("HEAD", b""), ("GET", b"abc"), ("HEAD", b"")):
            connection.request(
                method, f"/files/{file_id}/content", headers={"Range": "bytes=9-"} if not content else {}
            )
            answer = connection.getresponse()
            assert (answer.status, answer.read(), answer.headers["Content-Length"]) == (200, content, "3")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_file_that_is_cut_while_it_is_sent_ends_the_connection(web: ProcfileStack) -> None:
    file_id = upload(web, PIECE * 60)["id"]
    [path] = [path for path in stored(web) if file_id in path]
    with connect(web) as connection:
        connection.request("GET", f"/files/{file_id}/content")
        answer = connection.getresponse()
        assert len(answer.read(10)) == 10
        os.truncate(path, len(PIECE))
        with pytest.raises(http.client.IncompleteRead):  # and not the next response as the rest of this one
            answer.read()
    Path(path).unlink()


def test_a_broken_upload_leaves_nothing(web: ProcfileStack) -> None:
    before = stored(web)
    for head in (b"Content-Length: 10000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n989680\r\n"):
        with raw(web, b"POST /files?name=a" + TO + head, PIECE * 3):
            pass
    web.wait_for(
        lambda: web.sql("SELECT COUNT(*) FROM tasks_app_taskfile WHERE is_complete = 0") == [(0,)],
        deadline_seconds=20,
        what="no row",
    )
    assert stored(web) == before
    assert not [path for path in (web.directory / "files").iterdir() if path.name != "stored"]
    assert web.get("/health/live").status == 200


def test_an_upload_leaves_nothing_if_web_is_killed(make_stack: MakeStack) -> None:
    stack = make_stack(roles=("web",), environment={"WEB_WORKERS": "1"})
    head = b"POST /files?name=a" + TO + b"Content-Length: 10000000\r\n\r\n"
    with raw(stack, head, PIECE * 3):
        [pid] = stack.child_pids("web")
        files = stack.directory / "files"
        stack.wait_for(lambda: has_spool(pid, files), deadline_seconds=20, what="the spool is open")
        os.kill(pid, signal.SIGKILL)
        stack.wait_for(lambda: not psutil.pid_exists(pid), deadline_seconds=20, what="the process has ended")
    assert [path for path in files.rglob("*") if path.is_file()] == []
    assert stack.sql("SELECT COUNT(*) FROM tasks_app_taskfile") == [(0,)]


def test_a_chunked_body_over_the_limit_is_refused_while_it_arrives(web: ProcfileStack) -> None:
    with raw(web, b"POST /files?name=a" + TO + b"Transfer-Encoding: chunked\r\n\r\n") as sock:
        with contextlib.suppress(OSError):  # refused before its end
            for piece in pieces(LIMIT // len(PIECE) + 5):
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert b" 413 " in sock.recv(4096)


def test_an_announced_body_over_the_limit_is_refused_before_it_is_sent(web: ProcfileStack) -> None:
    head = b"POST /files?name=a" + TO + b"Content-Length: %d\r\n\r\n" % (LIMIT + 1)
    with raw(web, head) as sock:
        assert b" 413 " in sock.recv(4096)


def test_slow_uploads_do_not_hold_other_requests(web: ProcfileStack) -> None:
    head = b"POST /files?name=slow" + TO + b"Content-Length: 1000000\r\n\r\n"
    slow = [raw(web, head, b"a" * 1000) for _ in range(32)]
    web.wait_for(
        lambda: web.post("/files?name=a", b"a", headers={"Content-Type": "text/csv"}).status == 503,
        deadline_seconds=20,
        what="all places taken",
    )
    for _ in range(20):
        began = time.monotonic()
        assert web.get("/tasks").status == 200
        assert time.monotonic() - began < 2
    for sock in slow:
        sock.close()
    web.wait_for(
        lambda: web.post("/files?name=a", b"a", headers={"Content-Type": "text/csv"}).status == 201,
        deadline_seconds=20,
        what="places",
    )


def test_a_wrong_name_is_answered_before_the_body(web: ProcfileStack) -> None:
    head = b"POST /files?name=../a" + TO + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    with raw(web, head) as sock:
        answer = sock.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"100 Continue" not in answer


def test_a_reader_that_leaves_does_not_keep_the_file_open(web: ProcfileStack) -> None:
    file_id = upload(web, PIECE * 50)["id"]
    [pid] = web.child_pids("web")

    def open_files() -> list[Any]:
        return [each for each in psutil.Process(pid).open_files() if "/files/" in each.path]

    with raw(web, f"GET /files/{file_id}/content HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) as sock:
        sock.recv(1000)
        web.wait_for(open_files, deadline_seconds=20, what="it is open")
    web.wait_for(lambda: not open_files(), deadline_seconds=20, what="it is closed")


def test_a_full_disk_is_507_and_says_what_to_do(make_stack: MakeStack) -> None:
    options = {"FILE_STORAGE": "tests.support.full_storage.FullStorage", "WEB_WORKERS": "1"}
    stack = make_stack(roles=("web",), environment=options)
    answer = stack.post("/files?name=a", PIECE, headers={"Content-Type": "text/csv"})
    assert (answer.status, answer.json["type"]) == (507, "urn:longtasks:problem:files-full")
    assert "Delete files" in answer.json["detail"]
    assert stack.sql("SELECT COUNT(*) FROM tasks_app_taskfile") == [(0,)]
