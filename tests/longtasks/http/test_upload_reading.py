"""longtasks/http/uploads.py in one event loop: what ends the reading of a body, and that no spool stays open."""

import asyncio
import errno
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from longtasks.http import uploads
from longtasks.http.thread_pool import PoolFull
from longtasks.http.uploads import PLACES, ClientLeft, Uploads
from tasks_app.api.file_uploads import RECEIVED
from tasks_app.domain.callers import WRITE, Caller
from tasks_app.errors import FilesFull, FilesUnavailable, FileTooLarge
from tasks_app.files.spool import Spool

Message = dict[str, Any]


@pytest.fixture
def spools(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Generator[list[Spool], None, None]:
    """The spools that were made."""
    settings.FILE_DIR = tmp_path
    made: list[Spool] = []

    def make(**options: Any) -> Spool:
        made.append(Spool(**options))
        return made[-1]

    monkeypatch.setattr(uploads, "Spool", make)
    monkeypatch.setattr(uploads, "BoundedRequest", lambda environ: environ)
    monkeypatch.setattr(uploads, "check_upload", lambda request: Caller(owner="ann", scope=WRITE))
    yield made
    for spool in made:
        spool.close()


def body(*pieces: bytes, is_whole: bool = True) -> Callable[[], Any]:
    """Return an ASGI `receive` of these pieces; the client leaves behind the last one if it is not whole."""
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b""} if is_whole else {"type": "http.disconnect"})

    async def receive() -> Message:
        await asyncio.sleep(0)
        return messages.pop(0)

    return receive


def read(spools: list[Spool], *receives: Callable[[], Any]) -> list[Any]:
    """Return what the readings of these bodies at the same time have left for the view, or raised.

    All spools that the view does not get must be closed.
    """

    async def run() -> list[Any]:
        reading = Uploads()
        environs: list[dict[str, Any]] = [{} for _ in receives]
        results = await asyncio.gather(
            *(reading.receive(environ, receive) for environ, receive in zip(environs, receives, strict=True)),
            return_exceptions=True,
        )
        async with asyncio.timeout(10):
            while not all(spool.file.closed for spool in spools if spool not in results):
                await asyncio.sleep(0.005)
        reading.close()
        return [
            result if isinstance(result, BaseException) else environ[RECEIVED]
            for result, environ in zip(results, environs, strict=True)
        ]

    return asyncio.run(run())


def test_a_whole_body_is_in_the_spool(spools: list[Spool]) -> None:
    [received] = read(spools, body(b"a" * 3_000_000, b"b"))
    assert (received.caller.owner, received.spool.size) == ("ann", 3_000_001)


def test_a_client_that_leaves_leaves_no_spool(spools: list[Spool]) -> None:
    [error] = read(spools, body(b"a" * 2_000_000, is_whole=False))
    assert isinstance(error, ClientLeft)
    assert len(spools) == 1


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.ENOSPC, FilesFull), (errno.EDQUOT, FilesFull), (errno.EIO, FilesUnavailable)]
)
def test_a_full_or_broken_disk_is_the_answer(
    spools: list[Spool], monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
) -> None:
    def fail(spool: Spool, data: bytes) -> int:
        raise OSError(number, "it fails")

    monkeypatch.setattr(Spool, "write", fail)
    [error] = read(spools, body(b"a" * 2_000_000))
    assert isinstance(error, expected)
    assert len(spools) == 1


def test_a_body_over_the_limit_is_the_answer(spools: list[Spool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "Spool", lambda **options: spools.append(Spool(limit_bytes=10)) or spools[-1])
    [error] = read(spools, body(b"a" * 11))
    assert isinstance(error, FileTooLarge)
    assert len(spools) == 1


def test_a_caller_who_may_not_upload_is_the_answer(spools: list[Spool], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: object) -> Caller:
        raise PermissionError("no")

    monkeypatch.setattr(uploads, "check_upload", refuse)
    [error] = read(spools, body(b"a"))
    assert isinstance(error, PermissionError)
    assert spools == []


def test_one_more_at_the_same_time_than_there_are_places_is_refused(spools: list[Spool]) -> None:
    results = read(spools, *(body(b"a" * 100) for _ in range(PLACES + 1)))
    assert [type(result) for result in results].count(PoolFull) == 1
    assert isinstance(results[-1], PoolFull)
    assert [result.spool.size for result in results[:-1]] == [100] * PLACES


def test_a_place_is_free_again_whatever_ended_its_upload(spools: list[Spool]) -> None:
    async def run() -> None:
        reading = Uploads()
        for _ in range(PLACES + 1):
            with pytest.raises(ClientLeft):
                await reading.receive({}, body(b"a", is_whole=False))
        assert await reading.receive({}, body(b"a")) is not None
        reading.close()

    asyncio.run(run())
