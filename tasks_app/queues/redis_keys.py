"""The names of the Redis keys of queues and jobs: RQ's own, and ours beside them.

Owns these names. Must not connect to Redis.
"""

from __future__ import annotations

from typing import Final

from rq.suspension import WORKERS_SUSPENDED

# The one function that jobs of tasks name; RQ's tools show it, the worker knows it by heart.
RUN_TASK: Final = "tasks_app.worker.run_task"
SUSPENDED_KEY: Final = WORKERS_SUSPENDED  # while it exists, `rq suspend` holds all queues
JOB_DATA: Final = f'["{RUN_TASK}",null,[],{{}}]'


def queue_key(queue: str) -> str:
    return f"rq:queue:{queue}"


def started_key(queue: str) -> str:
    """Key of RQ's registry of started jobs: members are `id:worker`."""
    return f"rq:wip:{queue}"


def urgent_key(queue: str) -> str:
    """Key of the set of tasks that wait at the queue's head and preempt others of the same queue."""
    return f"longtasks:urgent:{queue}"


def job_key(task_id: str) -> str:
    return f"rq:job:{task_id}"


def paused_key(queue: str) -> str:
    return f"longtasks:paused:{queue}"


def drain_key(queue: str) -> str:
    """Key of the tasks that the queue's workers end in a second, kept by the mirror, for Retry-After."""
    return f"longtasks:drain:{queue}"
