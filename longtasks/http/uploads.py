"""The bodies of uploads: read as they arrive, with bounded memory, into a spool on the disk.

Owns: how many are read at once, and that neither a slow client nor a slow disk holds the event loop or a thread. Must
not: decide who may upload, nor store a file (tasks_app/api/file_views).
"""

from __future__ import annotations

import re
from typing import Final

from django.conf import settings

from longtasks.http.bounded_request import BoundedRequest
from longtasks.http.exchange import Environ, Receive
from longtasks.http.thread_pool import PoolFull, ThreadPool
from tasks_app.api.file_uploads import RECEIVED, Received
from tasks_app.api.file_views import check_upload
from tasks_app.errors import FilesUnavailable
from tasks_app.files.spool import Spool
from tasks_app.files.storage import mapped_storage_errors

PLACES: Final = 32  # uploads that a process reads at once
PIECE_BYTES: Final = 1024 * 1024  # are written to the disk at once
UPLOAD_HEAD: Final = re.compile(rb"POST (?:%b)?/files/?[? ]" % re.escape(settings.URL_PREFIX.encode()))
THREADS: Final = 4  # for checks and pieces, and as many for the storage


class ClientLeft(Exception):
    """The client has left, or was too slow, before the end of the body."""


class Uploads:
    """The uploads of one event loop. All methods belong to its thread."""

    def __init__(self) -> None:
        self.threads = ThreadPool(THREADS, waiting=10 * PLACES, name="files")
        # A storage may take minutes for a file, during which the pieces of others are still written.
        self.storing = ThreadPool(THREADS, waiting=PLACES, name="storing")
        self._free_places = PLACES

    def close(self) -> None:
        self.threads.close()
        self.storing.close()

    async def receive(self, environ: Environ, receive: Receive) -> Spool | None:
        """Read the body of an upload; the view finds it, or the error that ended it, in the environ.

        Returns the spool, to be closed after the view. Raises ClientLeft and PoolFull.
        """
        if self._free_places <= 0:
            raise PoolFull
        self._free_places -= 1
        try:
            return await self._receive(environ, receive)
        finally:
            self._free_places += 1

    async def _receive(self, environ: Environ, receive: Receive) -> Spool | None:
        environ[RECEIVED] = received = await self.threads.submit(lambda: _begin(environ))
        if isinstance(received, Exception):
            return None
        spool = received.spool
        try:
            error = await self._read_body(spool, receive)
        except BaseException:
            self.drop(spool)
            raise
        if error is not None:
            self.drop(spool)
            environ[RECEIVED] = error
            return None
        return spool

    def drop(self, spool: Spool) -> None:
        """Remove a spool, in a thread: to free many blocks of a disk takes time."""
        try:
            self.threads.submit(spool.close)
        except PoolFull:
            spool.close()

    async def _read_body(self, spool: Spool, receive: Receive) -> Exception | None:
        """Write the body to the spool. Returns the error of the disk; raises ClientLeft."""
        more = True
        while more:
            pieces: list[bytes] = []
            size = 0
            while more and size < PIECE_BYTES:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientLeft
                pieces.append(message["body"])
                size += len(message["body"])
                more = bool(message.get("more_body"))
            try:
                await self.threads.submit(lambda: _write(spool, pieces))  # noqa: B023 (awaited at once)
            except PoolFull:
                return FilesUnavailable("Too many uploads at once.")
            except Exception as error:
                return error
        return None


def find_streamed_bytes(head: bytes) -> int:
    """Return how many bytes of a request's body are read as they arrive; 0 for a request that is no upload."""
    return settings.LONGTASKS.file_bytes if UPLOAD_HEAD.match(head) else 0


def _begin(environ: Environ) -> Received | Exception:
    """Return the caller and an empty spool, or the error with which the view is to answer."""
    try:
        caller = check_upload(BoundedRequest(dict(environ)))
        with mapped_storage_errors():
            return Received(caller, Spool(limit_bytes=settings.LONGTASKS.file_bytes))
    except Exception as error:
        return error


def _write(spool: Spool, pieces: list[bytes]) -> None:
    with mapped_storage_errors():
        for piece in pieces:
            spool.write(piece)
