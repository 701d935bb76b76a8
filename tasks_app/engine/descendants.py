"""The child processes of a worker: finds and ends those that a task has left behind.

Owns every signal that a worker sends, and the handling of forked copies of a worker. Only children of this process are
signalled: their process ids stay theirs until they are reaped here. A daemonised grandchild becomes a child when its
parent ends (`adopt_orphans`). Linux only: elsewhere nothing is found.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.db import connections

PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
END_SECONDS: Final = 2.0  # until killed processes have ended
PAUSE_SECONDS: Final = 0.005
IS_LINUX: Final = sys.platform == "linux"


_inherited: Final[list[Any]] = []


@functools.cache
def detach_copies() -> None:
    """Detach database connections in every process that is forked from this one: they belong to the worker."""
    os.register_at_fork(after_in_child=_detach_connections)


def _detach_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _inherited.append(connection.connection)  # kept: its destructor would close the session at the server
            connection.connection = None
            connection.closed_in_transaction = connection.in_atomic_block  # a new one would commit at once


@contextlib.contextmanager
def ending_copies() -> Iterator[None]:
    """Exit at the end of the block if this process was forked inside it: a copy must not continue as the worker.

    It would share the worker's connections and commit its chunk. It exits at once, because a normal exit closes them.
    """
    own_pid = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != own_pid:
            os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, as init does for other processes."""
    if IS_LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def list_children() -> frozenset[int]:
    """Return the children of this process, including those that have ended and are not reaped."""
    if not _has_children():
        return frozenset()
    return _read_children("self")


def end_children(*, besides: frozenset[int]) -> tuple[list[int], list[int]]:
    """End all children except `besides`, with their descendants. Returns which were killed, and which are still alive.

    Children that had ended by themselves are reaped and are in neither list.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + END_SECONDS
    # Repeat until there are none: the children of a process that has just ended are now ours.
    while children := list_children() - besides:
        alive = {pid for pid in children if not _reap(pid)}
        if alive and time.monotonic() > deadline:
            return sorted(killed), sorted(alive)
        for pid in alive - killed:
            with contextlib.suppress(OSError):  # it runs as another user
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        if alive:
            time.sleep(PAUSE_SECONDS)
    return sorted(killed), []


def _has_children() -> bool:
    """Whether this process has children, by a call of one microsecond: most tasks have none."""
    if not IS_LINUX:
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _reap(pid: int) -> bool:
    """Reap a child if it has ended, and return whether it has. Its process id may then be reused."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _read_children(pid: str) -> frozenset[int]:
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # that thread has ended
            found.update(int(word) for word in path.read_text().split())
    return frozenset(found)
