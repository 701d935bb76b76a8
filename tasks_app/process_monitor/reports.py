"""The Redis hash in which the processes of all hosts report themselves: identity, resources and restarts.

Owns the hash and the format of an entry. Entries from Redis are not trusted: they are bounded and validated, and invalid
ones are skipped. Must not measure a process or know who shows one. Reads write nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import redis

from tasks_app.queues import lua_script

KEY: Final = "longtasks:processes"
KINDS: Final = ("web", "web-worker", "workers", "worker", "mirror", "webhooks")
REPORT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 15.0  # a process without a report for this long is not shown
KEPT_SECONDS: Final = 3600  # how long a successor can find its predecessor's entry
MOST_ENTRIES: Final = 1000
ENTRY_BYTES: Final = 1000
LARGEST: Final = 2**53
_PAGE: Final = 200
_HOST: Final = re.compile(r"[!-9;-~]{1,253}")  # visible, without a colon
_VERSION: Final = re.compile(r"[\w.+-]{1,40}", re.ASCII)
_EXIT: Final = re.compile(r"[\w ]{0,40}", re.ASCII)
_report: Final = lua_script.Script("report_process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A process's report. Its successors have the same host, kind and slot."""

    host: str
    kind: str
    slot: int
    pid: int
    reporter_pid: int  # the process that writes the entry: itself, its parent or its child
    began_at: float  # seconds since 1970, on its machine's clock
    version: str
    restarts: int = 0
    last_exit: str = ""  # of its predecessor: "SIGKILL", "code 1", "unknown"; "" without a predecessor
    last_exit_at: float = 0.0
    cpu_percent: float = 0.0  # of one core, since the previous report
    rss_bytes: int = 0

    @property
    def field(self) -> str:
        return f"{self.kind}:{self.slot}:{self.host}"


@dataclass(frozen=True, slots=True)
class Reported:
    """An entry in Redis, and the time since it was written."""

    entry: Entry
    text: bytes
    silent_seconds: float  # on Redis's clock

    @property
    def began_at(self) -> datetime:
        return datetime.fromtimestamp(self.entry.began_at, UTC)

    @property
    def last_exit_at(self) -> datetime | None:
        return datetime.fromtimestamp(self.entry.last_exit_at, UTC) if self.entry.last_exit else None


def write(connection: redis.Redis[Any], entry: Entry, *, expected: bytes | None = None) -> bool:
    """Write an entry with the time of Redis's clock.

    With `expected`, write it only if the field holds that (b"": is missing); return False if it does not.
    """
    text = json.dumps(asdict(entry), separators=(",", ":"))
    return bool(_report(connection, (KEY,), (entry.field, text, b"*" if expected is None else expected, KEPT_SECONDS)))


def list_processes(connection: redis.Redis[Any]) -> list[Reported]:
    """Return the processes that reported recently, sorted by host, kind and slot. Raises redis.RedisError."""
    alive = [each for each in read_all(connection).values() if each.silent_seconds < SILENT_SECONDS]
    return sorted(alive, key=lambda each: (each.entry.host, KINDS.index(each.entry.kind), each.entry.slot))


def read_all(connection: redis.Redis[Any]) -> dict[str, Reported]:
    """Return all valid entries by field, including those of silent processes. Raises redis.RedisError."""
    now = connection.time()[0]
    found = {}
    for name, text in _scan(connection):
        if (reported := _parse(name, text, now=now)) is not None:
            found[reported.entry.field] = reported
    return found


def remove_old(connection: redis.Redis[Any]) -> None:
    """Remove entries that are older than KEPT_SECONDS, and invalid ones."""
    now = connection.time()[0]
    for name, text in list(_scan(connection)):
        reported = _parse(name, text, now=now)
        if reported is None or reported.silent_seconds >= KEPT_SECONDS:
            connection.hdel(KEY, name)


def remove(connection: redis.Redis[Any], entry: Entry) -> None:
    """Remove the entry of a process that ends on request."""
    connection.hdel(KEY, entry.field)


def _scan(connection: redis.Redis[Any]) -> Iterator[tuple[bytes, bytes]]:
    if connection.type(KEY) not in (b"hash", b"none"):
        return
    for seen, pair in enumerate(connection.hscan_iter(KEY, count=_PAGE)):
        if seen >= MOST_ENTRIES:
            return
        yield pair


def _parse(name: bytes, text: bytes, *, now: int) -> Reported | None:
    if len(text) > ENTRY_BYTES:
        return None
    at, _, body = text.partition(b" ")
    if not re.fullmatch(rb"[0-9]{1,12}", at):
        return None
    try:
        values = json.loads(body)
        entry = _check(values)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return Reported(entry, text, max(0.0, float(now - int(at)))) if entry.field.encode() == name else None


def _check(values: Mapping[str, Any]) -> Entry:
    """Return the entry. Raises ValueError, TypeError or KeyError if a value is missing, of another type or out of bounds."""
    if values["kind"] not in KINDS:
        raise ValueError("kind")
    return Entry(
        host=_text(values["host"], _HOST),
        kind=values["kind"],
        slot=_whole(values["slot"], most=9999),
        pid=_whole(values["pid"], most=2**31),
        reporter_pid=_whole(values["reporter_pid"], most=2**31),
        began_at=_number(values["began_at"], most=2**32),
        version=_text(values["version"], _VERSION),
        restarts=_whole(values["restarts"], most=10**9),
        last_exit=_text(values["last_exit"], _EXIT),
        last_exit_at=_number(values["last_exit_at"], most=2**32),
        cpu_percent=_number(values["cpu_percent"], most=10**6),
        rss_bytes=_whole(values["rss_bytes"], most=LARGEST),
    )


def _text(value: Any, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError("text")
    return value


def _whole(value: Any, *, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("whole number")
    return value


def _number(value: Any, *, most: float) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= most:
        raise ValueError("number")
    return float(value)
