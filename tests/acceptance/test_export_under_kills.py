"""An export while its workers are killed: the file has the same bytes as one that nobody disturbed."""

import hashlib
import random
import signal
import time
from typing import Any

import pytest

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack import child_process
from tests.conftest import MakeStack

RECORDS = 30_000
KILLS = 8


def export(stack: ProcfileStack, upload_id: str) -> str:
    answer = stack.post("/tasks", {"name": "export_order_items", "params": {"taskId": upload_id}})
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


def artifact_of(stack: ProcfileStack, task: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    assert task["status"] == "finished", task
    [artifact] = task["artifacts"]
    content = stack.get(artifact["url"], timeout_seconds=60).body
    assert len(content) == artifact["size"]
    assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
    return artifact, content


@pytest.mark.slow
def test_kills_of_workers_change_no_byte(make_stack: MakeStack) -> None:
    stack = make_stack(workers=2, environment={"CHUNK_SECONDS": "0.02", "PAUSE_MS": "40", "LEASE_SECONDS": "1.5"})
    upload_id = stack.start_upload(records=RECORDS)
    stack.wait_for_end(upload_id, deadline_seconds=120)
    _, expected = artifact_of(stack, stack.wait_for_end(export(stack, upload_id), deadline_seconds=120))
    assert expected.count(b"\r\n") == RECORDS + 1

    task_id = export(stack, upload_id)
    chance, killed = random.Random(7), 0
    while killed < KILLS and stack.task(task_id)["endedAt"] is None:
        time.sleep(chance.uniform(0.1, 0.6))
        child_process.signal_pids(pids=stack.child_pids("worker"), signal_number=signal.SIGKILL)
        killed += 1
    task = stack.wait_for_end(task_id, deadline_seconds=120)
    _, content = artifact_of(stack, task)
    assert content == expected
    assert (task["insertedRecords"], task["result"]["rows"]) == ({"rows": RECORDS}, RECORDS)
    print(f"{killed} kills; attempts {task['attempts']}")
    assert killed >= 2

    # What the killed workers left is deleted once it has expired; nothing else is there.
    stack.sql("UPDATE tasks_app_taskfile SET expires_at = '2000-01-01' WHERE is_complete = 0")
    stack.manage("prune", "--older-than", "30d")
    stored = [path for path in (stack.directory / "files" / "stored").rglob("*") if path.is_file()]
    assert len(stored) == 2
