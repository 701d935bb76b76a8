"""The function that RQ's cron enqueues, under the name that jobs in Redis hold: `tasks_app.pruning.run_scheduled`.

Owns the name only: operations/retention.py does the work. (RQ names a function by its module, so an import would not do.)
"""

from __future__ import annotations

from tasks_app.operations import retention


def run_scheduled() -> int:
    """Prune for a few seconds, and return how many tasks were deleted: see operations/retention.py."""
    return retention.run_scheduled()
