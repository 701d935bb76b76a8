"""`manage.py task wait`: which task it waits for, what it says meanwhile, and its exit codes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tasks_app.domain.progress_text import describe_progress
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.errors import QueueUnavailable
from tasks_app.management import task_following, wait_action
from tasks_app.models import MigrationTask
from tasks_app.services import change_tasks, start_tasks
from tests.migration_gates.conftest import LARGE, Migrate, insert_products, refuse, run_one_chunk, run_workers
from tests.support.engine import mirror, start, waiting

pytestmark = pytest.mark.usefixtures("small_chunks")


def wait(*arguments: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("task", "wait", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), f"{err.getvalue()}{error}"
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """`meanwhile(step)`: the command takes this step instead of a pause."""

    def replace(step: Callable[[], object]) -> None:
        time = SimpleNamespace(monotonic=task_following.time.monotonic, sleep=lambda seconds: step())
        monkeypatch.setattr(task_following, "time", time)

    return replace


def test_the_task_of_a_migration_that_the_mirror_has_not_written(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    monkeypatch.setattr(wait_action, "LINE_SECONDS", 0)
    insert_products(LARGE)
    migrate("0002")
    [task_id] = waiting()
    meanwhile(run_one_chunk)

    code, out, err = wait("--name", "fill-slugs", "--timeout", "1h", "--json")

    assert (code, json.loads(out)["status"], json.loads(out)["id"]) == (0, "finished", task_id)
    lines = err.splitlines()
    assert lines[0].startswith(f"fill-slugs: the newest task is {task_id}, created at 20")
    assert lines[1] == "fill-slugs is queued"
    assert lines[2].startswith("fill-slugs is at 25 %, about 3 seconds left")
    assert lines[-1] == "fill-slugs has finished"


def test_work_that_the_migration_has_done_itself(migrate: Migrate) -> None:
    migrate("0002")
    code, _, err = wait("--name", "fill-slugs")
    assert (code, "fill-slugs ran inside of a migration of gate_shop at" in err) == (0, True)


def test_a_task_by_its_id_and_one_that_was_started_after_the_migration(migrate: Migrate) -> None:
    insert_products(LARGE)
    migrate("0002")
    change_tasks.cancel_task(task_id=waiting()[0])
    code, _, err = wait("--name", "fill-slugs")
    assert (code, "fill-slugs is canceled" in err) == (3, True)
    later = start_tasks.start_task(task=start_tasks.NewTask(name="fill-slugs", params={"prefix": "x-"})).snapshot.id
    run_workers()
    mirror()
    code, out, err = wait("--name", "fill-slugs")
    assert (code, later in out, f"the newest task is {later}" in err) == (0, True, True)
    assert wait(later)[0] == 0


def test_a_failed_task_is_shown_with_its_error(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch, longtasks: Callable[..., None]
) -> None:
    longtasks(retry_attempts=1)
    insert_products(LARGE)
    migrate("0002")
    refuse(monkeypatch, "n7")
    run_workers()
    code, out, _ = wait("--name", "fill-slugs", "--timeout", "90s")
    assert (code, "ValueError: n7 has no slug" in out) == (3, True)


def test_the_time_is_over(migrate: Migrate) -> None:
    insert_products(LARGE)
    migrate("0002")
    [task_id] = waiting()
    code, out, err = wait("--name", "fill-slugs", "--timeout", "0.3s")
    assert (code, "The time is over: fill-slugs" in err, "It continues." in err) == (124, True, True)
    assert task_id in out
    assert waiting() == [task_id]


def test_it_starts_what_the_migration_could_not_start(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise QueueUnavailable("refused")

    insert_products(LARGE)
    with monkeypatch.context() as patch:
        patch.setattr(start_tasks.enqueue, "enqueue_tasks", fail)
        migrate("0002")
    meanwhile(run_workers)
    assert wait("--name", "fill-slugs")[0] == 0
    assert MigrationTask.objects.get().enqueued_at is not None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--name", "fill-slugs"), 4, "There is no task of the type 'fill-slugs'"),
        (("--name", "fill-slags"), 2, "Unknown task type 'fill-slags'"),
        (("0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10",), 4, "There is no task"),
    ],
)
def test_what_is_unknown(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.setattr(wait_action, "KNOWN_SECONDS", 0.3)
    found, _, err = wait(*arguments)
    assert (found, words in err) == (code, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--name", "upload", "--timeout", "soon"), "is not a duration"),
        (("--name", "upload", "--timeout", "0s"), "is no time to wait"),
        (("--name", "upload", "--timeout=-1h"), "is not a duration"),
        (("--name", "upload", "--timeout", "1h30m"), "is not a duration"),
        ((), "one of the arguments id --name is required"),
        (("0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10", "--name", "upload"), "not allowed with argument"),
    ],
)
def test_wrong_arguments(migrate: Migrate, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = wait(*arguments)
    assert (code != 0, words in err) == (True, True), err


def test_a_task_that_the_mirror_writes_a_moment_later(migrate: Migrate, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = start("slow")
    time = SimpleNamespace(monotonic=wait_action.time.monotonic, sleep=lambda seconds: mirror())
    monkeypatch.setattr(wait_action, "time", time)
    code, _, err = wait("--name", "slow", "--timeout", "1s")
    assert (code, task_id in err) == (124, True)


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"status": "queued"}, "is queued"),
        ({"status": "started", "minutes": 10, "done": 63, "total": 100}, "is at 63 %, about 6 minutes left"),
        ({"status": "started", "minutes": 1, "done": 1, "total": 1000}, "is at 0 %, about 17 hours left"),
        ({"status": "started", "minutes": 1, "done": 0, "total": 1000}, "is at 0 %"),
        ({"status": "started", "minutes": 1, "done": 1200}, "is at 1,200 records"),
        ({"status": "started", "minutes": 1, "done": 1200, "total": 1000}, "is at 99 %, about 1 second left"),
        ({"status": "scheduled", "minutes": 1, "done": 5, "total": 10}, "is at 50 %, about 60 seconds left, scheduled"),
        ({"status": "started", "minutes": -5, "done": 5, "total": 10}, "is at 50 %, about 1 second left"),
        ({"status": "started", "minutes": 2880, "done": 5, "total": 10}, "is at 50 %, about 2 days left"),
        ({"status": "finished", "minutes": 1, "done": 5, "total": 10}, "has finished"),
        ({"status": "stopped", "minutes": 1, "done": 5, "total": 10}, "is stopped"),
    ],
)
def test_the_text_of_a_progress(values: dict[str, object], words: str) -> None:
    minutes = values.pop("minutes", None)
    started_at = None if minutes is None else NOW - timedelta(minutes=int(str(minutes)))
    snapshot = Snapshot(id="x", name="fill-slugs", created_at=NOW, started_at=started_at, **values)  # type: ignore[arg-type]
    assert describe_progress(snapshot, now=NOW) == words
