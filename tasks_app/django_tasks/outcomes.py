"""Why a function task has failed: its exception, or a class of this module where there was none.

Owns how the exception is read from the stored text of an error. These classes are never raised. Must not know tasks or stores.
"""

from __future__ import annotations

import re
from typing import Final

from tasks_app.domain.error_text import summarize_error

# How error_text begins the line of an exception.
_EXCEPTION: Final = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*)(?::|$)")
_TRACEBACK: Final = "Traceback (most recent call last):"


class TaskCanceled(Exception):
    """The task was canceled."""


class TaskStopped(Exception):
    """The task was stopped by RQ's stop command."""


class WorkerDied(Exception):
    """The last worker of the task died, or an attempt ended for another reason that is no exception."""


def find_exception_path(text: str) -> str:
    """Return the dotted path of the exception in the stored text of an error; WorkerDied's if it has no traceback."""
    found = _EXCEPTION.match(summarize_error(text))
    if found is None or not (text.startswith(_TRACEBACK) or f"\n{_TRACEBACK}" in text):
        return path_of(WorkerDied)
    return found[1] if "." in found[1] else f"builtins.{found[1]}"


def path_of(kind: type[Exception]) -> str:
    """Return the dotted path of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"
