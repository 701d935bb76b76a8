"""`manage.py task plan`, `task start --validate-only` and `--dry-run`: output, exit codes, and that nothing is stored."""

from __future__ import annotations

import io
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

import tests.support.dry_types
from catalog.models import IdBlock, User
from tasks_app.models import TaskRecord
from tasks_app.task_types import Plan
from tests.support.engine import Worker, job, longtasks, mirror  # noqa: F401 (fixture)
from tests.support.store_contents import read_contents
from tests.support.stored_files import Store, folder, store  # noqa: F401 (fixtures)

pytestmark = pytest.mark.django_db(transaction=True)


def call(*arguments: str) -> str:
    said = io.StringIO()
    call_command("task", *arguments, stdout=said)
    return said.getvalue()


def plan(name: str, *more: str, **params: Any) -> Any:
    return json.loads(call("plan", name, "--params", json.dumps(params), *more, "--json"))


@pytest.fixture
def users() -> None:
    now = datetime.now(UTC)
    User.objects.bulk_create(
        User(id=number, task_id=uuid.UUID(int=1), position=number, first_name="a", last_name="b", email="a@example.com",
             phone="030 1234567", city="c", birth_date=now.date(), created_at=now)
        for number in range(1, 301)
    )  # fmt: skip


def finish(name: str, *, done: int, seconds: float, dry_run: bool = False, status: str = "finished") -> None:
    number = TaskRecord.objects.count()
    began = datetime(2026, 1, 1, tzinfo=UTC)
    TaskRecord.objects.create(
        id=f"0198f2a4-7c1e-7b53-9d0a-{number:012x}", name=name, status=status, done=done, dry_run=dry_run, created_at=began,
        started_at=began, ended_at=began + timedelta(seconds=seconds), updated_at=began,
    )  # fmt: skip


# --- rows and cursor


def test_a_back_fill_without_rows_and_with_rows(users: None) -> None:
    shown = plan("normalise_user_phones", countryCode=49)
    assert shown == {
        "name": "normalise_user_phones",
        "rows": 300,
        "isEstimate": False,
        "shards": 0,
        "seconds": None,
        "secondsFrom": None,
        "cursor": shown["cursor"],
        "isServedByIndex": True,
    }
    assert "of users" in shown["cursor"]
    User.objects.filter(pk__gt=1).delete()
    shown = plan("normalise_user_phones")
    assert (shown["rows"], shown["isServedByIndex"]) == (1, True)
    User.objects.all().delete()
    shown = plan("normalise_user_phones")
    assert (shown["rows"], shown["cursor"], shown["isServedByIndex"]) == (0, None, None)


def test_shards_imports_exports_and_types_with_a_total(users: None, store: Store, longtasks: Any) -> None:  # noqa: F811
    longtasks(shard_records=100)
    shown = plan("normalise_user_phones")
    assert (shown["rows"], shown["isEstimate"], shown["shards"]) == (300, False, 3)
    file = store(b"sku,name,price\n" + b"s,n,1\n" * 7)
    shown = plan("import_products", file=file)
    assert (shown["rows"], shown["isServedByIndex"], "file" in shown["cursor"]) == (7, None, True)
    shown = plan("export_order_items")
    assert (shown["rows"], shown["cursor"]) == (0, None)
    assert plan("upload", numRecords=17)["rows"] == 17
    assert plan("purge", taskId="0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10")["rows"] is None


# --- time


def test_the_time_is_that_of_the_last_tasks_that_have_finished(users: None) -> None:
    finish("normalise_user_phones", done=1, seconds=1000, dry_run=True)
    shown = plan("normalise_user_phones")
    assert (shown["seconds"], shown["secondsFrom"]) == (300_000, "as the last dry run of this type ran")
    finish("normalise_user_phones", done=100, seconds=50)
    finish("normalise_user_phones", done=200, seconds=100)
    finish("normalise_user_phones", done=200, seconds=1, status="failed")
    finish("upload", done=1, seconds=1)
    shown = plan("normalise_user_phones")
    assert (shown["seconds"], shown["secondsFrom"]) == (150, "as the last 2 finished tasks of this type ran")
    text = call("plan", "normalise_user_phones")
    assert text.splitlines() == [
        "normalise_user_phones",
        "  rows    300",
        "  time    about 2 min, as the last 2 finished tasks of this type ran",
        f"  cursor  {shown['cursor']}",
    ]


def test_a_sample_measures_one_chunk_and_keeps_nothing(users: None) -> None:
    assert "unknown: no task of this type has finished; --sample measures one chunk" in call(
        "plan", "normalise_user_phones"
    )
    before = read_contents()
    shown = plan("normalise_user_phones", "--sample")
    assert shown["seconds"] > 0
    assert shown["secondsFrom"] == "as a sample of one chunk ran, for one worker"
    assert read_contents() == before
    with pytest.raises(CommandError, match="has no dry run") as refused:
        call("plan", "upload", "--sample")
    assert refused.value.returncode == 2
    assert "--sample" not in call("plan", "upload")


# --- it never writes


def test_a_plan_stores_nothing(users: None) -> None:
    before = read_contents()
    for name in ("normalise_user_phones", "upload", "export_order_items"):
        call("plan", name)
    assert read_contents() == before


def test_code_that_writes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_plan(self: Any, **options: Any) -> Plan:
        IdBlock.objects.create(name="x", next_id=1)
        return Plan(1)

    kind = tests.support.dry_types.FailingDry
    monkeypatch.setattr(kind, "is_planned", True)
    monkeypatch.setattr(kind, "make_plan", make_plan)
    with pytest.raises(CommandError, match="writes to the database") as refused:
        call("plan", "failing_dry")
    assert refused.value.returncode == 2
    assert not IdBlock.objects.filter(name="x").exists()
    monkeypatch.setattr(kind, "make_plan", lambda self, **options: 3)
    with pytest.raises(CommandError, match=r"make_plan\(\) is 3"):
        call("plan", "failing_dry")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "Unknown task type"),
        (("upload", "--params", '{"numRecords": 0}'), "numRecords"),
        (("import_products", "--params", '{"file": "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"}'), "there is no such file"),
    ],
)
def test_what_a_start_refuses_a_plan_refuses(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError, match=words) as refused:
        call("plan", *arguments)
    assert refused.value.returncode == 2


# --- start


def test_validate_only_shows_the_task_and_stores_nothing() -> None:
    before = read_contents()
    said = call("start", "upload", "--records", "7", "--priority", "2", "--validate-only")
    assert said.splitlines() == [
        "valid, nothing was started: upload (2), queue high",
        '  params {"numRecords":7}',
        "  7 records; failed records allowed: 0",
    ]
    shown = json.loads(call("start", "failing_dry", "--dry-run", "--validate-only", "--json"))
    assert (shown["validateOnly"], shown["dryRun"], shown["progress"]["total"]) == (True, True, 10)
    assert read_contents() == before
    with pytest.raises(CommandError, match="takes no --file"):
        call("start", "import_products", "--file", "x.csv", "--validate-only")
    with pytest.raises(CommandError, match="numRecords"):
        call("start", "upload", "--records", "0", "--validate-only")


def test_a_dry_run_is_started_and_its_changes_are_shown() -> None:
    started = json.loads(call("start", "failing_dry", "--dry-run", "--json"))
    assert (started["dryRun"], started["changes"], job(started["id"]).dry_run) == (True, [], True)
    Worker().run()
    mirror()
    said = call("status", started["id"])
    assert "failing_dry (low) finished, dry run" in said
    assert "  nothing was kept; the first 10 changes:" in said
    assert '    record 3, catalog.User 3: inserted {"position":3}' in said
    with pytest.raises(CommandError, match="dryRun: Must be false: this task type has no dry run"):
        call("start", "upload", "--dry-run")
