"""The function that RQ's cron enqueues, under the name that is stored in Redis: `tasks_app.pruning.run_scheduled`.

Owns the name only: operations/retention.py does the work. (RQ stores a function's module, so an import is not enough.)
"""

from __future__ import annotations

from tasks_app.operations import retention


def run_scheduled() -> int:
    """Prune for a few seconds, and return the number of deleted tasks. See operations/retention.py."""
    return retention.run_scheduled()
