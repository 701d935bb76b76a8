"""The retry of failed rows on real worker processes that die: each of them is processed exactly once."""

import uuid

import pytest

from loadtests.started.stack import ProcfileStack
from tests.acceptance.test_collections_under_kills import ENVIRONMENT
from tests.chaos.collections import fill
from tests.conftest import MakeStack

pytestmark = pytest.mark.slow
ROWS, EVERY = 1_000, 8


def count(stack: ProcfileStack, what: str) -> int:
    return int(stack.sql(f"SELECT COUNT(*) FROM {what}")[0][0])


@pytest.mark.parametrize("point", ["before_chunk_commit", "after_chunk_commit"])
@pytest.mark.parametrize("shard_records", [0])
def test_failed_rows_are_retried_once_whatever_dies(make_stack: MakeStack, point: str, shard_records: int) -> None:
    stack = make_stack(
        workers=2, environment={**ENVIRONMENT, "SHARD_RECORDS": str(shard_records), "LEASE_SECONDS": "2"}
    )
    items = fill(stack, rows=ROWS).items
    stack.sql("UPDATE order_items SET quantity = quantity + 100 WHERE position %% %s = 0", EVERY)
    great = count(stack, "order_items WHERE quantity > 100")
    answer = stack.post("/tasks", {"name": "add_one_if_small", "maxFailures": "100%"})
    first = stack.wait_for_end(answer.json["id"], deadline_seconds=240)
    assert (first["status"], first["failedRecords"]) == ("finished", great), first
    stack.sql("UPDATE order_items SET quantity = quantity - 100 WHERE quantity > 100")
    stack.environment["CRASH_POINTS"] = f"{point}=2"
    stack.restart_role("worker")

    answer = stack.post(f"/tasks/{first['id']}/failures/retry")

    assert answer.status == 201, answer
    retry = stack.wait_for_end(answer.json["id"], deadline_seconds=240)
    assert (retry["status"], retry["failedRecords"], retry["counts"]) == ("finished", 0, {"changed": great}), retry
    assert retry["progress"] == {"done": great, "total": great, "isEstimate": False}
    same = "order_items o JOIN items_before b ON o.id = b.id WHERE o.quantity = b.quantity + 1"
    assert (count(stack, "order_items"), count(stack, same)) == (items, items)
    [(claims,)] = stack.sql(
        "SELECT SUM(epoch) FROM tasks_app_taskcheckpoint WHERE %s IN (task_id, parent_id)", uuid.UUID(retry["id"]).hex
    )
    shards = count(stack, f"tasks_app_taskcheckpoint WHERE parent_id = '{uuid.UUID(retry['id']).hex}'")
    assert claims > shards + 1  # some worker has died
    assert stack.post(f"/tasks/{first['id']}/failures/retry").status == 409
