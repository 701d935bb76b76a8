"""Removes what a task leaves behind in its worker's process, so that it does not affect the next task.

Owns the comparison of the process before and after a task: settings, child processes, threads, connections. Whatever
cannot be reset (a thread that still runs) makes the worker end after this task. Must not know tasks.

    state = ProcessState()
    …                                 # one task, or one batch
    leftovers = state.restore()       # never raises
    if leftovers.must_retire: …       # release everything and end with RETIRED_CODE; the parent starts a new worker
"""

from __future__ import annotations

import logging
import os
import site
import sysconfig
import threading
import time
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from django.core.cache import caches
from django.db import DEFAULT_DB_ALIAS, connections

from tasks_app.engine import descendants
from tasks_app.engine.process_settings import SETTINGS
from tasks_app.engine.python_internals import POOL_ITEM, POOL_LOOP, forget_event_loop, get_current_frames

logger = logging.getLogger(__name__)

RETIRED_CODE: Final = 75  # EX_TEMPFAIL of sysexits.h: this worker cannot continue, a new one can
THREAD_END_SECONDS: Final = 0.1  # for threads that are about to end
IDLE_THREADS: Final = 50  # of pools and libraries: more are a leak
WORDS: Final = 300  # of each thing found, in the log


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What a task left behind, in words, and whether the process must end because of it."""

    found: tuple[str, ...] = ()
    must_retire: bool = False


class ProcessState:
    """The state of this process when it was created; `restore` returns to it. For the thread that runs tasks."""

    def __init__(self) -> None:
        self._values = [setting.read() for setting in SETTINGS]
        self._children = descendants.list_children()
        self._threads = set(get_current_frames())
        self._connections = {
            connection.alias: (
                len(connection.execute_wrappers),
                connection.force_debug_cursor,
                _is_in_transaction(connection),
            )
            for connection in connections.all(initialized_only=True)
            if connection.connection is not None
        }
        self._found: list[str] = []
        self._must_retire = False

    def restore(self) -> Leftovers:
        """Reset whatever has changed since; one warning in the log names it. Never raises."""
        self._found, self._must_retire = [], False
        for step in (self._restore_settings, self._end_children, self._check_threads, self._close_connections):
            try:
                step()
            except BaseException as error:  # a signal handler of the task may raise anything
                self._cannot_reset(step.__name__.strip("_").replace("_", " "), error)
        leftovers = Leftovers(tuple(self._found), self._must_retire)
        if leftovers.found:
            ending = "; the worker ends, and a new one starts" if leftovers.must_retire else ""
            logger.warning("reset what a task has left behind: %s%s", "; ".join(leftovers.found), ending)
        return leftovers

    def _restore_settings(self) -> None:
        forget_event_loop()
        for setting, before in zip(SETTINGS, self._values, strict=True):
            try:
                if setting.read() == before:
                    continue
                setting.write(before)
                if setting.read() != before:
                    raise ValueError("the value was not kept")
            except BaseException as error:
                self._cannot_reset(setting.name, error)
            else:
                self._found.append(setting.name)
        forget_event_loop()

    def _end_children(self) -> None:
        killed, alive = descendants.end_children(besides=self._children)
        if killed:
            self._found.append(f"child processes, killed now: {killed}"[:WORDS])
        if alive:
            self._cannot_reset(f"child processes {alive}"[:WORDS], "SIGKILL does not end them")

    def _check_threads(self) -> None:
        deadline = time.monotonic() + THREAD_END_SECONDS
        while threads := get_current_frames().keys() - self._threads:
            busy = _name_busy(threads)
            if not busy and len(threads) <= IDLE_THREADS:
                return
            if time.monotonic() > deadline:
                names = ", ".join(busy) or f"{len(threads)} idle ones"
                self._cannot_reset(f"threads that still run: {names}"[:WORDS], "a thread cannot be ended from outside")
                return
            time.sleep(0.002)

    def _close_connections(self) -> None:
        for connection in connections.all(initialized_only=True):
            if connection.connection is None:
                continue
            wrappers, debug, in_transaction = self._connections.get(connection.alias, (0, False, False))
            if len(connection.execute_wrappers) > wrappers:
                del connection.execute_wrappers[wrappers:]
                self._found.append(f"execute wrappers of database {connection.alias!r}")
            if connection.force_debug_cursor != debug:
                connection.force_debug_cursor = debug
                connection.queries_log.clear()
                self._found.append(f"debug cursor of database {connection.alias!r}")
            was_open = connection.alias in self._connections or connection.alias == DEFAULT_DB_ALIAS
            if not in_transaction and _is_in_transaction(connection):
                self._found.append(f"an open transaction of database {connection.alias!r}, rolled back")
            elif was_open:
                continue
            connection.in_atomic_block = False  # otherwise it would be kept until the end of a block that has no end
            connection.close()
        caches.close_all()

    def _cannot_reset(self, what: str, why: object) -> None:
        self._found.append(f"{what} (cannot be reset: {why})"[: 2 * WORDS])
        self._must_retire = True


def _is_in_transaction(connection: Any) -> bool:
    return bool(connection.in_atomic_block or not connection.autocommit)


def _name_busy(threads: set[int]) -> list[str]:
    """Name those of the threads that the task is responsible for.

    Left out are idle threads of a pool, and daemon threads of a library (an exporter, a driver): many libraries start
    one at their first use.
    """
    frames = get_current_frames()
    known = {thread.ident: thread for thread in threading.enumerate()}
    names = []
    for ident in sorted(threads & frames.keys()):
        stack = _stack(frames[ident])
        thread = known.get(ident)
        if any(frame.f_code is POOL_LOOP for frame in stack):
            is_busy = any(frame.f_code is POOL_ITEM for frame in stack)
        else:
            is_busy = not (thread and thread.daemon) or not all(_is_of_library(frame) for frame in stack)
        if is_busy:
            names.append(
                f"{thread.name if thread else 'without a name'}{' (daemon)' if thread and thread.daemon else ''}"
            )
    return names


def _stack(frame: FrameType | None) -> list[FrameType]:
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _is_of_library(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_LIBRARIES)


_LIBRARIES: Final = (
    "<frozen",
    *(
        os.path.join(path, "")
        for path in {*(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")), *site.getsitepackages()}
    ),
)
