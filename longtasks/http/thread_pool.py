"""Threads for the work of web that would block its event loop.

Owns: how many calls run, how many wait for a thread, and that no call leaves a broken connection to the database behind.
Must not: know a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.db import close_old_connections

Result = TypeVar("Result")


class PoolFull(Exception):
    """All threads are busy, and as many calls as may wait do."""


class ThreadPool:
    """Threads with a bounded queue. Its methods belong to the event loop's thread."""

    def __init__(self, threads: int, *, waiting: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free_places = threads + waiting
        self._loop = asyncio.get_running_loop()

    def submit(self, function: Callable[[], Result]) -> asyncio.Future[Result]:
        """Return the future of a function's result in a thread. Raises PoolFull."""
        if self._free_places <= 0:
            raise PoolFull
        self._free_places -= 1
        future = self._executor.submit(_run, function)
        # Not the asyncio future's callback: where the request is given up, the thread still works on it.
        future.add_done_callback(self._on_done)
        return asyncio.wrap_future(future)

    def close(self) -> None:
        """Start no further call. Running calls finish."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _on_done(self, _: Future[Result]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._free_place)

    def _free_place(self) -> None:
        self._free_places += 1


def _run(function: Callable[[], Result]) -> Result:
    try:
        return function()
    finally:
        close_old_connections()
