"""The worker class that RQ loads by name (settings.RQ['WORKER_CLASS'], `rqworker`), and the function that jobs name.

Owns the two names, which are stored in Redis and in users' settings, and connects the engine to the services. Must not
contain behaviour of its own.
"""

from __future__ import annotations

from tasks_app.engine.worker import EngineWorker
from tasks_app.queues.transitions import DequeuedTask
from tasks_app.services import requeued_by_rq


class TaskWorker(EngineWorker):
    """The engine's worker; an ended task that RQ's own tools requeued is retried, as through the API."""

    def retry_requeued(self, dequeued: DequeuedTask) -> None:
        requeued_by_rq.retry(self._redis, dequeued)


def run_task() -> None:
    """The function that the jobs of tasks name. TaskWorker runs tasks itself, in chunks.

    Raises RuntimeError, because only another worker class would call it.
    """
    raise RuntimeError(
        "Jobs of tasks are run by tasks_app.worker.TaskWorker only: start workers with `manage.py workers` or "
        "`manage.py rqworker high low`, with RQ['WORKER_CLASS'] as in settings/base.py."
    )
