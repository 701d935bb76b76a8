"""Why a function task has failed without an exception of its own: the classes that its result names as the error.

They are never raised. Must not know tasks or stores.
"""

from __future__ import annotations


class TaskCanceled(Exception):
    """The task was canceled."""


class TaskStopped(Exception):
    """The task was stopped by RQ's stop command."""


class WorkerDied(Exception):
    """The last worker of the task died, or an attempt ended for another reason that is no exception."""
