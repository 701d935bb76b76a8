"""Requests that wait for a task's end in web's event loop, without a thread.

Owns how many may wait, and that each is resumed exactly once: at its task's end, at its deadline, when its client leaves
or when the process is to end. The watcher (one thread and one subscription for all) finds the ends. Must not read a task.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.queues import suspended_calls
from tasks_app.queues.end_watcher import EndWatcher, Watch
from tasks_app.queues.suspended_calls import Call, CannotSuspend

PLACES: Final = 2000  # of a process; whoever finds none is answered at once
HELD_BYTES: Final = 32 * 1024 * 1024  # of the held requests of a process together
REQUEST_BYTES: Final = 4096  # what a request takes beside its body, about
OVERDUE_SECONDS: Final = 0.5  # after a deadline, for a watcher that still waits for Redis


@dataclass(eq=False, slots=True)
class Held:
    """A request that waits."""

    call: Call
    request_bytes: int
    watch: Watch | None = None
    overdue: asyncio.TimerHandle | None = None


class HeldRequests:
    """The waiting requests of one event loop. All methods belong to its thread."""

    def __init__(self, *, places: int = PLACES) -> None:
        self._loop = asyncio.get_running_loop()
        self._places = places
        self._held: set[Held] = set()
        self._bytes = 0
        self._watcher = EndWatcher()
        self._is_ending = False

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, call: Call, task_id: str, deadline: float, request_bytes: int) -> None:
        """Hold a call until its task ends. Resumes it with CannotSuspend where there is no place."""
        request_bytes += REQUEST_BYTES
        if call.is_interrupted:
            self._loop.call_soon(call.resume, None)
            return
        if self._is_ending or len(self._held) >= self._places or self._bytes + request_bytes > HELD_BYTES:
            self._loop.call_soon(call.resume, CannotSuspend())
            return
        held = Held(call, request_bytes)
        self._held.add(held)
        self._bytes += request_bytes
        call.wake_early = lambda: self._wake_early(held)

        def tell(snapshot: Snapshot | None) -> None:
            self._loop.call_soon_threadsafe(self._wake, held, snapshot)

        held.watch = Watch(task_id, deadline, tell)
        # The watcher uses the clock of time.monotonic, which is the loop's as well.
        held.overdue = self._loop.call_at(deadline + OVERDUE_SECONDS, self._wake_early, held)
        self._watcher.watch(held.watch)

    def end(self) -> None:
        """Answer everyone with what is known; from now on nobody waits."""
        self._is_ending = True
        for held in list(self._held):
            self._wake_early(held)

    def _wake_early(self, held: Held) -> None:
        if held in self._held and held.watch is not None:
            self._watcher.drop(held.watch)
            self._wake(held, None)

    def _wake(self, held: Held, snapshot: Snapshot | None) -> None:
        """Resume a call with its task; with None it answers with what it knew when it began to wait."""
        if held not in self._held:
            return  # something else has woken it before
        self._held.remove(held)
        self._bytes -= held.request_bytes
        if held.overdue is not None:
            held.overdue.cancel()
        held.call.resume(snapshot)


_of_this_process: HeldRequests | None = None


def begin(*, places: int = PLACES) -> HeldRequests:
    """Make the held requests of this process's event loop, and return them."""
    global _of_this_process  # noqa: PLW0603 (one loop for each process)
    _of_this_process = HeldRequests(places=places)
    return _of_this_process


def wait(task_id: str, deadline: float, *, request_bytes: int) -> Snapshot | None:
    """Return the task at its end or at the deadline (time.monotonic); None where it is not known by then.

    Raises CannotSuspend where the caller does not run in an event loop, or cannot be held.
    """
    held = _of_this_process
    if held is None:
        raise CannotSuspend
    snapshot: Snapshot | None = suspended_calls.suspend(lambda call: held.hold(call, task_id, deadline, request_bytes))
    return snapshot
