"""Enqueues accepted tasks: job, queue entry and snapshot by one script, in one round trip, within the admission limit.

Owns the call of that script and what its answers mean. Must not know SQL, task types or HTTP. Later changes of a task's
place are in `transitions`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from rq.utils import utcformat

from tasks_app.domain import task_snapshot
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import QueueFull, QueueUnavailable
from tasks_app.models import column_limits
from tasks_app.queues import snapshot_stream, suspended_calls
from tasks_app.queues.admission import get_bounds, get_retry_after_seconds
from tasks_app.queues.lua_script import Script
from tasks_app.queues.redis_clock import clock
from tasks_app.queues.redis_connection import mapped_redis_errors
from tasks_app.queues.redis_keys import JOB_DATA
from tasks_app.queues.request_connection import shared_line

_enqueue: Final = Script("enqueue")


@dataclass(frozen=True, slots=True)
class Replay:
    """The tasks that an earlier request with the same idempotency key and body had started."""

    task_ids: tuple[str, ...]
    created_at: datetime
    same_body: bool


def enqueue_tasks(
    snapshots: Sequence[Snapshot], *, idempotency_key: str = "", fingerprint: str = "", key_ttl_seconds: int = 86_400
) -> Replay | None:
    """Accept tasks: all of them or none, in one round trip to Redis.

    Writes each task's RQ job, its queue entry and its snapshot; with `idempotency_key` (already made unique per
    owner) also the key's memory of them. Returns None when they were accepted, or a Replay where the key is known.
    Raises QueueFull (nothing was written) and QueueUnavailable (whether it was written is not known).
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
        )
    sent_at = time.time()
    with mapped_redis_errors():
        if longtasks.redis_wait_replicas:
            # WAIT stops its connection: in an event loop, a thread and its own connection wait.
            answer = suspended_calls.run_in_thread(lambda: _enqueue_on_replicas(idempotency_key, args))
        else:
            answer = _enqueue(shared_line, (snapshot_stream.STREAM_KEY, idempotency_key), args)
    word = answer[0]
    if word == b"ok":
        clock.note(sent_at=sent_at, seconds=answer[1], microseconds=answer[2])
        return None
    if word == b"replay":
        known_fingerprint, created_at, *task_ids = answer[1].decode(errors="replace").split("|")
        return Replay(tuple(task_ids), datetime.fromisoformat(created_at), known_fingerprint == fingerprint)
    _, queue, waiting, bound, drained = answer
    raise QueueFull(
        queue=queue.decode(errors="replace"),
        waiting=waiting,
        bound=bound,
        retry_after_seconds=get_retry_after_seconds(excess=waiting + len(snapshots) - bound, drained=float(drained)),
    )


def _enqueue_on_replicas(idempotency_key: str, args: Sequence[Any]) -> Any:
    answer = _enqueue(shared_line, (snapshot_stream.STREAM_KEY, idempotency_key), args)
    if answer[0] in (b"ok", b"replay"):
        _wait_for_replicas(shared_line.breaks, wrote=answer[0] == b"ok")
    return answer


def _wait_for_replicas(breaks: int, *, wrote: bool) -> None:
    """Return when REDIS_WAIT_REPLICAS replicas hold what this thread wrote, or read, last; else QueueUnavailable.

    WAIT counts from its own connection's last write: after a read there must be one, and one on a new connection,
    perhaps to another server, would say nothing.
    """
    wanted = settings.LONGTASKS.redis_wait_replicas
    timeout_ms = int(settings.LONGTASKS.redis_timeout_seconds * 500)  # answers before the socket gives up
    if not wrote:
        shared_line.execute_command("SET", "longtasks:held", "1")
    held = shared_line.execute_command("WAIT", wanted, timeout_ms)
    if held < wanted or shared_line.breaks != breaks:
        raise QueueUnavailable(f"{held} of {wanted} replicas have it")
