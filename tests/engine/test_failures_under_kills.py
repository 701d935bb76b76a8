"""Bad records among many while workers are killed: the list has exactly those, the table all others, each once.

The long variant (`FAILURES_RECORDS=1000000`) has 1,000 bad records among a million.
"""

import os
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from loadtests.started.servers import IS_EMBEDDED
from loadtests.started.stack import ProcfileStack
from longtasks.local_stack import child_process
from tests.chaos.faults import kill_worker_child
from tests.conftest import MakeStack

RECORDS = int(os.environ.get("FAILURES_RECORDS", "20000"))
BAD = min(1_000, RECORDS // 100)
EVERY = RECORDS // BAD
KILL_SECONDS = 5.0 if RECORDS > 100_000 else 3.0


@pytest.fixture
def failing_stack(make_stack: MakeStack) -> Callable[..., ProcfileStack]:
    def make(**environment: str) -> ProcfileStack:
        settings = {"DJANGO_SETTINGS_MODULE": "tests.support.engine_settings", "LEASE_SECONDS": "2"}
        return make_stack(workers=2, environment=settings | environment)

    return make


def run_under_kills(stack: ProcfileStack, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Start a task, and kill one of the workers every KILL_SECONDS until it has ended."""
    answer = stack.post("/tasks", body)
    assert answer.status == 201, answer
    dice, kills, deadline = random.Random(19), 0, time.monotonic() + 3600
    ended: dict[str, Any] = {}

    def has_ended() -> bool:
        ended.update(stack.task(answer.json["id"]))
        return ended["status"] in ("finished", "failed", "canceled", "stopped")

    while not child_process.wait_until(has_ended, deadline_seconds=KILL_SECONDS) and time.monotonic() < deadline:
        kill_worker_child(stack, dice)
        kills += 1
    return ended, kills


def bad_positions(stack: ProcfileStack, task_id: str) -> list[int]:
    """Return the positions in the list of failures, page by page, as a client reads them."""
    found, address = [], f"/tasks/{task_id}/failures?limit=1000"
    while address:
        page = stack.get(address).json
        found += [failure["position"] for failure in page["failures"]]
        address = page["next"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["failing", "failing_shards"])
def test_exactly_the_bad_records_are_listed_whatever_dies(failing_stack: Any, name: str) -> None:
    stack = failing_stack(SHARD_RECORDS=str(RECORDS // 8))
    how = "value" if IS_EMBEDDED else "integrity"
    params = {"records": RECORDS, "every": EVERY, "rest": EVERY - 1, "how": how}

    task, kills = run_under_kills(stack, {"name": name, "params": params, "maxFailures": BAD})

    assert (task["status"], task["failedRecords"], task["progress"]["done"]) == ("finished", BAD, RECORDS), task
    assert task["insertedRecords"] == {"users": RECORDS - BAD}
    assert bad_positions(stack, task["id"]) == list(range(EVERY - 1, RECORDS, EVERY))
    key = uuid.UUID(task["id"]).hex
    statement = (
        "SELECT COUNT(*), COUNT(DISTINCT position), SUM(position), MIN(position), MAX(position), "
        f"SUM(position %% {EVERY} = {EVERY - 1}) FROM users WHERE task_id = %s"
    )
    [row] = stack.sql(statement, key)
    good = sum(range(RECORDS)) - sum(range(EVERY - 1, RECORDS, EVERY))
    assert [int(number) for number in row] == [RECORDS - BAD, RECORDS - BAD, good, 0, RECORDS - 2, 0]
    assert kills > 0
    print(f"{name}: {RECORDS:,} records, {BAD:,} bad, {kills} kills, attempts {task['attempts']}")


@pytest.mark.slow
def test_the_list_never_exceeds_the_bound_with_workers_at_once(failing_stack: Any) -> None:
    stack = failing_stack(SHARD_RECORDS="500")
    body = {"name": "failing_shards", "params": {"records": 8_000, "every": 10, "rest": 9}}
    started = [stack.post("/tasks", {**body, "maxFailures": bound}).json["id"] for bound in (1, 5, 50, "0.3%")]

    ends = [stack.wait_for_end(task_id, deadline_seconds=120) for task_id in started]

    for task, bound in zip(ends, (1, 5, 50, 300), strict=True):
        assert task["status"] == "failed"
        found = bad_positions(stack, task["id"])
        assert len(found) == len(set(found)) == task["failedRecords"] <= bound
        assert "records failed, maxFailures is" in task["error"]
    assert [task["failedRecords"] for task in ends[:3]] == [1, 5, 50]
