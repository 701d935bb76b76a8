"""Child processes that cannot outlive this one: starting them, stopping them, and finding their descendants.

Owns three safeguards: every child dies with its parent (PR_SET_PDEATHSIG), leads its own process group, and carries a
mark in its environment, by which `marked_pids` finds all its descendants, even re-parented ones. Must not signal a
process without the mark, nor know what the processes do.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MARK = "LONGTASKS_STACK_MARK"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
# The kernel sends the death signal when the *thread* that forked ends, so all forks happen in one thread that never ends.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def spawn(
    *,
    command: Sequence[str],
    environment: Mapping[str, str],
    output: int | IO[bytes],
    directory: Path,
    death_signal: signal.Signals = signal.SIGTERM,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in its own process group. The kernel sends it `death_signal` when this process ends, even by SIGKILL."""
    parent_pid = os.getpid()

    def die_with_parent() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent_pid:  # the parent ended before prctl, so no signal will come
                os._exit(1)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 (our own list, no shell)
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            preexec_fn=die_with_parent,
        )

    return _spawner.submit(start).result()


def stop(*, process: subprocess.Popen[bytes], grace_seconds: float) -> int:
    """Send SIGTERM, then SIGKILL after `grace_seconds`; return the exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)  # a paused process handles SIGTERM only after SIGCONT
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=grace_seconds)
        process.kill()
    return process.wait()


def marked_pids(*, mark: str, also: Mapping[str, str] | None = None) -> list[int]:
    """Return the live processes that were started with `mark` (and the variables `also`) in their environment."""
    wanted = {f"{key}={value}".encode() for key, value in {MARK: mark, **(also or {})}.items()}
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if wanted <= set((entry / "environ").read_bytes().split(b"\0")):
                found.append(int(entry.name))
    return sorted(found)


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process by its pid and start time, because the kernel reuses pids."""

    pid: int
    start_ticks: str  # the kernel's ticks since boot

    def is_alive(self) -> bool:
        """Return whether this process still runs."""
        stat = _read_stat(self.pid)
        return stat is not None and stat[0] != "Z" and stat[19] == self.start_ticks


def list_descendants(*, pid: int, arguments: Collection[str]) -> list[ProcessIdentity]:
    """Return the live descendants of a process that have one of `arguments` on their command line; only Linux reports any."""
    children: dict[int, list[ProcessIdentity]] = {}
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit() and (stat := _read_stat(int(entry.name))) is not None:
            children.setdefault(int(stat[1]), []).append(ProcessIdentity(int(entry.name), stat[19]))
    found, parents = [], [pid]
    while parents:
        for child in children.get(parents.pop(), ()):
            parents.append(child.pid)
            with contextlib.suppress(OSError):
                given = Path(f"/proc/{child.pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                if not set(arguments).isdisjoint(given):
                    found.append(child)
    return found


def _read_stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on: [0] state, [1] parent, [19] start time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def signal_pids(*, pids: Iterable[int], signal_number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)


def kill_marked(*, mark: str, deadline_seconds: float = 5) -> None:
    """Send SIGKILL to all processes that carry `mark`, and wait until they have ended. Raises RuntimeError."""

    def have_ended() -> bool:
        pids = marked_pids(mark=mark)
        signal_pids(pids=pids, signal_number=signal.SIGKILL)
        return not pids

    if not wait_until(have_ended, deadline_seconds=deadline_seconds):
        raise RuntimeError(f"processes {marked_pids(mark=mark)} survived SIGKILL for {deadline_seconds} s")


def wait_until(condition: Callable[[], object], *, deadline_seconds: float, pause_seconds: float = 0.02) -> bool:
    """Return True as soon as `condition()` is true, False after `deadline_seconds`."""
    deadline = time.monotonic() + deadline_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_seconds)
    return True
