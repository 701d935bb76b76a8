"""Dry runs: whatever dies when, no row is kept, each chunk counts once, and failures and first changes are listed once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog.models import User
from tasks_app.domain import task_snapshot
from tasks_app.models import TaskMinute, TaskRecord, TaskRowChange
from tasks_app.operations import retention, verification
from tasks_app.services import change_tasks, retry_failures, start_tasks
from tasks_app.task_types import ChunkResult
from tests.engine.lost_commits import lost_commit, mysql_only
from tests.support import dry_types
from tests.support.engine import Worker, checkpoint, expire_lease, job, mirror, record, rescue
from tests.support.failing_tasks import listed

BAD = [0, 299, 300, 599]


def begin(name: str = "failing_dry", *, allowed: str = "100%", dry_run: bool = True, **params: Any) -> str:
    if name.startswith("failing"):
        params = {"records": 10, "every": 0, "rest": 0, "bad": [], "only": [], "how": "integrity"} | params
    task = start_tasks.NewTask(name=name, params=params, max_failures=allowed, dry_run=dry_run)
    return start_tasks.start_task(task=task).snapshot.id


def changed(task_id: str) -> list[int]:
    """Return the positions of the stored changes, duplicates included."""
    return list(TaskRowChange.objects.filter(task_id=task_id).order_by("position").values_list("position", flat=True))


def run_all() -> None:
    while Worker().run():
        pass


@pytest.mark.parametrize("name", ["failing_dry", "failing_dry_shards"])
def test_no_row_is_kept_and_everything_is_counted(name: str, longtasks: Any) -> None:
    longtasks(shard_records=200)
    task_id = begin(name, records=600, bad=BAD)
    run_all()
    row, seen = checkpoint(task_id), record(task_id)
    assert (row.outcome, row.done, row.failed_records, row.counts) == ("finished", 600, 4, {"users": 596})
    assert (seen.status, seen.dry_run, seen.attempts) == ("finished", True, 1)
    assert job(task_id).dry_run
    assert listed(task_id) == BAD
    assert not User.objects.exists()
    per_shard = 3 if name == "failing_dry_shards" else 1
    assert len(changed(task_id)) == 20 * per_shard
    assert changed(task_id)[:20] == list(range(1, 21))


def test_a_dry_run_never_shares_a_transaction_and_calls_no_hook_of_a_commit() -> None:
    dry_types.Batchable.committed.clear()
    dry, real = (
        begin("dry_batchable", allowed="", records=10),
        begin("dry_batchable", allowed="", dry_run=False, records=5),
    )
    assert (job(dry).weight, job(real).weight) == (0, 5)
    run_all()
    assert (checkpoint(dry).outcome, checkpoint(dry).done, checkpoint(dry).counts) == ("finished", 10, {"users": 10})
    assert User.objects.count() == 5
    assert dry_types.Batchable.committed == [real]


def test_an_error_of_the_last_attempt_is_the_tasks_and_keeps_nothing(longtasks: Any) -> None:
    longtasks(retry_attempts=1)
    task_id = begin(records=10, bad=[3], allowed="", how="value")
    run_all()
    assert record(task_id).status == "failed"
    assert "record 3 is bad" in (record(task_id).error or "")
    assert (changed(task_id), User.objects.count()) == ([], 0)


def test_a_retry_and_a_retry_of_failures_are_dry_runs_too() -> None:
    task_id = begin(records=10, bad=[3], allowed="")
    Worker().run()
    change_tasks.cancel_task(task_id=task_id, actor="ann")
    change_tasks.retry_task(task_id=task_id, actor="ann")
    assert job(task_id).dry_run
    failed = begin(records=10, bad=[3])
    run_all()
    mirror()
    again = retry_failures.retry_failures(task_id=failed).snapshot
    assert again.dry_run
    run_all()
    assert not User.objects.exists()


def test_a_type_that_lost_its_dry_run_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = begin(records=10)
    monkeypatch.setattr(dry_types.FailingDry, "supports_dry_run", False)
    run_all()
    assert (record(task_id).status, record(task_id).attempts) == ("failed", 1)
    assert "has no dry run" in (record(task_id).error or "")
    assert not User.objects.exists()


@pytest.mark.parametrize("changes", [None, [3], "x", [dry_types.RowChange(None, None, offset=99)]])
def test_invalid_changes_fail_the_attempt(changes: Any, monkeypatch: pytest.MonkeyPatch, longtasks: Any) -> None:
    longtasks(retry_attempts=1)
    monkeypatch.setattr(
        dry_types.FailingDry, "run_chunk", lambda self, chunk: ChunkResult(chunk.limit, {}, changes=changes)
    )
    task_id = begin(records=10)
    run_all()
    assert record(task_id).status == "failed"
    assert "changes is" in (record(task_id).error or "")


# --- deaths, takeovers and lost replies


def test_takeovers_in_the_middle_lose_and_double_nothing() -> None:
    task_id = begin(records=600, bad=BAD)
    workers = 0

    def take_over(worker: Worker) -> None:
        nonlocal workers
        tries = 0

        def on_check() -> None:
            nonlocal tries, workers
            tries += 1
            if tries == 2 and workers < 12:
                workers += 1
                expire_lease(task_id)
                rescue()
                successor = Worker(f"w{workers}")
                take_over(successor)
                successor.run()

        worker.on_check = on_check

    first = Worker("w0")
    take_over(first)
    first.run()

    assert workers == 12
    assert (listed(task_id), checkpoint(task_id).counts) == (BAD, {"users": 596})
    assert changed(task_id) == list(range(1, 21))
    assert (record(task_id).status, User.objects.count()) == ("finished", 0)


@mysql_only
@pytest.mark.parametrize("number", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_commit_counts_a_chunk_once(number: int, applied: bool) -> None:
    task_id = begin(records=6, bad=[1, 2, 4])

    reached = "SELECT MAX(done) FROM tasks_app_taskcheckpoint"
    with lost_commit(number=number, applied=applied, reached=reached) as broken:
        Worker().run()
    run_all()

    assert broken
    assert (listed(task_id), changed(task_id)) == ([1, 2, 4], [0, 3, 5])
    assert (checkpoint(task_id).failed_records, checkpoint(task_id).counts) == (3, {"users": 3})
    assert (record(task_id).status, User.objects.count()) == ("finished", 0)


# --- what others make of it


def test_a_snapshot_says_that_it_is_a_dry_run_only_if_it_is() -> None:
    dry, real = job(begin()), job(begin(dry_run=False))
    assert b'"dry_run":true' in task_snapshot.encode(dry)
    assert b"dry_run" not in task_snapshot.encode(real)
    with pytest.raises(ValueError, match="dry_run is 1"):
        task_snapshot.decode(task_snapshot.encode(dry).replace(b'"dry_run":true', b'"dry_run":1'))


def test_verify_expects_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        dry_types.FailingDry, "count_rows", lambda self, key: {"users": User.objects.filter(task_id=key).count()}
    )
    task_id = begin(records=10)
    run_all()
    mirror()
    assert verification.verify_task(task_id=task_id).verdict == verification.EQUAL
    TaskRecord.objects.filter(pk=task_id).update(dry_run=False)
    assert verification.verify_task(task_id=task_id).differences == ["users: the checkpoint says 10, the tables 0"]


def test_rows_that_were_rolled_back_are_not_counted_as_committed() -> None:
    begin(records=10)
    run_all()
    mirror()
    assert sum(TaskMinute.objects.values_list("rows", flat=True)) == 0
    begin(records=10, dry_run=False)
    run_all()
    mirror()
    assert sum(TaskMinute.objects.values_list("rows", flat=True)) == 10


def test_changes_are_deleted_with_their_task() -> None:
    task_id, other = begin(records=10), begin(records=10)
    run_all()
    mirror()
    long_ago = datetime.now(UTC) - timedelta(days=40)
    old = uuid.UUID(int=uuid.UUID(task_id).int - ((40 * 86_400_000) << 80))
    TaskRecord.objects.filter(pk=task_id).update(ended_at=long_ago, id=old)
    TaskRowChange.objects.filter(task_id=task_id).update(task_id=old)
    for _ in retention.prune(ended_before=datetime.now(UTC) - timedelta(days=30)):
        pass
    assert (changed(str(old)), len(changed(other))) == ([], 10)
