"""A short description of how a process ended, which its parent passes to the successor in the environment.

Owns the words and the variable's format. Must not import Django, because the local stack's supervisor uses it. Must not
know processes.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "LONGTASKS_EXITS"  # "123=SIGKILL,130=code 1"; longtasks/gunicorn.py writes it too
_CHARACTERS: Final = 2000


def name_exit(code: int) -> str:
    """Return how a process ended, from the return code of `subprocess`."""
    if code >= 0:
        return f"code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def read_exits(environment: Mapping[str, str]) -> dict[int, str]:
    """Return how previous processes ended, by pid."""
    pairs = re.findall(r"(\d{1,10})=([\w ]{1,40})", environment.get(VARIABLE, "")[:_CHARACTERS], re.ASCII)
    return {int(pid): how for pid, how in pairs}
