"""How a process has ended, in few letters, and how its parent hands that on to the successor: in the environment.

Owns the words and the variable's form. Needs no Django, since the stack's supervisor reads it. Must not know processes.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "LONGTASKS_EXITS"  # "123=SIGKILL,130=code 1"; longtasks/gunicorn.py writes it too
_CHARACTERS: Final = 2000


def name_exit(code: int) -> str:
    """Return how a process has ended, by the code that `subprocess` gives."""
    if code >= 0:
        return f"code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def read_exits(environment: Mapping[str, str]) -> dict[int, str]:
    """Return how processes before this one have ended, by pid."""
    pairs = re.findall(r"(\d{1,10})=([\w ]{1,40})", environment.get(VARIABLE, "")[:_CHARACTERS], re.ASCII)
    return {int(pid): how for pid, how in pairs}
