"""The private parts of Python's standard library that this project uses: threads, pools, and asyncio's event loop.

- `sys._current_frames`: the only list of all threads, those included that C code has started.
- `concurrent.futures.thread._worker` and `_WorkItem.run`: a pool does not say whether its thread is idle; its stack does.
- `asyncio.events._event_loop_policy._local`, with `_loop` and `_set_called`: `asyncio.get_event_loop()` and
  `get_event_loop_policy()` create what they do not find, and no function resets that a loop was set.
tests/engine/test_python_internals.py fails when Python changes.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import thread
from types import CodeType
from typing import Any, Final

get_current_frames: Final = sys._current_frames

POOL_LOOP: Final[CodeType] = thread._worker.__code__  # type: ignore[attr-defined]
POOL_ITEM: Final[CodeType] = thread._WorkItem.run.__code__  # type: ignore[attr-defined]


def get_event_loop() -> Any:
    """Return the event loop that is set in this thread; None if there is none. Creates none."""
    return getattr(_get_loops(), "_loop", None)


def forget_event_loop() -> None:
    """Let asyncio.get_event_loop() create a loop again: once asyncio.run() has ended, it refuses for the whole thread."""
    loops = _get_loops()
    if getattr(loops, "_loop", None) is None and getattr(loops, "_set_called", False):
        loops._set_called = False


def _get_loops() -> Any:
    return getattr(getattr(asyncio.events, "_event_loop_policy", None), "_local", None)
