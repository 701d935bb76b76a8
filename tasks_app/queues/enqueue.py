"""Enqueues or schedules accepted tasks: job, queue entry and snapshot by one script, in one round trip, within the limit.

Owns the call of that script and the meaning of its replies. Must not know SQL, task types or HTTP. `transitions` owns
every later change of a task's place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from rq.utils import utcformat

from tasks_app.conf import settings
from tasks_app.domain import task_snapshot
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import QueueFull, QueueUnavailable
from tasks_app.models import column_limits
from tasks_app.queues import snapshot_stream
from tasks_app.queues.admission import get_bounds, get_retry_after_seconds
from tasks_app.queues.lua_script import Script
from tasks_app.queues.redis_clock import clock
from tasks_app.queues.redis_connection import mapped_redis_errors
from tasks_app.queues.redis_keys import JOB_DATA
from tasks_app.queues.request_connection import shared_connection

_enqueue: Final = Script("enqueue")


@dataclass(frozen=True, slots=True)
class Replay:
    """The tasks that an earlier request with the same idempotency key has started."""

    task_ids: tuple[str, ...]
    created_at: datetime
    same_body: bool


def enqueue_tasks(
    snapshots: Sequence[Snapshot], *, idempotency_key: str = "", fingerprint: str = "", key_ttl_seconds: int = 86_400
) -> Replay | None:
    """Accept all tasks or none, in one round trip to Redis.

    Writes each task's RQ job, its entry in the queue or (before its start) in RQ's registry of scheduled jobs, and its
    snapshot; with `idempotency_key` (unique per owner) also the ids of the tasks under that key. Returns None if they
    were accepted, or a Replay if the key is known. Raises QueueFull (nothing was written) and QueueUnavailable (they may
    have been written).
    """
    first = snapshots[0]
    value = ""
    if idempotency_key:
        value = "|".join((fingerprint, first.created_at.isoformat(), *(s.id for s in snapshots)))
    bounds = get_bounds()
    longtasks = settings.LONGTASKS
    args: list[Any] = [value, key_ttl_seconds]
    for snapshot in snapshots:
        args += (
            snapshot.priority,
            bounds[snapshot.priority],
            snapshot.id,
            task_snapshot.encode(column_limits.cut_texts(snapshot)),
            JOB_DATA,
            utcformat(snapshot.created_at),
            longtasks.job_timeout_seconds,
            snapshot.description,
            snapshot.weight,
            snapshot.start_at.timestamp() if snapshot.waits_for_start and snapshot.start_at else "",
        )
    sent_at = time.time()
    keys = (snapshot_stream.STREAM_KEY, idempotency_key)
    with mapped_redis_errors():
        reply = (
            _enqueue_on_replicas(keys, args)
            if longtasks.redis_wait_replicas
            else _enqueue(shared_connection, keys, args)
        )
    outcome = reply[0]
    if outcome == b"ok":
        clock.note(sent_at=sent_at, seconds=reply[1], microseconds=reply[2])
        return None
    if outcome == b"replay":
        known_fingerprint, created_at, *task_ids = reply[1].decode(errors="replace").split("|")
        return Replay(tuple(task_ids), datetime.fromisoformat(created_at), known_fingerprint == fingerprint)
    _, queue, waiting, bound, drained, are_scheduled = reply
    raise QueueFull(
        queue=queue.decode(errors="replace"),
        waiting=waiting,
        bound=bound,
        retry_after_seconds=get_retry_after_seconds(excess=waiting + len(snapshots) - bound, drained=float(drained)),
        are_scheduled=bool(are_scheduled),
    )


def _enqueue_on_replicas(keys: Sequence[str], args: Sequence[Any]) -> Any:
    """Return the reply once REDIS_WAIT_REPLICAS replicas have what the script wrote or read; else raise QueueUnavailable.

    WAIT confirms only writes of its own connection. A replay has written nothing, so that a write follows each script.
    """
    wanted = settings.LONGTASKS.redis_wait_replicas
    timeout_ms = int(settings.LONGTASKS.redis_timeout_seconds * 500)  # shorter than the timeout of the command
    confirming = (("SET", "longtasks:held", "1"), ("WAIT", wanted, timeout_ms))
    reply, _, confirmed = _enqueue.run(partial(shared_connection.execute_confirmed, confirming), keys, args)
    if confirmed < wanted and reply[0] in (b"ok", b"replay"):
        raise QueueUnavailable(f"{confirmed} of {wanted} replicas have it")
    return reply
