"""The adapter over django-rq: the connection, the names of the keys, and the atomic enqueue with admission.

Owns how an accepted task gets into Redis: one script, one round trip. Must not know SQL, task types or HTTP.
How a task changes its place afterwards stands in `moves`.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode

import django_rq
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import utcformat

from tasks_app.domain import priorities
from tasks_app.errors import QueueFull, QueueUnavailable, UnknownQueue
from tasks_app.models import column_limits
from tasks_app.queues import snapshot_stream
from tasks_app.queues.pipelined_connection import AWAY, Line, NotNow, Paused
from tasks_app.queues.redis_clock import clock
from tasks_app.queues.snapshot_stream import Snapshot

Result = TypeVar("Result")

HIGH: Final = priorities.HIGH
LOW: Final = priorities.LOW
QUEUES: Final = settings.LONGTASKS.queues  # in the order in which workers serve them
# Every queue that has ever held a task: one that QUEUES names no longer may hold some still. RQ's own set of queues
# names those of other applications, too.
USED_KEY: Final = "longtasks:queues"

# The one function that jobs of tasks name; RQ's tools show it, the worker knows it by heart.
RUN_TASK: Final = "tasks_app.worker.run_task"
SUSPENDED_KEY: Final = WORKERS_SUSPENDED  # while it exists, `rq suspend` holds all queues
PROBE_KEY: Final = "longtasks:probe"  # never there
JOB_DATA: Final = f'["{RUN_TASK}",null,[],{{}}]'


class Script:
    """A Lua script of the folder `lua/`, after clock.lua and parked.lua; called by its hash, sent again if unknown."""

    def __init__(self, name: str) -> None:
        folder = Path(__file__).parent / "lua"
        parts = [(folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("clock", "parked", name)]
        names = ", ".join(f"'{each}'" for each in QUEUES)  # checked where the setting is read: they hold no quote
        self.source = "\n".join([f"local CONFIGURED_QUEUES = {{{names}}}", *parts])
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, connection: redis.Redis[Any] | Line, keys: Sequence[str], args: Sequence[Any]) -> Any:
        try:
            return connection.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)
        except redis.exceptions.NoScriptError:
            return connection.execute_command("EVAL", self.source, len(keys), *keys, *args)


class LeavesLonelyPrimary:
    """For a connection by Sentinels: leaves a primary that takes no writes, and asks another Sentinel where to go.

    A primary cut off from its replicas, but not from us, has a Sentinel beside it that swears by it: redis-py would
    ask that one again and again.
    """

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]
        except NotNow:
            self.disconnect()  # type: ignore[attr-defined]
            sentinels = self.connection_pool.sentinel_manager.sentinels  # type: ignore[attr-defined]
            sentinels.append(sentinels.pop(0))
            raise


def get_connection(*, timeout_seconds: float | None = None) -> redis.Redis[Any]:
    """Return this process's connection to Redis (a pool, safe for threads and after a fork).

    It gives up after REDIS_TIMEOUT_SECONDS, without Sentinels after `timeout_seconds` where that is given, and never
    sends a command twice by itself.
    """
    config = settings.RQ_QUEUES[HIGH]
    return _connect(config.get("URL", ""), timeout_seconds or settings.LONGTASKS.redis_timeout_seconds)


@lru_cache(maxsize=4)
def _connect(url: str, timeout_seconds: float) -> redis.Redis[Any]:
    if not url:  # Sentinels: django-rq knows how to find the primary
        client = django_rq.get_connection(HIGH)
        pool = client.connection_pool
        pool.connection_class = type("LonelyAware", (LeavesLonelyPrimary, pool.connection_class), {})
        return client
    address, _, query = url.partition("?")
    # What stands in the URL would win over the arguments below.
    kept = [(name, value) for name, value in parse_qsl(query) if not name.startswith("socket_")]
    return redis.Redis.from_url(
        f"{address}?{urlencode(kept)}" if kept else address,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


_enqueue: Final = Script("enqueue")
_set: Final = Script("set")
_line: Final = Line(get_connection)


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn the errors of a Redis that is away, hung, loading or read-only into QueueUnavailable."""
    try:
        yield
    except AWAY as error:
        raise QueueUnavailable(type(error).__name__) from error


def queue_key(queue: str) -> str:
    return f"rq:queue:{queue}"


def job_key(task_id: str) -> str:
    return f"rq:job:{task_id}"


def paused_key(queue: str) -> str:
    return f"longtasks:paused:{queue}"


def drain_key(queue: str) -> str:
    """Key of the tasks that the queue's workers end in a second, kept by the mirror, for Retry-After."""
    return f"longtasks:drain:{queue}"


def list_used(connection: redis.Redis[Any]) -> list[str]:
    """Return the queues of QUEUES, then those that held tasks before and are named there no longer."""
    used: Any = connection.smembers(USED_KEY)
    return [*QUEUES, *sorted({name.decode(errors="replace") for name in used} - set(QUEUES))]


def check_queue(queue: str) -> str:
    """Return the queue's name, or raise UnknownQueue."""
    if queue not in QUEUES:
        raise UnknownQueue(queue, QUEUES)
    return queue


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
            snapshot_stream.encode(column_limits.cut_texts(snapshot)),
            JOB_DATA,
            utcformat(snapshot.created_at),
            longtasks.job_timeout_seconds,
            snapshot.description,
            snapshot.weight,
        )
    sent_at = time.time()
    with mapped_errors():
        answer = _enqueue(_line, (snapshot_stream.STREAM_KEY, idempotency_key), args)
        if longtasks.redis_wait_replicas and answer[0] in (b"ok", b"replay"):
            _wait_for_replicas(_line.breaks, wrote=answer[0] == b"ok")
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


def run_together(
    calls: Sequence[Callable[[], Result]], *, on_pause: Callable[[int, Paused, Any], bool] | None = None
) -> list[Result | None]:
    """Run calls that start tasks or read snapshots side by side in this thread: their commands go to Redis in one go.

    See `Line.run_together`.
    """
    return _line.run_together(calls, on_pause=on_pause)


def resume(paused: Sequence[tuple[Paused, Any]]) -> None:
    """Continue calls that have paused in `run_together`, each with its value. See `Line.resume`."""
    _line.resume(paused)


def _wait_for_replicas(breaks: int, *, wrote: bool) -> None:
    """Return when REDIS_WAIT_REPLICAS replicas hold what this thread wrote, or read, last; else QueueUnavailable.

    WAIT counts from its own connection's last write: after a read there must be one, and one on a new connection,
    perhaps to another server, would say nothing.
    """
    wanted = settings.LONGTASKS.redis_wait_replicas
    timeout_ms = int(settings.LONGTASKS.redis_timeout_seconds * 500)  # answers before the socket gives up
    if not wrote:
        _line.execute_command("SET", "longtasks:held", "1")
    held = _line.execute_command("WAIT", wanted, timeout_ms)
    if held < wanted or _line.breaks != breaks:
        raise QueueUnavailable(f"{held} of {wanted} replicas have it")


def get_bounds() -> Mapping[str, int]:
    """Return how many tasks may wait in each queue; `high` has what QUEUE_RESERVE keeps from every other."""
    longtasks = settings.LONGTASKS
    others = max(1, int(longtasks.queue_bound * (1 - longtasks.queue_reserve)))
    return {name: longtasks.queue_bound if name == HIGH else others for name in QUEUES}


def get_retry_after_seconds(*, excess: int, drained: float) -> int:
    """Return when there will be room: the excess over the rate at which tasks end; 1 to 300 seconds."""
    if drained <= 0:
        return 30
    return max(1, min(300, math.ceil(excess / drained)))


def get_snapshot(task_id: str) -> Snapshot | None:
    """Return the snapshot that the task's RQ job holds; None where there is none, or it cannot be decoded."""
    with mapped_errors():
        data = _line.execute_command("HGET", job_key(task_id), "s")
    return snapshot_stream.decode_if_valid(data)


def get_snapshots(task_ids: Sequence[str]) -> list[Snapshot | None]:
    """Return the snapshots that the tasks' RQ jobs hold, in order, in one round trip; None as in `get_snapshot`."""
    with mapped_errors():
        pipeline = get_connection().pipeline(transaction=False)
        for task_id in task_ids:
            pipeline.hget(job_key(task_id), "s")
        return [snapshot_stream.decode_if_valid(data) for data in pipeline.execute()]


def get_status(task_id: str) -> str:
    """Return what RQ says of the task's job: RQ's own tools change that alone. "" where there is no job."""
    with mapped_errors():
        status = _line.execute_command("HGET", job_key(task_id), "status")
    return status.decode(errors="replace") if status else ""


def list_paused() -> list[str]:
    """Return the queues that workers take for paused."""
    with mapped_errors():
        pipeline = get_connection().pipeline(transaction=False)
        for name in QUEUES:
            pipeline.exists(paused_key(name))
        return [name for name, paused in zip(QUEUES, pipeline.execute(), strict=True) if paused]


def write_pause(queue: str, *, paused: bool) -> None:
    """Tell the workers that a queue is paused, or no longer; also when Redis is full. The durable word is QueueState."""
    with mapped_errors():
        if paused:
            set_when_full(get_connection(), paused_key(queue), utcformat(clock.now()))
        else:
            get_connection().delete(paused_key(queue))


def write_suspension(*, suspended: bool, seconds: int = 0) -> None:
    """Suspend all queues, as `rq suspend` does, for `seconds` where they are given; or resume them. Works in a full Redis."""
    with mapped_errors():
        if suspended:
            set_when_full(get_connection(), SUSPENDED_KEY, "1", seconds=seconds)
        else:
            get_connection().delete(SUSPENDED_KEY)


def is_suspended() -> bool:
    """Return whether `rq suspend` holds all queues."""
    with mapped_errors():
        return bool(get_connection().exists(SUSPENDED_KEY))


def set_when_full(connection: redis.Redis[Any], key: str, value: str, *, seconds: int = 0) -> None:
    """Set a key, for `seconds` where they are given; also in a Redis at its maxmemory: for a few small ones."""
    _set(connection, (key,), (value, seconds))


def check_writes(connection: redis.Redis[Any], *, room: bool) -> None:
    """Raise what a write would raise now, without writing anything; with `room` also when Redis is full."""
    if room:
        connection.execute_command("SETRANGE", PROBE_KEY, 0, "")  # an empty text makes no key
    else:
        connection.delete(PROBE_KEY)
