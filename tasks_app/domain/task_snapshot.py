"""The snapshot: the whole state of a task at one change, and its JSON.

Owns the fields, their defaults, what a change of status resets, and which of two snapshots supersedes the other. Must
not know any store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from types import NoneType
from typing import Any, Final

import orjson

from tasks_app.domain.callers import WRITE
from tasks_app.domain.max_failures import show_max_failures
from tasks_app.domain.priorities import describe_priority
from tasks_app.domain.task_status import ENDED, QUEUED, SCHEDULED


@dataclass(slots=True)
class Snapshot:
    """The whole state of a task at a change, as one entry of the stream.

    Applying a snapshot is idempotent, and applying only a task's newest one is enough: the next one makes up for a missed
    one. In JSON a field with its default is omitted, and the last of duplicate fields counts, so that the Lua scripts can
    change a snapshot by appending to it.
    """

    id: str  # UUIDv7 in its 36-character form; also the RQ job's id
    name: str  # the task type
    created_at: datetime  # when the request was accepted
    params: dict[str, Any] = field(default_factory=dict)  # validated
    priority: str = "low"  # the queue
    urgency: int | None = None  # the client's priority if it was a number from 1 to 10
    status: str = QUEUED  # RQ's words
    description: str = ""
    owner: str = ""  # of the task; "" if the API is open
    scope: str = WRITE  # of the caller at the start; the weakest if unknown
    counts: dict[str, int] = field(default_factory=dict)  # committed rows by table
    done: int = 0  # committed records, failed ones included
    failed_records: int = 0  # of `done`: failed and left out
    total: int | None = None  # None: not known beforehand
    total_is_estimate: bool = False
    attempts: int = 0  # attempts started, resumes not counted; 0 before the first
    error: str | None = None  # of the last failed attempt: traceback or reason
    worker: str = ""  # the current or last worker
    epoch: int = 0  # of the checkpoint's claim; a lower epoch comes from a fenced worker
    started_at: datetime | None = None  # the first start; kept when the task is resumed
    ended_at: datetime | None = None
    next_attempt_at: datetime | None = None  # while scheduled
    start_at: datetime | None = None  # the requested start, by Redis's clock; None: at once, or retried since
    request_id: str = ""  # of the request that started the task
    callback_url: str = ""
    max_failures: str = ""  # failed records allowed: a number or a share such as 0.5%; "" for none
    dry_run: bool = False  # every chunk is rolled back
    cancel_requested: bool = False
    weight: int = 0  # cost in records within a batch of small tasks; 0: not batched
    parent: str = ""  # of a shard: the id of the split task
    parent_epoch: int = 0  # of a shard: the parent's epoch at the split; if the parent's epoch changes, the shard ends
    parent_total: int = 0  # of a shard: number of records of the parent
    first: int = 0  # of a shard: its first record within the parent
    cause: str = ""  # why this snapshot was written: start, take, progress, yield, rescue, retry, …
    actor: str = ""  # the person or client that caused this snapshot
    trace: str = ""  # W3C traceparent of the request that started the task, if TRACING is on

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def waits_for_start(self) -> bool:
        """Whether the task waits for its requested start."""
        return self.status == SCHEDULED and self.start_at is not None and not self.attempts

    @property
    def waits_since(self) -> datetime:
        """From when on the task could start: when it was accepted, or its requested start."""
        return self.start_at or self.created_at

    @property
    def given_priority(self) -> str | int:
        """The priority as the client gave it: a number, `high` or `low`."""
        return describe_priority(queue=self.priority, urgency=self.urgency)

    @property
    def given_max_failures(self) -> int | str:
        """How many records may fail, as the client gave it: a number, or a share as text."""
        return show_max_failures(self.max_failures)

    def changed(self, *, cause: str, actor: str = "", **changes: Any) -> Snapshot:
        """Return the snapshot after a change. `actor` is the person or client that caused it, "" for the service."""
        return replace(self, cause=cause, actor=actor, **changes)

    def queued(self, *, cause: str, actor: str = "", **changes: Any) -> Snapshot:
        """Return the snapshot of the task when it waits in its queue."""
        return self.changed(cause=cause, actor=actor, status=QUEUED, ended_at=None, next_attempt_at=None, **changes)

    def scheduled(self, *, at: datetime, cause: str, actor: str = "", **changes: Any) -> Snapshot:
        """Return the snapshot of the task when its start or its next attempt is due at `at`."""
        return self.changed(cause=cause, actor=actor, status=SCHEDULED, ended_at=None, next_attempt_at=at, **changes)

    def waiting(self, *, cause: str) -> Snapshot:
        """Return the snapshot of a task that no worker has claimed: queued, or scheduled while it waits for its start."""
        if self.waits_for_start and self.start_at is not None:
            return self.scheduled(at=self.start_at, cause=cause)
        return self.queued(cause=cause)

    def ended_as(self, status: str, *, at: datetime, cause: str = "end", actor: str = "", **changes: Any) -> Snapshot:
        """Return the snapshot of the task when it has ended with `status` at `at`."""
        return self.changed(cause=cause, actor=actor, status=status, ended_at=at, next_attempt_at=None, **changes)


_NAMES: Final = tuple(f.name for f in fields(Snapshot))
_OPTIONAL: Final = tuple(name for name in _NAMES if name not in ("id", "name", "created_at"))
_TIMES: Final = ("created_at", "started_at", "ended_at", "next_attempt_at", "start_at")
_DEFAULTS: Final[dict[str, Any]] = {
    "params": {},
    "priority": "low",
    "urgency": None,
    "scope": WRITE,
    "status": QUEUED,
    "counts": {},
    "done": 0,
    "failed_records": 0,
    "total": None,
    "total_is_estimate": False,
    "attempts": 0,
    "error": None,
    "epoch": 0,
    "weight": 0,
    "parent_epoch": 0,
    "parent_total": 0,
    "first": 0,
    "started_at": None,
    "ended_at": None,
    "next_attempt_at": None,
    "start_at": None,
    "cancel_requested": False,
    "dry_run": False,
}


_OTHER_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "created_at": (datetime,),
    "started_at": (datetime, NoneType),
    "ended_at": (datetime, NoneType),
    "next_attempt_at": (datetime, NoneType),
    "start_at": (datetime, NoneType),
    "params": (dict,),
    "counts": (dict,),
    "total": (int, NoneType),
    "urgency": (int, NoneType),
    "error": (str, NoneType),
    "cancel_requested": (bool,),
    "total_is_estimate": (bool,),
    "dry_run": (bool,),
}


# Every other field has the type of its default.
_TYPES: Final = {name: _OTHER_TYPES.get(name, (type(_DEFAULTS.get(name, "")),)) for name in _NAMES}


def encode(snapshot: Snapshot) -> bytes:
    """Return the snapshot as compact JSON without defaults; times in UTC with a Z."""
    data: dict[str, Any] = {"id": snapshot.id, "name": snapshot.name, "created_at": snapshot.created_at}
    for name in _OPTIONAL:
        value = getattr(snapshot, name)
        if value != _DEFAULTS.get(name, ""):
            data[name] = value
    return orjson.dumps(data, option=orjson.OPT_UTC_Z)


def decode(data: bytes | str) -> Snapshot:
    """Return the snapshot from its JSON. Unknown fields are ignored, because a newer version may have written them.

    Raises ValueError if it is not a snapshot: a field is missing or has another type.
    """
    try:
        values = orjson.loads(data)
    except ValueError as error:
        raise ValueError(f"not a snapshot: not valid JSON: {error}") from None
    if type(values) is not dict:
        raise ValueError("not a snapshot: not a JSON object")
    try:
        for name in _TIMES:
            if values.get(name):
                values[name] = datetime.fromisoformat(values[name])
        snapshot = Snapshot(**values)
    except (TypeError, ValueError) as error:
        values = {name: value for name, value in values.items() if name in _NAMES}
        try:
            snapshot = Snapshot(**values)
        except TypeError:
            raise ValueError(f"not a snapshot: {error}") from None
    for name, value in values.items():
        if type(value) not in _TYPES[name]:
            raise ValueError(f"not a snapshot: {name} is {_show(value)}")
    if any(type(number) is not int for number in snapshot.counts.values()):
        raise ValueError(f"not a snapshot: counts are {_show(snapshot.counts)}: whole numbers are needed")
    if snapshot.created_at.tzinfo is None:
        raise ValueError(f"not a snapshot: created_at has no time zone: {snapshot.created_at}")
    return snapshot


def decode_if_valid(data: bytes | str | None) -> Snapshot | None:
    """Return the snapshot from its JSON; None if the JSON is empty or invalid."""
    if not data:
        return None
    try:
        return decode(data)
    except ValueError:
        return None


def _show(value: object) -> str:
    text = repr(value)
    return f"{text[:80]}{'...' if len(text) > 80 else ''} ({type(value).__name__})"


def with_all_counts(known: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """Return `counts` with a 0 for every name of `known` that it lacks, in the order of `known`."""
    return dict.fromkeys(known, 0) | dict(counts)


def supersedes(new: Snapshot, old: Snapshot) -> bool:
    """Return whether `new`, later in the stream than `old`, replaces it.

    A lower epoch comes from a fenced worker. Only an explicit retry undoes an end, and it raises the epoch. The workers of
    two shards may publish the progress of their task out of order.
    """
    if new.epoch != old.epoch:
        return new.epoch > old.epoch
    if new.ended or old.ended:
        return not old.ended
    return new.done >= old.done
