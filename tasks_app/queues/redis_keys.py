"""The names of the Redis keys of queues and jobs: RQ's own, and ours.

Owns these names. Must not connect to Redis. tests/services/test_rq_job.py and tests/engine/test_rq_internals.py fail when
RQ's change.
"""

from __future__ import annotations

from typing import Final

from rq.suspension import WORKERS_SUSPENDED

# The function that the job of every task names. RQ's tools show it; the worker runs the task without calling it.
RUN_TASK: Final = "tasks_app.worker.run_task"
WORKERS_KEY: Final = "rq:workers"  # RQ's set of the keys of all workers
SUSPENDED_KEY: Final = WORKERS_SUSPENDED  # while it exists, all queues are suspended
JOB_DATA: Final = f'["{RUN_TASK}",null,[],{{}}]'


def queue_key(queue: str) -> str:
    return f"rq:queue:{queue}"


def started_key(queue: str) -> str:
    """Key of RQ's registry of started jobs: members are `id:worker`."""
    return f"rq:wip:{queue}"


def scheduled_key(queue: str) -> str:
    """Key of RQ's registry of scheduled jobs: members are ids, scores the times when they are due."""
    return f"rq:scheduled:{queue}"


def list_ended_keys(queue: str) -> list[str]:
    """Return the keys of RQ's registries of ended jobs: members are ids, scores the times when they expire."""
    return [f"rq:{kind}:{queue}" for kind in ("finished", "failed", "canceled")]


def worker_key(worker: str) -> str:
    """Key of RQ's hash of a worker: its heartbeat and its other fields."""
    return f"rq:worker:{worker}"


def parse_worker_key(key: bytes) -> str:
    """Return the worker's name in a member of WORKERS_KEY. Another program's may not be UTF-8."""
    return key.decode(errors="replace").removeprefix("rq:worker:")


def workers_of_key(queue: str) -> str:
    """Key of RQ's set of the keys of the workers that serve a queue."""
    return f"rq:workers:{queue}"


def urgent_key(queue: str) -> str:
    """Key of the set of tasks that wait at the queue's head and preempt others of the same queue."""
    return f"longtasks:urgent:{queue}"


def job_key(task_id: str) -> str:
    return f"rq:job:{task_id}"


def paused_key(queue: str) -> str:
    return f"longtasks:paused:{queue}"


def drain_key(queue: str) -> str:
    """Key of the number of tasks that end per second in a queue. The mirror writes it, for Retry-After."""
    return f"longtasks:drain:{queue}"
