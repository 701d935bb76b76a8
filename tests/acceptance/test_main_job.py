"""The main job, end to end: what a client of the REST API sees, and the rows in the tables afterwards."""

import os
import time

import pytest

from loadtests.started.stack import TABLES, ProcfileStack
from tests.conftest import MakeStack

# The required bound is for 1,000,000 records; `make test` can be run with fewer.
MEMORY_RECORDS = int(os.environ.get("LONGTASKS_MEMORY_RECORDS", "100000"))
MEMORY_GROWTH_MIB = 50
LOW_RECORDS = 50_000  # enough to be still running when the high task has ended, also for a slow client


def all_tables(number: int) -> dict[str, int]:
    return dict.fromkeys(TABLES, number)


@pytest.mark.parametrize("records", [1, 100, 5_003])
def test_finished_means_exactly_n_rows_in_each_table(stack: ProcfileStack, records: int) -> None:
    task_id = stack.start_upload(records=records)

    task = stack.wait_for_end(task_id, deadline_seconds=60)

    assert task["status"] == "finished", task
    assert task["insertedRecords"] == all_tables(records)
    assert task["progress"] == {"done": records, "total": records, "isEstimate": False}
    assert stack.row_counts(task_id) == all_tables(records)
    assert stack.position_counts(task_id) == all_tables(records)


def test_original_artillery_body_gets_201_success_and_a_number_of_users(stack: ProcfileStack) -> None:
    answer = stack.post("/tasks", {"name": "upload", "description": "user upload"})

    assert answer.status == 201
    assert answer.json["success"] is True
    users = answer.json["insertedRecords"]["users"]
    assert type(users) is int
    task = stack.wait_for_end(answer.json["id"], deadline_seconds=30)
    assert task["description"] == "user upload"
    assert task["insertedRecords"] == all_tables(100)


def test_a_started_task_can_be_read_at_once_without_the_mirror(stack: ProcfileStack) -> None:
    stack.stop_role("mirror")

    answer = stack.post("/tasks", {"name": "upload", "params": {"numRecords": 3}})

    path = answer.headers["Location"].removeprefix(stack.address)
    assert path == f"/tasks/{answer.json['id']}"
    read = stack.get(path)
    assert read.status == 200
    assert read.json["id"] == answer.json["id"]
    assert read.json["params"] == {"numRecords": 3}
    # The mirror has not written it to SQL: it came from Redis.
    assert stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord WHERE id = %s", answer.json["id"].replace("-", "")) == [
        (0,)
    ]
    stack.wait_for_end(answer.json["id"], deadline_seconds=30)  # the next test counts rows


def test_a_high_task_preempts_a_running_low_task_and_passes_a_waiting_one(make_stack: MakeStack) -> None:
    stack = make_stack(workers=1, environment={"PAUSE_MS": "100"})
    running = stack.start_upload(records=LOW_RECORDS)
    waiting = stack.start_upload(records=10)
    stack.wait_for(
        lambda: 0 < stack.task(running)["progress"]["done"] < LOW_RECORDS, deadline_seconds=30, what="the low task runs"
    )

    posted_at = time.monotonic()
    high = stack.start_upload(records=10, priority="high")
    task = stack.wait_for_end(high, deadline_seconds=30)
    high_seconds = time.monotonic() - posted_at

    assert task["status"] == "finished"
    assert stack.task(running)["status"] != "finished", "the low task was too short to be preempted"
    assert stack.task(waiting)["status"] == "queued"
    assert high_seconds < 5
    for low, records in ((running, LOW_RECORDS), (waiting, 10)):
        assert stack.wait_for_end(low, deadline_seconds=300)["status"] == "finished"
        assert stack.row_counts(low) == stack.position_counts(low) == all_tables(records)


@pytest.mark.slow
def test_memory_of_a_worker_stays_flat(make_stack: MakeStack, capsys: pytest.CaptureFixture[str]) -> None:
    stack = make_stack(workers=1)
    stack.wait_for(lambda: len(stack.child_pids("worker")) == 1, deadline_seconds=60, what="the worker has started")
    peaks_mib = []
    for records in (10_000, MEMORY_RECORDS):
        task_id = stack.start_upload(records=records)
        worker_pids = stack.child_pids("worker")
        task = stack.wait_for_end(task_id, deadline_seconds=60 + records / 500)
        assert task["status"] == "finished", task
        # The peak of an ended process could not be read.
        assert stack.child_pids("worker") == worker_pids
        assert stack.row_counts(task_id) == all_tables(records)
        peaks_mib.append(stack.peak_rss_mib("worker"))
        with capsys.disabled():
            print(f"\npeak RSS of the worker after {records:,} records: {peaks_mib[-1]:.1f} MiB")

    assert peaks_mib[1] - peaks_mib[0] <= MEMORY_GROWTH_MIB
