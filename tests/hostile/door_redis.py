"""Door: Redis. Foreign jobs, queue entries and stream entries, and RQ's own tools on our queues.

Owns what is written. Tasks behind it must continue, and nothing odd may stay in a queue or in the stream.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import uuid
import zlib
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from loadtests.started.stack import ENDED
from longtasks.local_stack.child_process import wait_until
from tests.hostile.drawing import draw
from tests.hostile.world import World

DOOR = "Redis entries"
STREAM = "longtasks:events"
DRAIN_SECONDS = 20.0
BATCH = 40
NOW = "2026-01-01T00:00:00.000000Z"
RUN_TASK = '["tasks_app.worker.run_task",null,[],{}]'

_json: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=10),
    st.just([]),
    st.just({}),
    st.sampled_from([-1, 2**31, 2**32, 2**63, 2**64 - 1, "x" * 300, "🎉" * 300, {"users": 2**63}, {"users": "x"}, [1]]),
)
_FIELDS = [
    "id",
    "name",
    "created_at",
    "params",
    "priority",
    "status",
    "description",
    "owner",
    "counts",
    "done",
    "total",
    "attempts",
    "error",
    "worker",
    "epoch",
    "started_at",
    "ended_at",
    "next_attempt_at",
    "start_at",
    "request_id",
    "callback_url",
    "cancel_requested",
    "weight",
    "parent",
    "parent_epoch",
    "parent_total",
    "first",
    "cause",
    "actor",
    "trace",
]
_snapshots = st.dictionaries(st.sampled_from(_FIELDS), _json, max_size=3)
_raw = st.one_of(
    st.binary(max_size=30), st.sampled_from([b"", b"{", b"null", b"[]", b"1", b'"x"', b"{}", b"\xff\xfe", b"[" * 5_000])
)
_entries = st.one_of(_snapshots.map(lambda changes: ("changes", changes)), _raw.map(lambda data: ("raw", data)))
_BY_HAND: list[tuple[str, Any]] = [
    ("raw", b""),
    ("raw", b"null"),
    ("raw", b"\x80\x04\x95"),
    ("raw", pickle.dumps({"a": 1})),
    ("raw", b"{" * 100_000),
    ("raw", b'{"id": "x"}'),
    ("changes", {"id": 5}),
    ("changes", {"id": "not-a-uuid"}),
    ("changes", {"id": ""}),
    ("changes", {"name": None}),
    ("changes", {"name": "n" * 300}),
    ("changes", {"name": "nope"}),
    ("changes", {"created_at": "yesterday"}),
    ("changes", {"created_at": "9999-12-31T23:59:59.999999+00:00"}),
    ("changes", {"created_at": 5}),
    ("changes", {"params": [1]}),
    ("changes", {"priority": "middle"}),
    ("changes", {"status": "gone"}),
    ("changes", {"status": "x" * 200}),
    ("changes", {"counts": {"users": -1}}),
    ("changes", {"counts": [5]}),
    ("changes", {"counts": {"users": "five"}, "status": "finished"}),
    ("changes", {"done": -1}),
    ("changes", {"done": 2**64 - 1}),
    ("changes", {"done": "5"}),
    ("changes", {"total": -1}),
    ("changes", {"total": "many"}),
    ("changes", {"attempts": -5}),
    ("changes", {"epoch": 2**40}),
    ("changes", {"epoch": -1}),
    ("changes", {"weight": -5}),
    ("changes", {"weight": "heavy"}),
    ("changes", {"error": 5}),
    ("changes", {"error": "x" * 2_000_000}),
    ("changes", {"worker": "w" * 500}),
    ("changes", {"actor": "a" * 94}),
    ("changes", {"description": "🎉" * 400}),
    ("changes", {"owner": "o" * 90}),
    ("changes", {"request_id": "r" * 90}),
    ("changes", {"cause": "c" * 90}),
    ("changes", {"callback_url": "http://[::::]/", "status": "finished", "ended_at": NOW}),
    ("changes", {"callback_url": "u" * 700, "status": "finished", "ended_at": NOW}),
    ("changes", {"ended_at": "soon", "status": "finished"}),
    ("changes", {"parent": "x"}),
    ("changes", {"parent": str(uuid.UUID(int=5)), "first": -1}),
    ("changes", {"started_at": "0000-00-00"}),
    ("changes", {"unknown": {"field": [1]}}),
]


def run(world: World, *, number: int) -> None:
    """Write `number` entries: half into the stream, half as jobs of the low queue."""
    drawn = draw(_entries, number=max(0, number - 2 * len(_BY_HAND)), seed_number=world.seed)
    given = [(place, entry) for entry in _BY_HAND for place in ("stream", "job")]
    given += [(("stream", "job")[index % 2], entry) for index, entry in enumerate(drawn)]
    for start in range(0, len(given), BATCH):
        _write_batch(world, given[start : start + BATCH])
    for words, fields in _foreign_jobs().items():
        with world.stack.redis() as client:
            client.hset(f"rq:job:{words}", mapping=fields)
            client.rpush("rq:queue:low", words)
        _expect_drained(world, [words])
    _enter_without_jobs(world)
    _cancel_by_rq(world)


def _write_batch(world: World, given: list[tuple[str, tuple[str, Any]]]) -> None:
    words = []
    with world.stack.redis() as client:
        for place, (kind, value) in given:
            task_id = str(uuid.uuid4())
            data = value if kind == "raw" else _snapshot(task_id, value)
            words.append(f"{place}: {value!r}")
            if place == "stream":
                client.xadd(STREAM, {"s": data})
            else:
                key = str(value["id"]) if kind != "raw" and value.get("id") else task_id
                fields = {"status": "queued", "origin": "low", "data": RUN_TASK, "created_at": NOW, "s": data, "w": 0}
                client.hset(f"rq:job:{key}", mapping=fields)
                client.rpush("rq:queue:low", key)
    _expect_drained(world, words)


def _expect_drained(world: World, words: list[str]) -> None:
    """Wait until queue and stream have ordinary entries only, and report the values that are left."""
    ended = sum(world.watch.ended.values())
    marks: dict[str, Any] = {}

    def is_drained() -> bool:
        with world.stack.redis() as client:
            last = client.xrange(STREAM, count=1)
            marks.setdefault(
                "last", client.xinfo_stream(STREAM)["last-generated-id"] if client.exists(STREAM) else b"0-0"
            )
            marks.setdefault("queue", set(client.lrange("rq:queue:low", 0, -1)))
            is_read = not last or _id(last[0][0]) > _id(marks["last"])
            return is_read and not marks["queue"] & set(client.lrange("rq:queue:low", 0, -1))

    is_through = wait_until(is_drained, deadline_seconds=DRAIN_SECONDS, pause_seconds=0.1)
    world.watch.look()
    if not is_through:
        _remove(world, marks)
        world.tally.fault(
            DOOR, "stays in the queue or the stream", given="; ".join(words), seen=f"{len(words)} entries"
        )
        world.tally.note(DOOR, "beside it", number=len(words) - 1)
    elif sum(world.watch.ended.values()) > ended:
        world.tally.fault(DOOR, "a process has ended", given="; ".join(words), seen=f"{len(words)} entries")
        world.tally.note(DOOR, "beside it", number=len(words) - 1)
    else:
        world.tally.note(DOOR, "passed over or set aside", number=len(words))


def _remove(world: World, marks: dict[str, Any]) -> None:
    """Do what an operator would do by hand, so that the run continues."""
    with world.stack.redis() as client:
        first, second = _id(marks["last"])
        client.xtrim(STREAM, minid=f"{first}-{second + 1}", approximate=False)
        for entry in marks["queue"]:
            client.lrem("rq:queue:low", 0, entry)


def _snapshot(task_id: str, changes: dict[str, Any]) -> bytes:
    values = {"id": task_id, "name": "upload", "created_at": NOW, "params": {"numRecords": 1}, "total": 1}
    return json.dumps(values | changes).encode()


def _id(value: bytes) -> tuple[int, int]:
    first, _, second = value.decode().partition("-")
    return int(first), int(second or 0)


def _foreign_jobs() -> dict[str, dict[str, Any]]:
    """Write foreign RQ jobs."""
    stamp = datetime.now(UTC).isoformat()
    job = {"status": "queued", "origin": "low", "created_at": stamp, "enqueued_at": stamp}
    return {
        "foreign-pickle": job | {"data": zlib.compress(pickle.dumps(("os.getcwd", None, (), {})))},
        "foreign-raw-pickle": job | {"data": pickle.dumps(("os.getcwd", None, (), {}))},
        "foreign-unknown": job | {"data": '["nowhere.nothing",null,[],{}]'},
        "foreign-os": job | {"data": '["os.abort",null,[],{}]'},
        "foreign-no-list": job | {"data": '{"a": 1}'},
        "foreign-short": job | {"data": "[]"},
        "foreign-arguments": job | {"data": '["tasks_app.worker.run_task",null,5,"x"]'},
        "foreign-empty": {"status": "queued"},
        "foreign-no-status": {"data": RUN_TASK},
        "foreign-odd-status": job | {"status": "gone", "data": RUN_TASK},
        "foreign-odd-time": job | {"created_at": "yesterday", "data": RUN_TASK},
        "foreign-odd-timeout": job | {"timeout": "soon", "data": RUN_TASK},
        "foreign-bytes": job | {"data": b"\xff\xfe\x00", "description": b"\xff"},
        "foreign:colon:in:it": job | {"data": RUN_TASK},
    }


def _enter_without_jobs(world: World) -> None:
    """Write queue entries that name no job or are not text."""
    entries = [b"nothing", b"", b"\xff\xfe", b"a" * 5_000, str(uuid.uuid4()).encode(), b"x y", b"%s"]
    with world.stack.redis() as client:
        for entry in entries:
            client.rpush("rq:queue:low", entry)
            client.rpush("rq:queue:high", entry)
    _expect_drained(world, [f"queue entry {entry[:40]!r}" for entry in entries])


def _cancel_by_rq(world: World) -> None:
    """Call RQ's own Job.cancel on a waiting task: it must be canceled, not queued for ever."""
    stack = world.stack
    stack.post("/queues/low/pause", {"reason": "hostile"})
    task_id = stack.start_upload(records=1)
    script = "import sys, redis; from rq.job import Job; Job.fetch(sys.argv[2], connection=redis.from_url(sys.argv[1])).cancel()"
    script = script.replace("Job.fetch(", "__import__('rq.serializers').serializers; Job.fetch(").replace(
        "connection=", "serializer=__import__('rq.serializers', fromlist=['x']).JSONSerializer, connection="
    )
    url = stack.environment["REDIS_URL"]
    done = subprocess.run(
        [sys.executable, "-c", script, url, task_id], capture_output=True, text=True, check=False, timeout=60
    )
    stack.post("/queues/low/resume")
    if done.returncode:
        world.tally.fault(DOOR, "RQ's cancel fails", given=task_id, seen=done.stderr[-300:])
    elif wait_until(lambda: stack.task(task_id)["status"] in ENDED, deadline_seconds=20, pause_seconds=0.2):
        world.tally.note(DOOR, "canceled by RQ")
    else:
        world.tally.fault(
            DOOR, "canceled by RQ, open for ever", given="Job.cancel()", seen=stack.task(task_id)["status"]
        )


def run_stock_worker(world: World, *, tasks: int = 5) -> None:
    """Let a stock `rq worker --burst` dequeue our jobs while our workers are down: requeued, or ended with the cause."""
    stack = world.stack
    world.ordinary.pause()
    with world.watch.expecting("worker"):
        stack.stop_role("worker")
        task_ids = [stack.start_upload(records=1) for _ in range(tasks)]
        url = stack.environment["REDIS_URL"]
        arguments = ["worker", "--burst", "--url", url, "low"]
        subprocess.run(
            [sys.executable, "-c", "from rq.cli import main; main()", *arguments],
            capture_output=True,
            check=False,
            timeout=60,
            env=stack.environment,
        )
        stack.start_role("worker")
    for task_id in task_ids:
        if wait_until(lambda: stack.task(task_id)["status"] in ENDED, deadline_seconds=30, pause_seconds=0.2):  # noqa: B023
            world.tally.note(DOOR, f"taken by a stock worker: {stack.task(task_id)['status']}")
        else:
            world.tally.fault(
                DOOR,
                "taken by a stock worker, open for ever",
                given="rq worker --burst low",
                seen=stack.task(task_id)["status"],
            )
    world.ordinary.resume()
