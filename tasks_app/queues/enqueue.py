"""Enqueues accepted tasks: job, queue entry and snapshot by one script, in one round trip, within the admission limit.

Owns the call of that script and the meaning of its replies. Must not know SQL, task types or HTTP. `transitions` owns
every later change of a task's place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings

from tasks_app.domain import task_snapshot
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import QueueFull, QueueUnavailable
from tasks_app.models import column_limits
from tasks_app.queues import snapshot_stream, suspended_calls
from tasks_app.queues.admission import get_bounds, get_retry_after_seconds
from tasks_app.queues.lua_script import Script
from tasks_app.queues.redis_clock import clock, format_time
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

    Writes each task's RQ job, its queue entry and its snapshot; with `idempotency_key` (unique per owner) also the ids
    of the tasks under that key. Returns None if they were accepted, or a Replay if the key is known. Raises QueueFull
    (nothing was written) and QueueUnavailable (they may have been written).
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
            format_time(snapshot.created_at),
            longtasks.job_timeout_seconds,
            snapshot.description,
            snapshot.weight,
        )
    sent_at = time.time()
    with mapped_redis_errors():
        if longtasks.redis_wait_replicas:
            # WAIT blocks its connection: for a call in the event loop, a thread waits on a connection of its own.
            reply = suspended_calls.run_in_thread(lambda: _enqueue_on_replicas(idempotency_key, args))
        else:
            reply = _enqueue(shared_connection, (snapshot_stream.STREAM_KEY, idempotency_key), args)
    outcome = reply[0]
    if outcome == b"ok":
        clock.note(sent_at=sent_at, seconds=reply[1], microseconds=reply[2])
        return None
    if outcome == b"replay":
        known_fingerprint, created_at, *task_ids = reply[1].decode(errors="replace").split("|")
        return Replay(tuple(task_ids), datetime.fromisoformat(created_at), known_fingerprint == fingerprint)
    _, queue, waiting, bound, drained = reply
    raise QueueFull(
        queue=queue.decode(errors="replace"),
        waiting=waiting,
        bound=bound,
        retry_after_seconds=get_retry_after_seconds(excess=waiting + len(snapshots) - bound, drained=float(drained)),
    )


def _enqueue_on_replicas(idempotency_key: str, args: Sequence[Any]) -> Any:
    reply = _enqueue(shared_connection, (snapshot_stream.STREAM_KEY, idempotency_key), args)
    if reply[0] in (b"ok", b"replay"):
        _wait_for_replicas(shared_connection.breaks, wrote=reply[0] == b"ok")
    return reply


def _wait_for_replicas(breaks: int, *, wrote: bool) -> None:
    """Return when REDIS_WAIT_REPLICAS replicas have what this thread wrote or read last; else raise QueueUnavailable.

    WAIT confirms only writes of its own connection. So after a mere read something is written first, and the result counts
    only if the connection was not replaced meanwhile (`breaks`), perhaps by one to another server.
    """
    wanted = settings.LONGTASKS.redis_wait_replicas
    timeout_ms = int(settings.LONGTASKS.redis_timeout_seconds * 500)  # shorter than the socket's timeout
    if not wrote:
        shared_connection.execute_command("SET", "longtasks:held", "1")
    confirmed = shared_connection.execute_command("WAIT", wanted, timeout_ms)
    if confirmed < wanted or shared_connection.breaks != breaks:
        raise QueueUnavailable(f"{confirmed} of {wanted} replicas have it")
