"""Dry runs on real worker processes that are killed: no row changes, and the counts are those of a real run."""

from typing import Any

import pytest

from loadtests.started.stack import ProcfileStack
from tests.acceptance.test_collections_under_kills import ENVIRONMENT
from tests.chaos.collections import Filled, fill
from tests.conftest import MakeStack

pytestmark = pytest.mark.slow
ROWS = 800


def read_rows(stack: ProcfileStack) -> list[Any]:
    return [
        stack.sql(f"SELECT * FROM {table} ORDER BY id") for table in ("users", "order_items", "archived_order_items")
    ]


def start_dry_run(stack: ProcfileStack, name: str, filled: Filled) -> str:
    answer = stack.post("/tasks", {"name": name, "params": filled.params_of(name), "dryRun": True})
    assert answer.status == 201, answer
    return str(answer.json["id"])


def assert_dry(stack: ProcfileStack, name: str, task_id: str, filled: Filled, *, before: list[Any]) -> None:
    task = stack.wait_for_end(task_id, deadline_seconds=240)
    rows = filled.rows_of(name)
    assert (task["status"], task["progress"]["done"], task["dryRun"]) == ("finished", rows, True), task
    counted = {
        "add_one": {"changed": rows},
        "prune_order_items": {"archived_order_items": rows, "deleted_order_items": rows},
    }
    if name in counted:
        assert {key: number for key, number in task["counts"].items() if number} == counted[name]
    else:
        assert sum(task["counts"].values()) == rows
    shown = stack.get(f"/tasks/{task_id}").json["changes"]
    assert len(shown) == 20
    assert [change["position"] for change in shown] == sorted({change["position"] for change in shown})
    assert read_rows(stack) == before


@pytest.mark.parametrize("point", ["after_dry_chunk", "before_chunk_commit", "after_chunk_commit"])
@pytest.mark.parametrize(("name", "shard_records"), [("prune_order_items", 0)])
def test_workers_that_die_around_a_rollback(make_stack: MakeStack, point: str, name: str, shard_records: int) -> None:
    environment = {**ENVIRONMENT, "CRASH_POINTS": f"{point}=3", "SHARD_RECORDS": str(shard_records)}
    stack = make_stack(workers=2, environment=environment)
    filled = fill(stack, rows=ROWS)
    before = read_rows(stack)
    assert_dry(stack, name, start_dry_run(stack, name, filled), filled, before=before)
