"""The statuses of a task, with RQ's names, and which of them are final.

Owns these names. Must not know any store.
"""

from __future__ import annotations

from typing import Final

QUEUED: Final = "queued"
STARTED: Final = "started"
SCHEDULED: Final = "scheduled"
DEFERRED: Final = "deferred"
FINISHED: Final = "finished"
FAILED: Final = "failed"
CANCELED: Final = "canceled"
STOPPED: Final = "stopped"
STATUSES: Final = (QUEUED, STARTED, SCHEDULED, DEFERRED, FINISHED, FAILED, CANCELED, STOPPED)
ENDED: Final = frozenset({FINISHED, FAILED, CANCELED, STOPPED})
START_CAUSE: Final = "start"  # the cause of a task's first snapshot
PROGRESS: Final = "progress"  # the cause of a snapshot that changes counts only, not the status
