"""Parked tasks: they wait because no running worker knows their task type, as in a rolling deploy.

Owns how they are listed, and the error that they show after ten minutes if no living worker knows their type. Must not
park or dequeue tasks (lua/parked.lua and lua/dequeue.lua do), nor know SQL.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from tasks_app.queues import lua_script, redis_keys, snapshot_stream
from tasks_app.queues.worker_entries import list_registered

PARKED_LISTS_KEY: Final = "longtasks:parked"
REPORT_AFTER_SECONDS: Final = 600  # a rolling deploy is over by then
REPORT_PAGE: Final = 200  # tasks of one list in one pass
_report: Final = lua_script.Script("report_parked")


@dataclass(frozen=True, slots=True)
class ParkedList:
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
class ParkedCount:
    """The number of tasks of one type that are parked in one queue."""

    queue: str
    type_name: str
    tasks: int
    oldest_seconds: float  # since the first of them was parked


def list_parked_lists(connection: redis.Redis[Any]) -> list[ParkedList]:
    """Return the lists of parked tasks."""
    members: Any = connection.smembers(PARKED_LISTS_KEY)
    return sorted(_parse(members), key=lambda parked: parked.name)


def count_parked(connection: redis.Redis[Any]) -> list[ParkedCount]:
    """Return the numbers of parked tasks by queue and type: one round trip if there are none, else three."""
    lists = list_parked_lists(connection)
    if not lists:
        return []
    pipeline = connection.pipeline(transaction=False)
    pipeline.time()
    for parked in lists:
        pipeline.llen(parked.key)
        pipeline.lindex(parked.key, 0)
    (seconds, microseconds), *answers = pipeline.execute()
    for head in answers[1::2]:
        pipeline.hget(redis_keys.job_key(_text(head or b"-")), "parked_at")
    now = seconds + microseconds / 1e6
    return [
        ParkedCount(parked.queue, parked.type_name, tasks, max(0.0, now - float(parked_at or now)))
        for parked, tasks, parked_at in zip(lists, answers[::2], pipeline.execute(), strict=True)
        if tasks
    ]


def list_parked_ids(connection: redis.Redis[Any], *, queue_name: str = "") -> list[str]:
    """Return the ids of all parked tasks, or of one queue's."""
    pipeline = connection.pipeline(transaction=False)
    for parked in list_parked_lists(connection):
        if queue_name in ("", parked.queue):
            pipeline.lrange(parked.key, 0, -1)
    return [_text(member) for members in pipeline.execute() for member in members]


def holds_any_of(lists: Iterable[bytes], *, queue_name: str, types: Collection[str]) -> bool:
    """Return whether tasks of these types are parked in a queue; `lists` are the members of PARKED_LISTS_KEY."""
    return any(parked.queue == queue_name and parked.type_name in types for parked in _parse(lists))


def list_known_types(connection: redis.Redis[Any]) -> frozenset[str]:
    """Return the task types that at least one living worker knows."""
    return frozenset().union(*(worker.types for worker in list_registered(connection)))


def describe_unknown(type_name: str) -> str:
    """Return the error of tasks whose type no living worker knows, with what to do."""
    return (
        f"No living worker knows the task type {type_name!r}. Start workers of a version that has it "
        "(a deploy may be incomplete, or was rolled back), or cancel the task."
    )


class ParkedErrors:
    """Writes the error into tasks that have been parked for long, a page of each list per pass."""

    def __init__(self, *, connection: redis.Redis[Any]) -> None:
        self._redis = connection
        self._offsets: dict[str, int] = {}  # how many of the list's tasks the current round has checked, by list

    def report(self) -> None:
        """Write the error into tasks that have been parked for REPORT_AFTER_SECONDS and whose type no living worker knows."""
        lists = list_parked_lists(self._redis)
        if not lists:
            return
        known = list_known_types(self._redis)
        for parked in lists:
            if parked.type_name not in known:
                self._report_page(parked)

    def _report_page(self, parked: ParkedList) -> None:
        first = self._offsets.get(parked.name, 0)
        error = json.dumps(describe_unknown(parked.type_name))
        args: Sequence[Any] = (parked.name, first, REPORT_PAGE, REPORT_AFTER_SECONDS, error)
        count = _report(self._redis, (snapshot_stream.STREAM_KEY,), args)
        self._offsets[parked.name] = first + count if count == REPORT_PAGE else 0


def _parse(members: Iterable[bytes]) -> list[ParkedList]:
    parts = (_text(member).partition(":") for member in members)
    return [ParkedList(name, type_name) for name, _, type_name in parts]


def _text(member: bytes) -> str:
    return member.decode(errors="replace")
