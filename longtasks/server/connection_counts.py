"""How many connections each process of web has, in memory that all of them share.

Owns that memory, which gunicorn's parent makes when it loads the worker, so that its children inherit it. Must not: import
Django, or decide who accepts a connection.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Final

PROCESSES: Final = 64  # slots; more processes share some, and then take each other's counts for their own
_SLOT: Final = struct.Struct("=ii")  # pid, or 0 where nobody accepts; connections


class ConnectionCounts:
    """The counts of one parent's processes. Each process writes its own slot only."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, PROCESSES * _SLOT.size)
        self._offset = -1

    def begin(self, number: int) -> None:
        """Take the slot of the parent's n-th process, before this process accepts its first connection."""
        self._offset = number % PROCESSES * _SLOT.size
        self.note(0)

    def note(self, connections: int) -> None:
        """Write how many connections this process has."""
        if self._offset >= 0:
            _SLOT.pack_into(self._memory, self._offset, os.getpid(), connections)

    def end(self) -> None:
        """This process accepts no more."""
        if self._offset >= 0:
            _SLOT.pack_into(self._memory, self._offset, 0, 0)
            self._offset = -1

    def find_lead(self, connections: int) -> int:
        """Return how many connections this process has more than the one that has fewest; 0 if it is alone."""
        if self._offset < 0:
            return 0
        lead = 0
        for offset in range(0, PROCESSES * _SLOT.size, _SLOT.size):
            pid, theirs = _SLOT.unpack_from(self._memory, offset)
            if pid and offset != self._offset and connections - theirs > lead and self._is_alive(pid, offset):
                lead = connections - theirs
        return lead

    def _is_alive(self, pid: int, offset: int) -> bool:
        """Whether a process exists; the slot of one that was killed is given up."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            _SLOT.pack_into(self._memory, offset, 0, 0)
            return False
        except PermissionError:  # a process of another user has got this pid
            pass
        return True


counts: Final = ConnectionCounts()
