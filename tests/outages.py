"""Outages that a running stack must wait out: each begins, lasts, and ends; nothing may fail, and all must finish.

`python -m tests.outages --seconds 25` runs all of them on a stack of their own; the acceptance tests run them briefly.
To add one, add an Outage to OUTAGES: its name, how it begins, how it ends, and what answers meanwhile.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from tests.servers import create_servers
from tests.stack import Answer, ProcfileStack

RECORDS = 3_000
ROLES = ("web", "worker", "mirror", "webhooks", "stream")
SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Outage:
    """A kind of outage; `begin` and `end` are given the stack."""

    name: str
    begin: Callable[[ProcfileStack], Any]
    end: Callable[[ProcfileStack], Any]
    starts_refused: bool = True  # POST /tasks is 503 while it lasts
    reads_refused: bool = False  # GET /tasks/{id} may be 503 too
    not_ready: bool = True  # /health/ready is 503
    problem: str = "queue-unavailable"


def _set(name: str, value: Any) -> Callable[[ProcfileStack], None]:
    def change(stack: ProcfileStack) -> None:
        with stack.redis() as client:
            client.config_set(name, value)

    return change


def _run_without_end(stack: ProcfileStack) -> None:
    """A script that others must be told to wait for, 20 ms after its begin; it writes nothing, so it can be killed."""
    _set("busy-reply-threshold", 20)(stack)

    def run() -> None:
        with suppress(redis.RedisError), stack.redis() as client:
            client.eval("while true do end", 0)

    threading.Thread(target=run, daemon=True).start()
    stack.wait_for(lambda: _is_busy(stack), deadline_seconds=10, what="Redis is busy")


def _is_busy(stack: ProcfileStack) -> bool:
    try:
        with stack.redis() as client:
            client.ping()
    except redis.RedisError as error:
        return "BUSY" in str(error)
    return False


def _kill_script(stack: ProcfileStack) -> None:
    with stack.redis_server.client() as client:  # of database 0: a busy Redis refuses SELECT
        client.script_kill()
    stack.wait_for(lambda: not _is_busy(stack), deadline_seconds=10, what="the script has ended")
    _set("busy-reply-threshold", 5000)(stack)


OUTAGES = (
    Outage("OOM", begin=_set("maxmemory", 1), end=_set("maxmemory", 0)),
    Outage("BUSY", begin=_run_without_end, end=_kill_script, reads_refused=True),
    Outage("NOREPLICAS", begin=_set("min-replicas-to-write", 1), end=_set("min-replicas-to-write", 0)),
)


@dataclass(slots=True)
class Seen:
    """What a client saw while an outage lasted."""

    starts: list[Answer]
    reads: list[Answer]
    ready: list[Answer]
    live: list[Answer]


def run_outage(stack: ProcfileStack, outage: Outage, *, seconds: float) -> Seen:
    """Let an outage come over tasks that wait and run; raise AssertionError where one is lost, failed or run twice."""
    task_ids = [stack.start_upload(records=RECORDS) for _ in range(4)]
    task_ids += [stack.start_upload(records=5, priority="high") for _ in range(4)]
    stack.wait_for(lambda: any(stack.task(task_id)["startedAt"] for task_id in task_ids), deadline_seconds=30)
    pids = {role: sorted(stack.pids(role)) for role in ROLES}
    outage.begin(stack)
    try:
        seen = _watch(stack, task_ids, seconds=seconds)
    finally:
        outage.end(stack)
    for task_id in task_ids:
        _wait_until_told(stack, task_id)
    assert {role: sorted(stack.pids(role)) for role in ROLES} == pids, f"{outage.name}: processes died"
    _check_answers(outage, seen)
    return seen


def _watch(stack: ProcfileStack, task_ids: list[str], *, seconds: float) -> Seen:
    seen = Seen([], [], [], [])
    task = {"name": "upload", "params": {"numRecords": 1}}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        seen.starts.append(stack.post("/tasks", task))
        seen.reads.append(stack.get(f"/tasks/{task_ids[0]}"))
        seen.ready.append(stack.get("/health/ready"))
        seen.live.append(stack.get("/health/live"))
        threading.Event().wait(0.1)
    return seen


def _check_answers(outage: Outage, seen: Seen) -> None:
    for kind, answers, refused in (
        ("POST /tasks", seen.starts, outage.starts_refused),
        ("GET /tasks/{id}", seen.reads, outage.reads_refused),
    ):
        for answer in answers:
            good = answer.status in (200, 201) if not refused or kind.startswith("GET") else False
            what = f"{outage.name}: {kind} is {answer.status} {answer.body[:300]!r} {answer.error}"
            assert good or (refused and answer.status == 503), what
            if answer.status == 503:
                assert answer.json["type"].endswith(outage.problem), what
                assert int(answer.headers["Retry-After"]) >= 1, what
                assert answer.headers["Content-Type"] == "application/problem+json", what
    assert {answer.status for answer in seen.live} == {200}, outage.name
    if outage.not_ready:
        assert {answer.status for answer in seen.ready} == {503}, outage.name


def _wait_until_told(stack: ProcfileStack, task_id: str) -> None:
    """The task finishes, each of its rows is there once, and the tables tell so."""
    task = stack.wait_for_end(task_id, deadline_seconds=SETTLE_SECONDS)
    assert task["status"] == "finished", task
    stack.wait_for_record(task_id)
    failed = "SELECT COUNT(*) FROM tasks_app_taskevent WHERE task_id = %s AND cause = 'attempt_failed'"
    assert stack.sql(failed, task_id.replace("-", "")) == [(0,)]
    assert sum(stack.row_counts(task_id).values()) == sum(task["insertedRecords"].values())
    assert stack.position_counts(task_id) == stack.row_counts(task_id)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=25.0, help="how long each outage lasts")
    parser.add_argument("--only", choices=[outage.name for outage in OUTAGES], action="append", help="run these only")
    options = parser.parse_args()
    database, redis_server = create_servers()
    stack = ProcfileStack(database=database, redis_server=redis_server, roles=ROLES)
    try:
        database.start()
        redis_server.start()
        stack.start()
        for outage in OUTAGES:
            if not options.only or outage.name in options.only:
                run_outage(stack, outage, seconds=options.seconds)
                print(f"{outage.name}: {options.seconds:g} s waited out", flush=True)
    finally:
        stack.close()
        redis_server.remove()
        database.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
