"""Outages that a running stack must survive: each begins, lasts and ends; no task may fail, and all must finish.

`python -m tests.outages --seconds 25` runs all of them on a stack of their own; the acceptance tests run them briefly.
To add one, add an Outage to OUTAGES: its name, how it begins and ends, and the expected answers meanwhile.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from loadtests.started.servers import RedisServer, create_servers
from loadtests.started.stack import Answer, ProcfileStack

RECORDS = 3_000
ROLES = ("web", "worker", "mirror", "webhooks")
SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Outage:
    """A kind of outage; `begin` and `end` receive the stack."""

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
    """Run a script that blocks Redis; other clients get BUSY after 20 ms. The script writes nothing, so it can be killed."""
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
    with stack.redis_server.client() as client:  # database 0: a busy Redis refuses SELECT
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
    """Run an outage while tasks wait and run; raises AssertionError if a task is lost, fails or runs twice."""
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
    """Wait until the task has finished in the tables; check that each of its rows exists once."""
    task = stack.wait_for_end(task_id, deadline_seconds=SETTLE_SECONDS)
    assert task["status"] == "finished", task
    stack.wait_for_record(task_id)
    failed = "SELECT COUNT(*) FROM tasks_app_taskevent WHERE task_id = %s AND cause = 'attempt_failed'"
    assert stack.sql(failed, task_id.replace("-", "")) == [(0,)]
    assert sum(stack.row_counts(task_id).values()) == sum(task["insertedRecords"].values())
    assert stack.position_counts(task_id) == stack.row_counts(task_id)


def _run_on_redis(seconds: float, only: list[str]) -> None:
    database, redis_server = create_servers()
    _run_all(
        OUTAGES,
        ProcfileStack(database=database, redis_server=redis_server, roles=ROLES),
        seconds=seconds,
        only=only,
    )


def _run_on_database(seconds: float, only: list[str]) -> None:
    from tests.support import database_outages

    database_outages.hide_hosts()
    database, redis_server = database_outages.FragileMariaDB(), RedisServer()
    stack = ProcfileStack(database=database, redis_server=redis_server, roles=ROLES)
    database.start()
    stack.environment |= {
        "DATABASE_URL": database.give_user(stack.database_name),
        "REDIS_URL": database_outages.redis_url(redis_server, stack.redis_number),
    }
    _run_all(database_outages.DATABASE_OUTAGES, stack, seconds=seconds, only=only)


def _run_all(outages: Sequence[Outage], stack: ProcfileStack, *, seconds: float, only: list[str]) -> None:
    try:
        stack.database.start()
        stack.redis_server.start()
        stack.start()
        for outage in outages:
            if not only or outage.name in only:
                seen = run_outage(stack, outage, seconds=seconds)
                codes = {
                    "POST": sorted({answer.status for answer in seen.starts}),
                    "GET": sorted({answer.status for answer in seen.reads}),
                    "ready": sorted({answer.status for answer in seen.ready}),
                }
                print(f"{outage.name}: survived {seconds:g} s; answers meanwhile: {codes}", flush=True)
    finally:
        stack.close()
        stack.redis_server.remove()
        stack.database.remove()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=25.0, help="how long each outage lasts")
    parser.add_argument("--store", choices=("redis", "database"), help="outages of this one only")
    parser.add_argument("--only", action="append", default=[], help="run the outage of this name only")
    options = parser.parse_args()
    if options.store != "redis" and "LONGTASKS_OUTAGES" not in os.environ:
        # In a mount namespace of its own: see tests/support/database_outages.py.
        os.execvpe(
            "unshare",
            ["unshare", "--mount", sys.executable, "-m", "tests.outages", *sys.argv[1:]],
            os.environ | {"LONGTASKS_OUTAGES": "1"},
        )
    if options.store != "database":
        _run_on_redis(options.seconds, options.only)
    if options.store != "redis":
        _run_on_database(options.seconds, options.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
