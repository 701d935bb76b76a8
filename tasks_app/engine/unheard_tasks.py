"""Requeues tasks that Redis dequeued for a worker, but whose reply was lost with the connection.

Must run only while the worker has no task: every entry under its name is then such a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from tasks_app.queues import redis_keys, transitions
from tasks_app.read_model.latest_snapshot import find_snapshot


def requeue_unheard(connection: redis.Redis[Any], *, worker: str, queues: Sequence[str]) -> None:
    """Move the worker's entries from RQ's registries of started jobs to the front of their queues. Raises Redis's errors."""
    suffix = f":{worker}"
    for name in queues:
        key = redis_keys.started_key(name)
        members: Any = connection.zrange(key, 0, -1)
        unheard = [member for raw in members if (member := raw.decode(errors="replace")).endswith(suffix)]
        for member in reversed(unheard):  # each goes to the front, so the oldest must be last
            snapshot = find_snapshot(connection, member.removesuffix(suffix))
            if snapshot is None:
                connection.zrem(key, member)
                continue
            transition = transitions.Transition(snapshot.queued(cause="yield"), "started", "front", worker=worker)
            transitions.apply_transitions(connection, [transition])
