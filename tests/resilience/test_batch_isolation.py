"""One bad item stops nobody: it is set aside, whole, and all others go on in the same pass. An outage sets nothing aside."""

import contextlib
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from tasks_app.models import (
    TaskEvent,
    TaskMinute,
    TaskRecord,
    column_limits,
)
from tasks_app.queues import redis_connection, snapshot_stream
from tasks_app.read_model import mirror as mirror_module
from tasks_app.read_model import snapshot_writer, task_totals
from tasks_app.read_model.mirror import Mirror
from tasks_app.resilience import failpoints, set_aside_items
from tasks_app.services import start_tasks
from tests.support.engine import Worker, history, mirror, record, start
from tests.support.refused import append, changed, items, retry
from tests.support.servers import IS_EMBEDDED

BIG = 2**64


BAD: dict[str, dict[str, Any]] = {
    "total is negative": {"total": -1},
    "total is too large": {"total": 2**63},
    "counts are too large": {"counts": {"users": BIG}},
    "counts are negative": {"counts": {"users": -1}},
    "counts are floats": {"counts": {"users": 2.0}},
    "counts are text": {"counts": {"users": "5"}},
    "counts are a list": {"counts": [1]},
    "attempts are too many": {"attempts": 2**40},
    "owner is too long": {"owner": "o" * 65},
    "callback URL is too long": {"callback_url": "http://example.com/" + "x" * 500},
    "name is too long": {"name": "n" * 65},
    "status is none": {"status": "done"},
    "priority is none": {"priority": "Middle"},
    "urgency is none": {"urgency": 11},
    "id is none": {"id": "1"},
    "id is a number": {"id": 5},
    "time is none": {"created_at": "yesterday"},
    "time has no zone": {"created_at": "2026-01-01T00:00:00"},
    "another time has no zone": {"started_at": "2026-01-01T00:00:00", "ended_at": "2026-01-01T00:00:00Z", "status": "failed"},
    "time is a number": {"created_at": 5},
    "params are text": {"params": "x"},
    "params are too deep": {"params": json.loads('{"a":' * 500 + "1" + "}" * 500)},
    "error is a number": {"error": 5},
    "epoch is a flag": {"epoch": True},
}  # fmt: skip


@pytest.mark.parametrize("how", BAD)
def test_a_bad_snapshot_is_set_aside_and_its_neighbours_are_mirrored_in_the_same_step(redis: Any, how: str) -> None:
    before, bad = start(), start()
    mirror()
    data = changed(bad, **BAD[how])
    entry_id = append(redis, data)
    after = start()

    reader = Mirror(connection=redis_connection.get_connection())
    assert reader.step() == 2

    assert TaskRecord.objects.filter(pk__in=[before, after]).count() == 2
    assert record(bad).status == "queued"
    [item] = items()
    assert (item.key, bytes(item.payload), item.size, item.tries) == (entry_id, data, len(data), 1)
    assert item.reason.isascii()
    assert item.reason
    assert redis.xlen(snapshot_stream.STREAM_KEY) == 0
    assert history(after) == [("queued", "start")]


@pytest.mark.parametrize(
    "data", [b"", b"no JSON", b"[]", b"null", b'{"id":"', b"\xff\xfe\x00", b'{"id":1}', b'{"a":' * 2000, b'"\\ud800"']
)
def test_an_entry_that_is_no_snapshot_is_set_aside_whole(redis: Any, data: bytes) -> None:
    append(redis, data)
    task_id = start()
    assert record(task_id).status == "queued"
    [item] = items()
    assert bytes(item.payload) == data


def test_an_entry_of_other_fields_is_set_aside(redis: Any) -> None:
    redis.xadd(snapshot_stream.STREAM_KEY, {"foreign": b"\xff"})
    reader = Mirror(connection=redis_connection.get_connection())
    assert reader.wait(block_ms=10)
    assert reader.step() == 1
    [item] = items()
    assert "foreign" in set_aside_items.show_payload(item, 100)


def test_text_that_describes_is_cut_not_refused(redis: Any) -> None:
    task_id = start()
    mirror()
    append(redis, changed(task_id, actor="a" * 94, worker="w" * 300, request_id="r" * 100, description="ñ" * 300))
    found = record(task_id)
    assert items() == []
    assert (len(found.worker), len(found.description)) == (120, 255)


@pytest.mark.parametrize("name", sorted({f.name for f in TaskEvent._meta.fields} - {"id", "task_id", "at"}))
def test_what_a_column_of_the_database_refuses_is_found_by_halving(redis: Any, name: str, monkeypatch: Any) -> None:
    """The database's own refusal, behind the checks: one row of twenty."""
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


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite takes any length")
def test_the_databases_refusal_of_a_real_value_is_found_by_halving(monkeypatch: pytest.MonkeyPatch, redis: Any) -> None:
    task_ids = [start() for _ in range(9)]
    append(redis, changed(task_ids[4], actor="a" * 94, status="started", cause="cancel"))
    task_ids.append(start())
    monkeypatch.setattr(column_limits, "check", lambda snapshot: snapshot)
    Mirror(connection=redis_connection.get_connection()).step()
    assert TaskRecord.objects.count() == 10
    [item] = items()
    assert "actor" in item.reason


def test_an_outage_in_the_middle_sets_nothing_aside_and_loses_nothing(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert TaskRecord.objects.count() == 7  # the first half without the bad one, each once
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
def test_a_mirror_that_dies_between_two_halves_neither_doubles_nor_loses(
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
    """What the database would refuse on MySQL, on SQLite as well, and only when it is written."""
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


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no packets")
@pytest.mark.parametrize("text", ["🎉" * 255, "\"'\\" * 85])
def test_a_batch_is_shorter_than_the_servers_packet(text: str, longtasks: Callable[..., None]) -> None:
    for _ in range(10):
        start_many(200, description=text)
    with packet_bytes(1 << 20):
        mirror()
    assert TaskRecord.objects.count() == 2000
    assert items() == []


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no packets")
def test_a_snapshot_longer_than_the_servers_packet_is_set_aside_and_tells_that_it_was_cut(redis: Any) -> None:
    before, bad, after = start(), start(), start()
    mirror()
    data = changed(bad, error="e" * (1 << 20), status="started", cause="attempt_failed")
    append(redis, data)
    append(redis, changed(after, status="started", cause="take"))
    with packet_bytes(1 << 20):
        assert record(after).status == "started"
        assert record(bad).status == record(before).status == "queued"
        [item] = items()
    assert (item.size, len(item.payload)) == (len(data), 1 << 18)
    assert "max_allowed_packet" in item.reason
    assert retry(item).startswith("refused again: ValueError: only 262144 of its")


class packet_bytes:
    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@global.max_allowed_packet")
            self.before = cursor.fetchone()[0]
            cursor.execute(f"SET GLOBAL max_allowed_packet = {self.size}")
        connection.close()  # it holds for new sessions

    def __exit__(self, *_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET GLOBAL max_allowed_packet = {self.before}")
        connection.close()


def start_many(number: int, **values: Any) -> None:
    task = start_tasks.NewTask(name="slow", params={"records": 1}, **values)
    start_tasks.start_tasks(tasks=[task] * number)


# --- totals and minutes


def test_a_total_that_redis_refuses_is_set_aside_and_the_others_are_added(redis: Any) -> None:
    redis.hset(task_totals.KEY, "accepted|low|slow", "no number")
    task_id = start()
    Worker().run()
    assert record(task_id).status == "finished"
    [item] = items(set_aside_items.TOTAL)
    assert item.key == "accepted|low|slow"
    ended = {tuple(labels): total for labels, total in read_ended(redis)}
    assert ended == {("low", "slow", "finished"): 1}
    assert retry(item).startswith("refused again")
    redis.hdel(task_totals.KEY, "accepted|low|slow")
    assert retry(item) == "applied"
    assert redis.hget(task_totals.KEY, "accepted|low|slow") == b"1"
    assert items(set_aside_items.TOTAL) == []


def read_ended(redis: Any) -> Any:
    fields = {k: v for k, v in redis.hgetall(task_totals.KEY).items() if v.lstrip(b"-").isdigit()}
    return task_totals.Totals(fields).counts("ended")


def test_a_minute_that_is_full_takes_later_tasks(redis: Any) -> None:
    first = start()
    mirror()
    TaskMinute.objects.update(rows=2**63 - 1, accepted=2**31 - 1)
    append(redis, changed(first, counts={"users": 2**63 - 1}, status="started"))
    second = start()
    assert record(second).status == "queued"
    assert items() == []


@pytest.mark.skipif(IS_EMBEDDED, reason="the trigger raises MySQL's numbers")
def test_an_entry_that_alone_seems_to_meet_an_outage_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is one of those that are waited for; the entry behind it proves that the database is well."""
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
        while time.monotonic() < deadline:  # alone it may be an outage, for as long as it likes
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
