"""The child processes of this process: finding those that a task has left behind, and ending them.

Owns every signal that a worker sends, and what becomes of forked copies of a worker. Only this process's own children
are signalled, which keep their process id until they are reaped here; a daemonised grandchild becomes a child when
its parent ends (`adopt_orphans`). Linux only: elsewhere nothing is found.
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
END_SECONDS: Final = 2.0  # for what was killed to be gone
PAUSE_SECONDS: Final = 0.005
IS_LINUX: Final = sys.platform == "linux"


_inherited: Final[list[Any]] = []


@functools.cache
def detach_copies() -> None:
    """Take its database connections away from every process that is forked from this one: they are the worker's."""
    os.register_at_fork(after_in_child=_detach_connections)


def _detach_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _inherited.append(connection.connection)  # once it is garbage it says good-bye to the server
            connection.connection = None
            connection.closed_in_transaction = connection.in_atomic_block  # no other one: it would commit at once


@contextlib.contextmanager
def ending_copies() -> Iterator[None]:
    """End, on the way out, a process that was forked in this block: a copy of the worker must not go on as the worker.

    It would share the worker's connections, and commit its chunk. At once, since taking it apart would close them.
    """
    own_pid = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != own_pid:
            os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, as init is for others."""
    if IS_LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def list_children() -> frozenset[int]:
    """Return the children of this process, ended ones that nobody has reaped among them."""
    if not _has_children():
        return frozenset()
    return _read_children("self")


def end_children(*, besides: frozenset[int]) -> tuple[list[int], list[int]]:
    """End all children but `besides`, with their descendants. Returns which were killed, and which live on.

    Children that had ended by themselves are reaped, and are in neither list.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + END_SECONDS
    # Until there are none: the children of one that has just ended are ours from then on.
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
    """Ask the kernel, which costs a microsecond: most tasks have none."""
    if not IS_LINUX:
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _reap(pid: int) -> bool:
    """Tell whether a child has ended; its process id may belong to another process from now on."""
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
