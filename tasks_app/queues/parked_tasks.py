"""Parked tasks: those that no worker has taken so far that knows their type, as in a rolling deploy.

Owns how they are read and what becomes of them after ten minutes: each task says that no living worker knows its type.
Must not park or take: the scripts do (lua/parked.lua, lua/take.lua). Must not know SQL.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from tasks_app.queues import lua_script, redis_keys, snapshot_stream
from tasks_app.queues.worker_liveness import list_registered

PARKED_LISTS_KEY: Final = "longtasks:parked"
REPORT_AFTER_SECONDS: Final = 600  # a rolling deploy is over by then
REPORT_PAGE: Final = 200  # tasks of a list in one pass
_tell: Final = lua_script.Script("report_parked")


@dataclass(frozen=True, slots=True)
class Place:
    """A list of parked tasks: those of one type in one queue."""

    queue: str
    type_name: str

    @property
    def key(self) -> str:
        return f"{PARKED_LISTS_KEY}:{self.name}"

    @property
    def name(self) -> str:
        return f"{self.queue}:{self.type_name}"


@dataclass(frozen=True, slots=True)
class Parked:
    """How many tasks of a type are parked in a queue."""

    queue: str
    type_name: str
    tasks: int
    oldest_seconds: float  # since the first of them was parked


def list_parked_lists(connection: redis.Redis[Any]) -> list[Place]:
    """Return the lists of parked tasks."""
    members: Any = connection.smembers(PARKED_LISTS_KEY)
    return sorted(_parse(members), key=lambda place: place.name)


def list_parked(connection: redis.Redis[Any]) -> list[Parked]:
    """Return what is parked, by queue and type: one round trip where nothing is, else three."""
    places = list_parked_lists(connection)
    if not places:
        return []
    pipeline = connection.pipeline(transaction=False)
    pipeline.time()
    for place in places:
        pipeline.llen(place.key)
        pipeline.lindex(place.key, 0)
    (seconds, microseconds), *answers = pipeline.execute()
    for head in answers[1::2]:
        pipeline.hget(redis_keys.job_key(_text(head or b"-")), "parked_at")
    now = seconds + microseconds / 1e6
    return [
        Parked(place.queue, place.type_name, tasks, max(0.0, now - float(parked_at or now)))
        for place, tasks, parked_at in zip(places, answers[::2], pipeline.execute(), strict=True)
        if tasks
    ]


def list_parked_ids(connection: redis.Redis[Any], *, queue_name: str = "") -> list[str]:
    """Return the ids of all parked tasks, or of those of one queue."""
    pipeline = connection.pipeline(transaction=False)
    for place in list_parked_lists(connection):
        if queue_name in ("", place.queue):
            pipeline.lrange(place.key, 0, -1)
    return [_text(member) for members in pipeline.execute() for member in members]


def holds_any_of(places: Iterable[bytes], *, queue_name: str, types: Collection[str]) -> bool:
    """Tell whether tasks of these types are parked in a queue; `places` are the members of PARKED_LISTS_KEY."""
    return any(place.queue == queue_name and place.type_name in types for place in _parse(places))


def list_known_types(connection: redis.Redis[Any]) -> frozenset[str]:
    """Return the task types that one living worker at least knows."""
    return frozenset().union(*(worker.types for worker in list_registered(connection)))


def describe_unknown(type_name: str) -> str:
    """Say that no living worker knows a task type, and what to do."""
    return (
        f"No living worker knows the task type {type_name!r}. Start workers of a version that has it "
        "(a deploy may be incomplete, or was rolled back), or cancel the task."
    )


class ParkedErrors:
    """Writes the error into tasks that are parked for long, a part of them in each pass."""

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._looked_at: dict[str, int] = {}  # how far, by list

    def tell(self) -> None:
        """Write into tasks that are parked for REPORT_AFTER_SECONDS that no living worker knows their type."""
        places = list_parked_lists(self._redis)
        if not places:
            return
        known = list_known_types(self._redis)
        for place in places:
            if place.type_name not in known:
                self._tell_some(place)

    def _tell_some(self, place: Place) -> None:
        first = self._looked_at.get(place.name, 0)
        error = json.dumps(describe_unknown(place.type_name))
        args: Sequence[Any] = (place.name, first, REPORT_PAGE, REPORT_AFTER_SECONDS, error)
        looked_at = _tell(self._redis, (snapshot_stream.STREAM_KEY,), args)
        self._looked_at[place.name] = first + looked_at if looked_at == REPORT_PAGE else 0


def _parse(members: Iterable[bytes]) -> list[Place]:
    parts = (_text(member).partition(":") for member in members)
    return [Place(name, type_name) for name, _, type_name in parts]


def _text(member: bytes) -> str:
    return member.decode(errors="replace")
