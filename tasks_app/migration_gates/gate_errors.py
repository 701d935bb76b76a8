"""The errors that end `migrate` at a gate: each is one line that says what to do.

Owns these types. Must not decide when one is raised.
"""

from __future__ import annotations

from django.core.management.base import CommandError


class GateError(CommandError):
    """A gate is declared wrongly, or its task cannot be run or read."""


class TaskNotFinished(GateError):
    """The task of a RequireTask has not finished, so the migration must not continue."""
