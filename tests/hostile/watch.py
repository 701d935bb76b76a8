"""Watches the processes of a stack: one that ends without being killed is a fault.

Owns the list of expected processes. Restarts ended ones, as a supervisor does, so that a run continues.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Generator
from pathlib import Path

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.child_process import wait_until
from tests.hostile.tally import Tally

LOOK_SECONDS = 0.4
LOG_LINES = 6
LOGGED_SECONDS = 1.0  # until the workers' parent has logged an end
RETIRED = "retired after a task"  # the parent's log line for a worker that retires because of a task's leftovers


class Watch:
    """A thread that checks every process of every role."""

    def __init__(self, stack: ProcfileStack, tally: Tally) -> None:
        self._stack, self._tally = stack, tally
        self._known: dict[int, str] = {}
        self._allowed: set[str] = set()
        self._end, self._lock = threading.Event(), threading.RLock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.ended: Counter[str] = Counter()  # by role, without having been killed
        self.expected: Counter[str] = Counter()
        self.retired = 0

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        self.look()
        self._end.set()
        self._thread.join(10)

    @contextlib.contextmanager
    def expecting(self, role: str) -> Generator[None, None, None]:
        """Within the block, processes of that role may end."""
        self.look()
        with self._lock:
            self._allowed.add(role)
        try:
            yield
        finally:
            self.look()
            with self._lock:
                self._allowed.discard(role)

    def look_for(self, seconds: float) -> None:
        """Check for so long; return early if a process has ended."""
        before = sum(self.ended.values())
        wait_until(
            lambda: self.look() or sum(self.ended.values()) > before, deadline_seconds=seconds, pause_seconds=0.2
        )

    def look(self) -> None:
        """Compare the living processes with those of a moment ago."""
        with self._lock:
            living = self._list_living()
            for pid, role in list(self._known.items()):
                if pid in living:
                    continue
                del self._known[pid]
                if role in self._allowed:
                    self.expected[role] += 1
                    continue
                if role == "worker" and self._has_retired():
                    self.retired += 1
                    continue
                self.ended[role] += 1
                tail = " / ".join(self._stack.log_tail(role, lines=LOG_LINES).splitlines())
                self._tally.add_fault("processes", f"{role} ended", given=f"process {pid}", seen=tail[-500:])
            self._known |= living
            for role in self._stack.roles:
                if role not in self._allowed and not self._stack.is_running(role):
                    self._stack.start_role(role)

    def _has_retired(self) -> bool:
        """Tell whether another worker has retired properly since the last call."""

        def is_told() -> bool:
            logged = self._stack.log_path("worker").read_text(errors="replace").count(RETIRED)
            return logged > self.retired

        return wait_until(is_told, deadline_seconds=LOGGED_SECONDS)

    def _list_living(self) -> dict[int, str]:
        """Return the parents of all roles and their children, without processes that a task forked."""
        living = {}
        for role in self._stack.roles:
            if not self._stack.is_running(role):
                continue
            parent = self._stack.parent_pid(role)
            living[parent] = role
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
                living |= {int(pid): role for pid in children if _is_service(int(pid))}
        return living

    def _run(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            self.look()


def _is_service(pid: int) -> bool:
    """Tell a service process from a short-lived helper (ps, a resource tracker)."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX" and (b"longtasks" in words or b"gunicorn" in words or b"--name" in words)
