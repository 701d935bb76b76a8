"""tasks_app/resilience/batch_isolation.py: halving finds the bad item; an outage sets nothing aside."""

import contextlib
import time
import uuid
from typing import Any

import pytest
from django.db import OperationalError, connection

from loadtests.started.servers import IS_EMBEDDED
from tasks_app.models import TaskEvent, TaskMinute, TaskRecord, column_limits
from tasks_app.queues import redis_connection, snapshot_stream
from tasks_app.read_model import mirror as mirror_module
from tasks_app.read_model import snapshot_writer, task_totals
from tasks_app.read_model.mirror import Mirror
from tasks_app.resilience import failpoints, set_aside_items
from tests.support.engine import mirror, start
from tests.support.refused_items import append, changed, items, retry


@pytest.mark.parametrize("name", sorted({f.name for f in TaskEvent._meta.fields} - {"id", "task_id", "at"}))
def test_a_row_that_the_database_refuses_is_found_by_halving(redis: Any, name: str, monkeypatch: Any) -> None:
    """The database refuses one row of twenty, after the service's own checks."""
    monkeypatch.setattr(column_limits, "check", lambda snapshot: snapshot)
    task_ids = [start() for _ in range(20)]
    bad = task_ids[13]
    insert = snapshot_writer.insert_columns

    def refuse(model: Any, columns: Any, **options: Any) -> None:
        if model is TaskEvent and bad in {str(uuid.UUID(str(each))) for each in columns["task_id"]}:
            raise OverflowError(f"{name} is refused")
        insert(model, columns, **options)

    monkeypatch.setattr(snapshot_writer, "insert_columns", refuse)
    assert Mirror(connection=redis_connection.get_connection()).step() == 20
    assert TaskRecord.objects.count() == 19
    assert TaskEvent.objects.count() == 19
    [item] = items()
    assert bad in set_aside_items.show_payload(item, 1000)
    [minute] = TaskMinute.objects.all()
    assert minute.accepted == 19
    totals = {tuple(labels): total for labels, total in task_totals.read_totals(redis).counts("accepted")}
    assert totals == {("low", "slow"): 19}


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite accepts any length")
def test_a_value_too_long_for_mysql_is_found_by_halving(monkeypatch: pytest.MonkeyPatch, redis: Any) -> None:
    task_ids = [start() for _ in range(9)]
    append(redis, changed(task_ids[4], actor="a" * 94, status="started", cause="cancel"))
    task_ids.append(start())
    monkeypatch.setattr(column_limits, "check", lambda snapshot: snapshot)
    Mirror(connection=redis_connection.get_connection()).step()
    assert TaskRecord.objects.count() == 10
    [item] = items()
    assert "actor" in item.reason


def test_an_outage_during_halving_sets_aside_and_loses_nothing(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task_ids = [start() for _ in range(16)]
    bad = task_ids[3]
    insert = snapshot_writer.insert_columns
    is_away = True

    def refuse(model: Any, columns: Any, **options: Any) -> None:
        held = {str(uuid.UUID(str(each))) for each in columns["task_id"]}
        if bad in held:
            raise ValueError("refused")
        if is_away and task_ids[9] in held:
            raise OperationalError(2006, "Server has gone away")
        insert(model, columns, **options)

    monkeypatch.setattr(snapshot_writer, "insert_columns", refuse)
    reader = Mirror(connection=redis_connection.get_connection())
    with pytest.raises(OperationalError):
        reader.step()
    assert [item.key for item in items()] == [redis_id_of(redis, bad)]
    assert TaskRecord.objects.count() == 7  # the first half without the bad one
    is_away = False
    while reader.step():
        pass
    assert TaskRecord.objects.count() == TaskEvent.objects.count() == 15
    assert len(items()) == 1
    assert sum(minute.accepted for minute in TaskMinute.objects.all()) == 15
    [(_, total)] = task_totals.read_totals(redis).counts("accepted")
    assert total == 15


def redis_id_of(redis: Any, task_id: str) -> str:
    return next(
        (
            entry_id.decode()
            for entry_id, entry in redis.xrange(snapshot_stream.STREAM_KEY)
            if task_id.encode() in entry[b"s"]
        ),
        items()[0].key,
    )


@pytest.mark.parametrize("step", range(1, 8))
def test_a_mirror_that_dies_between_two_halves_duplicates_and_loses_nothing(
    redis: Any, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    task_ids = [start() for _ in range(5)]
    append(redis, changed(task_ids[2], total=-1, status="started", cause="x", epoch=3))
    task_ids += [start() for _ in range(5)]
    monkeypatch.setattr(column_limits, "check", check_late)
    passed = 0

    def die(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "reach", die)
        with contextlib.suppress(KeyboardInterrupt):
            mirror()
    mirror()
    assert TaskRecord.objects.count() == 10
    assert TaskEvent.objects.count() == 10
    assert sum(minute.accepted for minute in TaskMinute.objects.all()) == 10
    assert [item.tries for item in items()] == [1]


def check_late(snapshot: Any) -> Any:
    """Refuse at the write what MySQL refuses, so that SQLite does as well."""
    if snapshot.total == -1:
        raise TypeError("total is -1")
    return snapshot


def test_two_mirrors_halve_the_same_batch_and_each_entry_counts_once(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_ids = [start() for _ in range(8)]
    insert = snapshot_writer.insert_columns
    other = Mirror(connection=redis_connection.get_connection())
    has_run = False

    def refuse(model: Any, columns: Any, **options: Any) -> None:
        nonlocal has_run
        held = {str(uuid.UUID(str(each))) for each in columns["task_id"]}
        if len(held) == 8 and not has_run:
            has_run = True
            raise ValueError("refused as a whole")
        insert(model, columns, **options)

    monkeypatch.setattr(snapshot_writer, "insert_columns", refuse)
    halves = Mirror._apply_by_halves

    def overtaken(self: Mirror, *args: Any, **options: Any) -> None:
        if self is not other:
            assert other.step() == 8
        halves(self, *args, **options)

    monkeypatch.setattr(Mirror, "_apply_by_halves", overtaken)
    assert Mirror(connection=redis_connection.get_connection()).step() == 8
    assert TaskRecord.objects.count() == TaskEvent.objects.count() == len(task_ids)
    assert items() == []


@pytest.mark.skipif(IS_EMBEDDED, reason="the trigger raises MySQL's error numbers")
def test_an_entry_that_alone_raises_an_outage_error_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is a transient one; the entry behind it proves that the database works."""
    monkeypatch.setattr(mirror_module, "STUCK_SECONDS", 0.3)
    reader = Mirror(connection=redis_connection.get_connection())
    bad = start(records=4242)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuses BEFORE INSERT ON tasks_app_taskrecord FOR EACH ROW IF NEW.total = 4242 THEN"
            " SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1205, MESSAGE_TEXT = 'as if'; END IF"
        )
    try:
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:  # without another entry it counts as an outage, without a time limit
            with pytest.raises(OperationalError):
                reader.step()
        assert items(set_aside_items.SNAPSHOT) == []
        good = start()
        deadline = time.monotonic() + 10
        while not TaskRecord.objects.filter(pk=good).exists() and time.monotonic() < deadline:
            with contextlib.suppress(OperationalError):
                reader.step()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER refuses")
    assert TaskRecord.objects.filter(pk=good).exists()
    [item] = items(set_aside_items.SNAPSHOT)
    assert bad.encode() in bytes(item.payload)
    assert "as if" in item.reason
    assert retry(item) == "applied"
    assert TaskRecord.objects.filter(pk=bad).exists()
