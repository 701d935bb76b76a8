"""Owns child processes: starting one so that it cannot outlive us, stopping it, and finding its descendants.

It knows nothing of what the processes do. Three nets, because one is never enough: every child dies with its
parent (PR_SET_PDEATHSIG), leads its own process group, and carries a mark in its environment by which `marked_pids`
finds all its descendants, wherever they were re-parented to. Nothing without the mark is ever signalled.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MARK = "LONGTASKS_STACK_MARK"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
# The kernel sends the death signal when the *thread* that forked ends, so one thread that lives as long as we do forks.
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
    """Start a child in a group of its own that gets `death_signal` when this process ends, however it ends."""
    parent_pid = os.getpid()

    def die_with_parent() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent_pid:  # the parent ended before prctl: no signal will come any more
                os._exit(1)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 (a list of our own, no shell)
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
    """SIGTERM, then SIGKILL after `grace_seconds`; returns the exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)  # a paused process must be able to hear it
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=grace_seconds)
        process.kill()
    return process.wait()


def marked_pids(*, mark: str, also: Mapping[str, str] | None = None) -> list[int]:
    """The living processes that carry `mark` (and the variables `also`) in the environment they were started with."""
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
class Living:
    """A process that was seen alive: its pid alone may come to mean another one."""

    pid: int
    began: str  # in the kernel's ticks since boot

    def is_alive(self) -> bool:
        """Tell whether this very process still runs."""
        stat = _read_stat(self.pid)
        return stat is not None and stat[0] != "Z" and stat[19] == self.began


def list_descendants(*, pid: int, argument: str) -> list[Living]:
    """The living descendants of a process that have `argument` on their command line. Linux only: else none."""
    children: dict[int, list[Living]] = {}
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit() and (stat := _read_stat(int(entry.name))) is not None:
            children.setdefault(int(stat[1]), []).append(Living(int(entry.name), stat[19]))
    found, parents = [], [pid]
    while parents:
        for child in children.get(parents.pop(), ()):
            parents.append(child.pid)
            with contextlib.suppress(OSError):
                if argument.encode() in Path(f"/proc/{child.pid}/cmdline").read_bytes().split(b"\0"):
                    found.append(child)
    return found


def _read_stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on: [0] state, [1] parent, [19] when it began."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def signal_pids(*, pids: Iterable[int], signal_number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)


def kill_marked(*, mark: str, deadline_seconds: float = 5) -> None:
    """Kill whatever still carries `mark`, and wait until it is gone."""

    def gone() -> bool:
        pids = marked_pids(mark=mark)
        signal_pids(pids=pids, signal_number=signal.SIGKILL)
        return not pids

    if not wait_until(gone, deadline_seconds=deadline_seconds):
        raise RuntimeError(f"processes {marked_pids(mark=mark)} survived SIGKILL for {deadline_seconds} s")


def wait_until(condition: Callable[[], object], *, deadline_seconds: float, pause_seconds: float = 0.02) -> bool:
    """True as soon as `condition()` is, False after `deadline_seconds`."""
    deadline = time.monotonic() + deadline_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_seconds)
    return True
