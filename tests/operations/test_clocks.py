"""Machines with wrong clocks: the clock of Redis decides, so no task is rescued and no time runs backwards."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from loadtests.started.stack import ProcfileStack
from tests.conftest import MakeStack

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
SECONDS = 10
TASKS = 25

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime: apt-get install faketime"),
]


def off_by(seconds: int) -> dict[str, str]:
    """Return the environment of a machine with a wrong clock."""
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": f"{seconds:+d}s"}


def times(task: dict[str, Any]) -> list[datetime]:
    return [datetime.fromisoformat(task[name]) for name in ("createdAt", "startedAt", "endedAt")]


def assert_all_end_in_order(stack: ProcfileStack) -> None:
    task_ids = [stack.start_upload(records=50) for _ in range(TASKS)] + [stack.start_upload(records=20_000)]
    for task_id in task_ids:
        task = stack.wait_for_end(task_id, deadline_seconds=60)
        assert task["status"] == "finished"
        assert times(task) == sorted(times(task)), task
        with stack.redis() as client:
            seconds, _ = client.time()
        assert abs(times(task)[2].timestamp() - seconds) < 60
    for task_id in task_ids:
        stack.wait_for_record(task_id)
    assert stack.sql("SELECT COUNT(*) FROM tasks_app_taskevent WHERE cause = 'rescue'") == [(0,)]
    inverted = "SELECT COUNT(*) FROM tasks_app_taskrecord WHERE started_at < created_at OR ended_at < started_at"
    assert stack.sql(inverted) == [(0,)]


@pytest.mark.parametrize("seconds", [-SECONDS, SECONDS])
def test_a_worker_host_with_a_wrong_clock_is_named_and_no_task_is_rescued(make_stack: MakeStack, seconds: int) -> None:
    stack = make_stack(workers=2, roles=("web", "mirror"), environment={"LEASE_SECONDS": "2"})
    words = [f"{name}={value}" for name, value in off_by(seconds).items()]
    stack.start_role("skewed", command=" ".join(["env", *words, "python manage.py workers 2"]))
    assert_all_end_in_order(stack)

    found = stack.run_manage("doctor").stdout
    assert f"{SECONDS}.0 s {'behind' if seconds < 0 else 'ahead of'} Redis's" in found, found
