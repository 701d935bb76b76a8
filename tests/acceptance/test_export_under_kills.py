"""An export while its workers are killed: the file has the same bytes as one that nobody disturbed.

`python -m tests.chaos.exports` does the same with a million rows.
"""

import pytest

from tests.chaos.collections import kill_workers
from tests.chaos.exports import digest_ids, download, fill, find_faults, list_stored, start_export
from tests.conftest import MakeStack

pytestmark = pytest.mark.slow
ROWS = 30_000
ENVIRONMENT = {
    "CHUNK_SECONDS": "0.02",
    "PAUSE_MS": "100",
    "LEASE_SECONDS": "1.5",
    "RESCUE_SECONDS": "0.2",
    "RETRY_ATTEMPTS": "50",
    "RETRY_FIRST_SECONDS": "0.1",
    "RETRY_MAX_SECONDS": "0.5",
}


# A worker that is alone must have time to start: it is killed less often.
@pytest.mark.parametrize(("workers", "shard_records", "every_seconds"), [(1, 0, 4.0), (4, 4_000, 0.8)])
def test_kills_of_workers_change_no_byte(
    make_stack: MakeStack, workers: int, shard_records: int, every_seconds: float
) -> None:
    stack = make_stack(workers=workers, environment={**ENVIRONMENT, "SHARD_RECORDS": str(shard_records)})
    rows = fill(stack, rows=ROWS)
    expected = download(stack, stack.wait_for_end(start_export(stack), deadline_seconds=240))
    assert find_faults(expected, expected, rows=rows) == []
    assert expected.ids == digest_ids(stack)

    task_id = start_export(stack)
    kills = kill_workers(stack, task_id=task_id, every_seconds=every_seconds, deadline_seconds=240)
    found = download(stack, stack.wait_for_end(task_id, deadline_seconds=60))
    assert find_faults(found, expected, rows=rows) == []
    print(f"{kills} kills; attempts {found.task['attempts']}")
    assert kills >= 1
    # What the killed workers left is deleted once it has expired; nothing else is there.
    assert len(list_stored(stack)) == 2


@pytest.mark.parametrize("point", ["before_chunk_commit", "after_chunk_commit"])
@pytest.mark.parametrize("shard_records", [0])
def test_workers_that_die_before_and_after_a_commit(make_stack: MakeStack, point: str, shard_records: int) -> None:
    environment = {**ENVIRONMENT, "CRASH_POINTS": f"{point}=3", "SHARD_RECORDS": str(shard_records), "PAUSE_MS": "0"}
    stack = make_stack(workers=2, environment=environment)
    rows = fill(stack, rows=ROWS)
    found = download(stack, stack.wait_for_end(start_export(stack), deadline_seconds=240))
    assert find_faults(found, found, rows=rows) == []
    assert found.ids == digest_ids(stack)
    assert len(list_stored(stack)) == 1
