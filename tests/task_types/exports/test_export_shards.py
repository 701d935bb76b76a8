"""Exports that several workers write: their shards' parts become one file, whose bytes do not depend on the workers."""

import contextlib
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

import tests.support.export_types  # noqa: F401 (registers them)
from tasks_app.engine import chunk_transaction
from tasks_app.files.removal import remove_expired
from tasks_app.models import TaskCheckpoint, TaskFile
from tests.support.engine import Worker, checkpoint, expire_lease, mirror, rescue
from tests.support.stored_files import list_stored
from tests.task_types.exports.test_export import begin, content, make_users, run

ROWS = 23


class Killed(BaseException):
    """The process ends here."""


def die(name: str) -> None:
    raise Killed


def run_in_turns(*, workers: int) -> None:
    """Let workers run one task each in turns until the queue is empty."""
    steps = 0
    while Worker(f"w{steps % workers}").run():
        steps += 1


def list_shards(task_id: str) -> list[TaskCheckpoint]:
    return list(TaskCheckpoint.objects.filter(parent_id=uuid.UUID(task_id)).order_by("first"))


@pytest.mark.parametrize("shard_records", [1, 4, 7, 12])
def test_shards_write_the_bytes_of_one_worker(folder: Path, longtasks: Callable[..., None], shard_records: int) -> None:
    make_users(ROWS)
    expected = content(run("export_users"), folder)
    longtasks(shard_records=shard_records)
    task_id = begin("export_users")
    run_in_turns(workers=3)
    row = checkpoint(task_id)
    assert (row.outcome, row.error, row.open_shards) == ("finished", "", 0)
    assert len(list_shards(task_id)) > 1
    assert content(task_id, folder) == expected
    assert (row.done, row.counts, row.result) == (ROWS, {"rows": ROWS}, {"rows": ROWS, "bytes": len(expected)})
    list(remove_expired())
    assert len(list_stored(folder)) == 2


def test_a_shard_that_ends_first_need_not_be_the_first_of_the_file(
    folder: Path, longtasks: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_users(ROWS)
    expected = content(run("export_users"), folder)
    longtasks(shard_records=6)
    task_id = begin("export_users")
    Worker("splits").run()
    first = list_shards(task_id)[0]
    with monkeypatch.context() as patch:
        patch.setattr(chunk_transaction.failpoints, "reach", die)
        with pytest.raises(Killed):
            Worker("slow").run()
    run_in_turns(workers=2)
    assert [shard.outcome for shard in list_shards(task_id)] == ["", "finished", "finished", "finished"]
    assert checkpoint(task_id).outcome == ""
    expire_lease(str(first.pk))
    mirror()
    rescue()
    run_in_turns(workers=2)
    assert checkpoint(task_id).outcome == "finished", checkpoint(task_id).error
    assert content(task_id, folder) == expected


@pytest.mark.parametrize("is_committed", [False, True])
@pytest.mark.parametrize("chunk", range(1, 13, 2))
def test_workers_that_die_around_a_commit_change_no_byte(
    folder: Path, monkeypatch: pytest.MonkeyPatch, longtasks: Callable[..., None], chunk: int, is_committed: bool
) -> None:
    make_users(ROWS)
    expected = content(run("export_users"), folder)
    longtasks(shard_records=8)
    task_id = begin("export_users")
    wanted = (
        chunk_transaction.failpoints.AFTER_CHUNK_COMMIT
        if is_committed
        else chunk_transaction.failpoints.BEFORE_CHUNK_COMMIT
    )
    passed: list[str] = []

    def reach(name: str) -> None:
        passed.append(name)
        if name == wanted and passed.count(name) == chunk:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(chunk_transaction.failpoints, "reach", reach)
        with contextlib.suppress(Killed):
            run_in_turns(workers=2)
    for shard in list_shards(task_id):
        if not shard.outcome:
            expire_lease(str(shard.pk))
    mirror()
    rescue()
    run_in_turns(workers=2)
    assert checkpoint(task_id).outcome == "finished", checkpoint(task_id).error
    assert content(task_id, folder) == expected
    kept = TaskFile.objects.filter(task_id=uuid.UUID(task_id), kind=TaskFile.Kind.ARTIFACT, is_complete=True)
    assert kept.count() == 1
