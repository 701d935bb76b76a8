"""The three steps of a NOT NULL column: a nullable column and a back-fill, its workers, and the gate before NOT NULL."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from tasks_app.domain.callers import COMMAND_LINE
from tasks_app.errors import QueueUnavailable
from tasks_app.migration_gates import GateError, StartTask, TaskNotFinished, gate_tasks
from tasks_app.models import MigrationTask, TaskCheckpoint
from tasks_app.queues import redis_connection
from tasks_app.services import change_tasks, start_tasks
from tests.migration_gates.conftest import (
    LARGE,
    SMALL,
    Migrate,
    filled,
    insert_products,
    is_nullable,
    read_slugs,
    refuse,
    run_one_chunk,
    run_workers,
)
from tests.support.engine import job, mirror, waiting

pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.mark.parametrize("number", [0, SMALL])
def test_few_rows_are_filled_inside_of_the_migration_without_redis(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse_redis(*args: object, **options: object) -> None:
        raise AssertionError("Redis was asked")

    monkeypatch.setattr(start_tasks.enqueue, "enqueue_tasks", refuse_redis)
    monkeypatch.setattr("tasks_app.queues.job_snapshots.get_snapshot", refuse_redis)
    insert_products(number)

    migrate("0002")
    assert read_slugs() == filled(number)
    migrate("0003")

    assert (read_slugs(), is_nullable()) == (filled(number), False)
    assert TaskCheckpoint.objects.count() == 0


def test_the_three_steps_of_a_large_table(migrate: Migrate) -> None:
    insert_products(LARGE)
    migrate("0002")
    [task_id] = waiting()
    with pytest.raises(TaskNotFinished, match=rf"fill-slugs \(id {task_id}\) is queued. Run migrate again when"):
        migrate("0003")

    run_one_chunk()
    with pytest.raises(TaskNotFinished, match=r"is at 25 %, about \d+ seconds? left, queued\. Run .* task wait --name"):
        migrate("0003")
    assert is_nullable()

    run_workers()
    migrate("0003")
    assert (read_slugs(), is_nullable()) == (filled(LARGE), False)
    assert MigrationTask.objects.get().enqueued_at is not None


def test_both_at_once_stop_at_the_gate(migrate: Migrate) -> None:
    insert_products(LARGE)
    with pytest.raises(TaskNotFinished, match="is queued"):
        migrate("0003")
    assert is_nullable()
    with pytest.raises(TaskNotFinished, match="is queued"):
        migrate("0003")
    assert len(waiting()) == 1


def test_a_task_that_no_longer_exists_must_be_started_again_unless_nothing_is_left(migrate: Migrate) -> None:
    insert_products(LARGE)
    migrate("0002")
    redis_connection.get_connection().flushdb()
    with pytest.raises(
        TaskNotFinished, match=r"was started, but its task no longer exists\. It has 20 records, too many"
    ):
        migrate("0003")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE gate_shop_product SET slug = 'by hand', visits = 1")
    migrate("0003")
    assert not is_nullable()


def test_a_failed_task_keeps_the_gate_shut_until_its_retry_has_finished(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch, longtasks: Callable[..., None]
) -> None:
    longtasks(retry_attempts=1)
    insert_products(LARGE)
    migrate("0002")
    [task_id] = waiting()
    refuse(monkeypatch, "n7")
    run_workers()
    with pytest.raises(
        TaskNotFinished, match=rf"{task_id}\) is failed: ValueError: n7 has no slug. .*`manage.py task retry {task_id}`"
    ):
        migrate("0003")

    refuse(monkeypatch, "")
    change_tasks.retry_task(task_id=task_id)
    run_workers()
    migrate("0003")
    assert (read_slugs(), is_nullable()) == (filled(LARGE), False)


def test_a_task_that_somebody_starts_after_the_canceled_one_opens_the_gate(migrate: Migrate) -> None:
    insert_products(LARGE)
    migrate("0002")
    change_tasks.cancel_task(task_id=waiting()[0])
    with pytest.raises(TaskNotFinished, match="is canceled"):
        migrate("0003")

    for prefix in ("other-", "p-"):
        start_tasks.start_task(
            task=start_tasks.NewTask(name="fill-slugs", params={"prefix": prefix}), caller=COMMAND_LINE
        )
        mirror()
        with pytest.raises(TaskNotFinished, match="is canceled" if prefix == "other-" else "is queued"):
            migrate("0003")
        if prefix == "other-":
            change_tasks.cancel_task(task_id=waiting()[-1])
    run_workers()
    migrate("0003")
    assert read_slugs() == filled(LARGE)


def test_a_task_that_was_never_started_runs_inline_if_it_is_small(migrate: Migrate) -> None:
    insert_products(LARGE)
    with connection.schema_editor() as editor:
        editor.execute("ALTER TABLE gate_shop_product ADD COLUMN slug varchar(40) NULL")
    migrate("0002", fake=True)
    start = r"fill-slugs was never started. It has 20 records, .* `manage.py task start fill-slugs --params"
    with pytest.raises(TaskNotFinished, match=start):
        migrate("0003")

    with connection.cursor() as cursor:
        cursor.execute("UPDATE gate_shop_product SET slug = 'x' WHERE name LIKE 'n1_'")
    migrate("0003")
    assert [row[1] for row in read_slugs()] == [f"p-n{place}" for place in range(10)] + ["x"] * 10


def test_redis_was_unavailable_when_the_migration_had_committed(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise QueueUnavailable("refused")

    insert_products(LARGE)
    with monkeypatch.context() as patch:
        patch.setattr(start_tasks.enqueue, "enqueue_tasks", fail)
        migrate("0002")
    assert "fill-slugs was not started: The queue (Redis) does not answer" in caplog.text
    assert waiting() == []

    task_id = str(MigrationTask.objects.get().task_id)
    with pytest.raises(
        TaskNotFinished, match=rf"{task_id}\) could not be enqueued .* `manage.py task wait --name fill-slugs`"
    ):
        migrate("0003")
    assert waiting() == []
    gate_tasks.enqueue(MigrationTask.objects.get())
    gate_tasks.enqueue(MigrationTask.objects.get())
    assert waiting() == [task_id]
    run_workers()
    migrate("0003")
    assert read_slugs() == filled(LARGE)


def test_a_migration_that_rolls_back_starts_nothing_and_one_that_commits_starts_after_it(migrate: Migrate) -> None:
    insert_products(LARGE)
    migrate("0002")
    change_tasks.cancel_task(task_id=waiting()[0])
    with connection.schema_editor() as editor:
        for rolls_back in (True, False):
            with transaction.atomic():
                again = StartTask("fill-slugs", {"prefix": "p-"}, inline_rows=10)
                again.database_forwards("gate_shop", editor, None, None)
                assert (waiting(), MigrationTask.objects.count()) == ([], 2)
                transaction.set_rollback(rolls_back)
            if rolls_back:
                assert (waiting(), MigrationTask.objects.count()) == ([], 1)
    assert [str(MigrationTask.objects.latest("pk").task_id)] == waiting()


@pytest.mark.parametrize("where", ["before the enqueue", "after the enqueue"])
def test_a_crash_between_commit_and_enqueue_starts_the_task_once(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    class Crash(BaseException):
        pass

    enqueue = gate_tasks.enqueue

    def crash(row: MigrationTask) -> None:
        if where == "after the enqueue":
            with monkeypatch.context() as patch:
                patch.setattr(MigrationTask, "save", lambda self, **options: None)
                enqueue(row)
        raise Crash

    insert_products(LARGE)
    with monkeypatch.context() as patch:
        patch.setattr(gate_tasks, "enqueue", crash)
        with pytest.raises(Crash):
            migrate("0002")
    # MySQL keeps the column of the interrupted migration, so that only the operation is run again, as an operator does.
    if not MigrationRecorder(connection).migration_qs.filter(app="gate_shop", name="0002_product_slug").exists():
        with connection.schema_editor() as editor:
            StartTask("fill-slugs", {"prefix": "p-"}, inline_rows=10).database_forwards("gate_shop", editor, None, None)
        migrate("0002", fake=True)
    with pytest.raises(TaskNotFinished, match=r"is queued|could not be enqueued"):
        migrate("0003")
    gate_tasks.enqueue(MigrationTask.objects.get())  # as `task wait` does
    assert (len(waiting()), MigrationTask.objects.count()) == (1, 1)
    run_workers()
    migrate("0003")
    assert read_slugs() == filled(LARGE)


def test_backwards_cancels_the_task_and_forwards_starts_another(migrate: Migrate) -> None:
    insert_products(LARGE)
    migrate("0002")
    [first] = waiting()
    migrate("0001")
    assert job(first).status == "canceled"
    migrate("0002")
    [second] = waiting()
    assert second != first
    run_workers()
    migrate("0003")
    assert read_slugs() == filled(LARGE)


def test_the_same_start_in_a_later_migration_is_a_new_task(migrate: Migrate) -> None:
    insert_products(LARGE)
    migrate("0002")
    with connection.schema_editor() as editor:
        StartTask("fill-slugs", {"prefix": "p-"}, inline_rows=10).database_forwards("gate_shop", editor, None, None)
    assert len(waiting()) == 2


def test_an_error_inside_of_the_migration_keeps_nothing(migrate: Migrate, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_products(SMALL)
    refuse(monkeypatch, "n7")
    with pytest.raises(
        GateError, match="inside of this migration, and nothing of it was kept: ValueError: n7 has no slug"
    ):
        migrate("0002")
    assert MigrationTask.objects.count() == 0
    if connection.features.can_rollback_ddl:
        refuse(monkeypatch, "")
        migrate("0002")
        assert read_slugs() == filled(SMALL)
        return
    assert [row[1:] for row in read_slugs()] == [(None, 0)] * SMALL
    migrate("0002", fake=True)


def test_a_finished_task_with_failed_records_keeps_the_gate_shut(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_products(LARGE)
    migrate("0002")
    change_tasks.cancel_task(task_id=waiting()[0])
    refuse(monkeypatch, "n7")
    task = start_tasks.NewTask(name="fill-slugs", params={"prefix": "p-"}, max_failures="1")
    task_id = start_tasks.start_task(task=task, caller=COMMAND_LINE).snapshot.id
    run_workers()
    mirror()
    with pytest.raises(
        TaskNotFinished, match=rf"has finished, but 1 of its records failed. .*task failures {task_id}`"
    ):
        migrate("0003")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE gate_shop_product SET slug = 'by hand', visits = 1 WHERE slug IS NULL")
    migrate("0003")
