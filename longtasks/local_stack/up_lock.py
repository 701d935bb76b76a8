"""The lock by which `manage.py reload` finds `make up`, which holds it on a file in DATA_DIR while it runs.

Owns which process may be signalled. The pid in the file is valid only while the lock is held: after a power cut another
program may have that pid. Must not know what the signal does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FILE_NAME: Final = "up.pid"
WRITE_SECONDS: Final = 1.0  # a holder on a busy machine may need this long to write its pid
NAMESPACE: Final = Path("/proc/self/ns/pid")


class LockError(Exception):
    """Another process holds the lock, or its holder cannot be signalled from here; the message is for the user."""


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Hold the lock of a data directory. Raises LockError if another process holds it.

    Children do not inherit the lock. The file remains afterwards; without the lock its content means nothing.
    """
    with open(os.open(directory / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockError(f"another `make up` runs on {directory}: stop it, or set another DATA_DIR") from None
        file.truncate()
        file.write(f"{os.getpid()} {_read_namespace()}\n")
        file.flush()
        yield


def find_holder(directory: Path) -> int | None:
    """Return the pid of the process that holds the lock, None if no process does.

    Raises LockError if the pid is missing or belongs to another pid namespace.
    """
    path = directory / FILE_NAME
    deadline = time.monotonic() + WRITE_SECONDS
    while True:
        if not _is_held(path):
            return None
        words = path.read_text(errors="replace").split(maxsplit=1)
        if words or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    if not words or not words[0].isdecimal():
        raise LockError(f"{path} is locked and names no process: signal `make up` by hand")
    if "".join(words[1:]).strip() != _read_namespace():
        raise LockError(f"{path} is held by a process of another container: run the command there")
    return int(words[0])


def signal_holder(directory: Path, number: signal.Signals) -> int | None:
    """Send a signal to the process that holds the lock; return its pid, None if no process holds it. Raises LockError."""
    pid = find_holder(directory)
    if pid is None:
        return None
    if not hasattr(os, "pidfd_open"):
        os.kill(pid, number)
        return pid
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        # The holder wrote its own pid. While it holds the lock, it lives, so no other process has that pid.
        if find_holder(directory) != pid:
            return None
        signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        return None
    finally:
        os.close(process)
    return pid


def _is_held(path: Path) -> bool:
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _read_namespace() -> str:
    """Return this process's pid namespace, in which its pid is valid; "" on systems without namespaces."""
    try:
        return os.readlink(NAMESPACE)
    except OSError:
        return ""
