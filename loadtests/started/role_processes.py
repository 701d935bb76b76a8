"""Owns the processes of a stack under test: each is started, stopped, killed or paused by its role.

Must not: signal a process that does not carry the stack's mark.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import PROJECT_DIR, procfile_command

ROLE = "LONGTASKS_STACK_ROLE"


class RoleProcesses:
    """The processes of some roles of the Procfile, with their log files in `directory`."""

    def __init__(
        self,
        *,
        commands: Mapping[str, str],
        environment: Mapping[str, str],
        directory: Path,
        mark: str,
        project_directory: Path = PROJECT_DIR,
    ) -> None:
        self.directory = directory
        self.project_directory = project_directory  # whose code runs
        self.environment = {**environment, child_process.MARK: mark}
        self._commands = dict(commands)
        self._mark = mark
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def roles(self) -> list[str]:
        return list(self._commands)

    def start_role(self, role: str, *, command: str = "") -> None:
        """Start the role's command of the Procfile, or `command` under a role name of its own."""
        if self.is_running(role):
            return
        with self.log_path(role).open("ab") as log:
            self._processes[role] = child_process.spawn(
                command=procfile_command(command or self._commands[role]),
                environment=self.environment | {ROLE: role},
                output=log,
                directory=self.project_directory,
            )

    def is_running(self, role: str) -> bool:
        return role in self._processes and self._processes[role].poll() is None

    def stop_role(self, role: str, *, grace_seconds: float = 30) -> float:
        """Send SIGTERM, as a deploy does; returns the seconds until the end. Raises AssertionError after the grace period."""
        process = self._processes[role]
        started = time.monotonic()
        process.terminate()
        try:
            process.wait(timeout=grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(
                f"{role} did not end {grace_seconds} s after SIGTERM:\n{self.log_tail(role)}"
            ) from None
        return time.monotonic() - started

    def kill_role(self, role: str) -> None:
        """Send SIGKILL to the parent and to every descendant at once."""
        pids = set(self.pids(role))
        child_process.signal_pids(pids=pids, signal_number=signal.SIGKILL)
        self._processes[role].wait()
        child_process.wait_until(lambda: not pids & set(self.pids(role)), deadline_seconds=10)

    def kill_parent(self, role: str) -> None:
        """Send SIGKILL to the parent alone."""
        self._processes[role].kill()
        self._processes[role].wait()

    def kill_child(self, role: str, *, index: int = 0) -> int:
        """Send SIGKILL to one child; returns its pid."""
        pid = self.child_pids(role)[index]
        os.kill(pid, signal.SIGKILL)
        return pid

    def hang_up(self, role: str) -> None:
        """Send SIGHUP to the parent, as `make reload` does."""
        self._processes[role].send_signal(signal.SIGHUP)

    def restart_role(self, role: str) -> None:
        self.stop_role(role)
        self.start_role(role)

    def parent_pid(self, role: str) -> int:
        return self._processes[role].pid

    def pids(self, role: str) -> list[int]:
        """Return every living process of a role, orphans included."""
        return child_process.marked_pids(mark=self._mark, also={ROLE: role})

    def child_pids(self, role: str) -> list[int]:
        parent = self.parent_pid(role) if role in self._processes else 0
        return [pid for pid in self.pids(role) if pid != parent]

    def pause_pids(self, pids: list[int]) -> None:
        self._refuse_foreign_pids(pids)
        child_process.signal_pids(pids=pids, signal_number=signal.SIGSTOP)

    def resume_pids(self, pids: list[int]) -> None:
        self._refuse_foreign_pids(pids)
        child_process.signal_pids(pids=pids, signal_number=signal.SIGCONT)

    def peak_rss_mib(self, role: str) -> float:
        """Return the highest VmHWM among the living children of a role."""
        peaks = [0]
        for pid in self.child_pids(role):
            with contextlib.suppress(OSError):  # the child has ended meanwhile
                match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
                peaks += [int(match[1])] if match else []
        return max(peaks) / 1024

    def log_path(self, role: str) -> Path:
        return self.directory / f"{role}.log"

    def log_tail(self, role: str, *, lines: int = 30) -> str:
        path = self.log_path(role)
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _refuse_foreign_pids(self, pids: list[int]) -> None:
        foreign = set(pids) - set(child_process.marked_pids(mark=self._mark))
        if foreign:
            raise AssertionError(f"processes {sorted(foreign)} are not of this stack")

    def end_processes(self) -> None:
        """End every process that was started here, also paused ones and orphans."""
        try:
            for role in self._processes:
                child_process.signal_pids(pids=self.pids(role), signal_number=signal.SIGCONT)
                self._processes[role].terminate()
            for process in self._processes.values():
                child_process.stop(process=process, grace_seconds=10)
        finally:
            child_process.kill_marked(mark=self._mark)

    def wait_for(
        self,
        condition: Callable[[], object],
        *,
        deadline_seconds: float,
        what: str | Callable[[], str] = "the condition",
    ) -> None:
        if not child_process.wait_until(condition, deadline_seconds=deadline_seconds):
            logs = "\n".join(f"--- {role}\n{self.log_tail(role)}" for role in {*self.roles, *self._processes})
            raise AssertionError(f"not within {deadline_seconds} s: {what() if callable(what) else what}\n{logs}")
