"""One bad item stops nobody: it is set aside, whole, and all others go on in the same pass. An outage sets nothing aside."""

import contextlib
import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User as Person
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client

from tasks_app import column_limits, crash_points, events, moves, queue, set_aside, task_counters, webhooks
from tasks_app import mirror as mirror_module
from tasks_app.mirror import Mirror
from tasks_app.models import (
    AuditEntry,
    MirrorCursor,
    QueueState,
    SetAsideItem,
    TaskCheckpoint,
    TaskEvent,
    TaskMinute,
    TaskRecord,
    WebhookDelivery,
)
from tasks_app.rescue import Rescue
from tests.engine.conftest import Worker, history, job, mirror, record, run_out, start, waiting
from tests.servers import IS_EMBEDDED

BIG = 2**64


def append(redis: Any, data: bytes) -> str:
    entry_id: bytes = redis.xadd(events.STREAM_KEY, {"s": data})
    return entry_id.decode()


def items(kind: str = set_aside.SNAPSHOT) -> list[SetAsideItem]:
    return list(SetAsideItem.objects.filter(kind=kind).order_by("pk"))


def changed(task_id: str, **values: Any) -> bytes:
    """The snapshot of a task with other values, as JSON that our own encoder may refuse."""
    data = json.loads(events.encode(job(task_id)))
    return json.dumps({**data, "cause": "progress", "done": 1, **values}).encode()


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
    "priority is none": {"priority": "middle"},
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

    reader = Mirror(connection=queue.get_connection())
    assert reader.step() == 2

    assert TaskRecord.objects.filter(pk__in=[before, after]).count() == 2
    assert record(bad).status == "queued"
    [item] = items()
    assert (item.key, bytes(item.payload), item.size, item.tries) == (entry_id, data, len(data), 1)
    assert item.reason.isascii()
    assert item.reason
    assert redis.xlen(events.STREAM_KEY) == 0
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
    redis.xadd(events.STREAM_KEY, {"foreign": b"\xff"})
    reader = Mirror(connection=queue.get_connection())
    assert reader.wait(block_ms=10)
    assert reader.step() == 1
    [item] = items()
    assert "foreign" in set_aside.show_payload(item, 100)


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
    insert = mirror_module.insert_columns

    def refuse(model: Any, columns: Any, **options: Any) -> None:
        if model is TaskEvent and bad in {str(uuid.UUID(str(each))) for each in columns["task_id"]}:
            raise OverflowError(f"{name} is refused")
        insert(model, columns, **options)

    monkeypatch.setattr(mirror_module, "insert_columns", refuse)
    assert Mirror(connection=queue.get_connection()).step() == 20
    assert TaskRecord.objects.count() == 19
    assert TaskEvent.objects.count() == 19
    [item] = items()
    assert bad in set_aside.show_payload(item, 1000)
    [minute] = TaskMinute.objects.all()
    assert minute.accepted == 19
    totals = {tuple(labels): total for labels, total in task_counters.read_totals(redis).counts("accepted")}
    assert totals == {("low", "slow"): 19}


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite takes any length")
def test_the_databases_refusal_of_a_real_value_is_found_by_halving(monkeypatch: pytest.MonkeyPatch, redis: Any) -> None:
    task_ids = [start() for _ in range(9)]
    append(redis, changed(task_ids[4], actor="a" * 94, status="started", cause="cancel"))
    task_ids.append(start())
    monkeypatch.setattr(column_limits, "check", lambda snapshot: snapshot)
    Mirror(connection=queue.get_connection()).step()
    assert TaskRecord.objects.count() == 10
    [item] = items()
    assert "actor" in item.reason


def test_an_outage_in_the_middle_sets_nothing_aside_and_loses_nothing(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_ids = [start() for _ in range(16)]
    bad = task_ids[3]
    insert = mirror_module.insert_columns
    is_away = True

    def refuse(model: Any, columns: Any, **options: Any) -> None:
        held = {str(uuid.UUID(str(each))) for each in columns["task_id"]}
        if bad in held:
            raise ValueError("refused")
        if is_away and task_ids[9] in held:
            raise OperationalError(2006, "Server has gone away")
        insert(model, columns, **options)

    monkeypatch.setattr(mirror_module, "insert_columns", refuse)
    reader = Mirror(connection=queue.get_connection())
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
    [(_, total)] = task_counters.read_totals(redis).counts("accepted")
    assert total == 15


def redis_id_of(redis: Any, task_id: str) -> str:
    return next(
        (entry_id.decode() for entry_id, entry in redis.xrange(events.STREAM_KEY) if task_id.encode() in entry[b"s"]),
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
        patch.setattr(crash_points, "reach", die)
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
    insert = mirror_module.insert_columns
    other = Mirror(connection=queue.get_connection())
    has_run = False

    def refuse(model: Any, columns: Any, **options: Any) -> None:
        nonlocal has_run
        held = {str(uuid.UUID(str(each))) for each in columns["task_id"]}
        if len(held) == 8 and not has_run:
            has_run = True
            raise ValueError("refused as a whole")
        insert(model, columns, **options)

    monkeypatch.setattr(mirror_module, "insert_columns", refuse)
    halves = Mirror._apply_by_halves

    def overtaken(self: Mirror, *args: Any, **options: Any) -> None:
        if self is not other:
            assert other.step() == 8
        halves(self, *args, **options)

    monkeypatch.setattr(Mirror, "_apply_by_halves", overtaken)
    assert Mirror(connection=queue.get_connection()).step() == 8
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
    from tasks_app import commands

    task = commands.NewTask(name="slow", params={"records": 1}, **values)
    commands.start_tasks(tasks=[task] * number)


def retry(item: SetAsideItem) -> str:
    import io

    out = io.StringIO()
    with contextlib.suppress(SystemExit):
        call_command("set_aside", "retry", str(item.pk), stdout=out)
    return out.getvalue().partition(" ")[2].strip()


# --- totals and minutes


def test_a_total_that_redis_refuses_is_set_aside_and_the_others_are_added(redis: Any) -> None:
    redis.hset(task_counters.KEY, "accepted|low|slow", "no number")
    task_id = start()
    Worker().run()
    assert record(task_id).status == "finished"
    [item] = items(set_aside.TOTAL)
    assert item.key == "accepted|low|slow"
    ended = {tuple(labels): total for labels, total in read_ended(redis)}
    assert ended == {("low", "slow", "finished"): 1}
    assert retry(item).startswith("refused again")
    redis.hdel(task_counters.KEY, "accepted|low|slow")
    assert retry(item) == "applied"
    assert redis.hget(task_counters.KEY, "accepted|low|slow") == b"1"
    assert items(set_aside.TOTAL) == []


def read_ended(redis: Any) -> Any:
    fields = {k: v for k, v in redis.hgetall(task_counters.KEY).items() if v.lstrip(b"-").isdigit()}
    return task_counters.Totals(fields).counts("ended")


def test_a_minute_that_is_full_takes_later_tasks(redis: Any) -> None:
    first = start()
    mirror()
    TaskMinute.objects.update(rows=2**63 - 1, accepted=2**31 - 1)
    append(redis, changed(first, counts={"users": 2**63 - 1}, status="started"))
    second = start()
    assert record(second).status == "queued"
    assert items() == []


# --- rescue, due tasks and workers


def test_a_job_that_cannot_be_decoded_stops_neither_due_tasks_nor_rescue(redis: Any) -> None:
    bad, good = start(), start()
    for task_id in (bad, good):
        schedule(task_id)
    mirror()
    redis.hset(queue.job_key(bad), "s", b"no JSON")

    Rescue(connection=queue.get_connection()).enqueue_due()

    assert set(waiting()) == {bad, good}  # the bad one by its record
    assert job(bad).status == "queued"
    [item] = items(set_aside.TASK)
    assert (item.key, bytes(item.payload)) == (bad, b"no JSON")


def schedule(task_id: str) -> None:
    """As a failed attempt leaves it, its time over."""
    worker = Worker()
    worker.take(max_tasks=1)
    due_at = datetime.now(UTC) - timedelta(seconds=1)
    snapshot = replace(job(task_id), status="scheduled", next_attempt_at=due_at, cause="attempt_failed")
    assert moves.move_tasks(
        queue.get_connection(), [moves.Move(snapshot, "wip", "scheduled", worker=worker.name, run_at=due_at)]
    ) == [True]


def test_a_due_job_without_a_record_is_set_aside_and_the_others_run(redis: Any) -> None:
    stranger = str(uuid.uuid4())
    redis.hset(queue.job_key(stranger), mapping={"s": b"{", "status": "scheduled"})
    redis.zadd("rq:scheduled:low", {stranger: 1, b"\xff\xfe": 1})
    good = start()
    schedule(good)
    rescue = Rescue(connection=queue.get_connection())
    assert rescue.enqueue_due() == 1
    assert rescue.enqueue_due() == 0
    assert waiting() == [good]
    assert [(item.key, item.tries) for item in items(set_aside.TASK)] == [(stranger, 1)]


@pytest.mark.parametrize("counts", [{"users": BIG}, {"users": {"a": BIG}}])
def test_a_checkpoint_that_cannot_be_told_is_set_aside_and_the_next_is_taken_back(counts: Any) -> None:
    bad, good = start(), start()
    for task_id in (bad, good):
        Worker("dead").take(max_tasks=1)
        claim(task_id)
    mirror()
    TaskCheckpoint.objects.filter(task_id=bad).update(counts=counts)
    rescue = Rescue(connection=queue.get_connection())
    rescue.run()
    assert waiting() == [good]
    [item] = items(set_aside.TASK)
    assert item.key == bad
    rescue.run()
    assert len(items(set_aside.TASK)) == 1


def claim(task_id: str) -> None:
    from tasks_app import checkpoints

    checkpoints.claim(task_id=uuid.UUID(task_id), worker="dead")
    run_out(task_id)


def test_a_task_that_is_mended_goes_on_when_it_is_tried_again(redis: Any) -> None:
    bad = start()
    Worker("dead").take()
    claim(bad)
    mirror()
    TaskCheckpoint.objects.filter(task_id=bad).update(counts={"users": BIG})
    Rescue(connection=queue.get_connection()).run()
    [item] = items(set_aside.TASK)
    assert retry(item).startswith("refused again: TypeError")
    TaskCheckpoint.objects.filter(task_id=bad).update(counts={"users": 0})
    redis.zremrangebyrank("rq:wip:low", 0, -1)
    assert retry(item) == "applied"
    assert waiting() == [bad]


def test_redis_that_refuses_everybody_sets_nothing_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    import redis as redis_package

    from tasks_app.line import NotNow

    task_id = start()
    schedule(task_id)
    for error in (
        redis_package.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        NotNow("BUSY Redis is busy running a script."),
        redis_package.exceptions.ConnectionError("refused"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(moves, "move_many", raise_(error))
            with pytest.raises(type(error)):
                Rescue(connection=queue.get_connection()).enqueue_due()
    assert not SetAsideItem.objects.exists()
    assert Rescue(connection=queue.get_connection()).enqueue_due() == 1


def raise_(error: Exception) -> Callable[..., None]:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    return fail


def test_a_worker_that_takes_a_snapshot_that_cannot_be_decoded_lives_and_runs_it_by_its_record(redis: Any) -> None:
    bad, good = start(), start()
    mirror()
    redis.hset(queue.job_key(bad), "s", b"no JSON")
    worker = Worker()
    [taken] = worker.take(max_tasks=1)
    assert (taken.task_id, taken.snapshot) == (bad, None)
    [taken] = worker.take(max_tasks=1)
    assert taken.task_id == good
    assert taken.snapshot is not None


def test_foreign_members_of_the_registries_stop_nothing(redis: Any) -> None:
    redis.zadd("rq:wip:low", {b"\xff\xfe:w9": 1, "no id": 1, "a:b:c": 1})
    redis.sadd("longtasks:split", b"\xff", "no id")
    QueueState.objects.create(name="no queue \u00e9", paused_at=datetime.now(UTC))
    task_id = start()
    mirror()
    Rescue(connection=queue.get_connection()).run()
    Rescue(connection=queue.get_connection()).run()
    assert waiting() == [task_id]


# --- webhooks


def test_a_delivery_that_cannot_be_sent_stops_nobody(redis: Any, longtasks: Callable[..., None]) -> None:
    longtasks(webhook_secret="s" * 32, webhook_allow_private=True, webhook_attempts=1, webhook_timeout_seconds=2)
    task_ids = [start(), start(), start()]
    mirror()
    good = events.encode(job(task_ids[2])).decode()
    for task_id, url, snapshot in zip(
        task_ids,
        ("http://[::::]/", "http://127.0.0.1:1/", "http://127.0.0.1:1/"),
        (good, "no JSON", good),
        strict=True,
    ):
        WebhookDelivery.objects.create(task_id=task_id, url=url, snapshot=snapshot, due_at=datetime.now(UTC))
    call_command("webhooks", "--once")
    assert not WebhookDelivery.objects.exists()
    told = dict(TaskEvent.objects.filter(cause=webhooks.CAUSE).values_list("task_id", "error"))
    assert set(map(str, told)) == {task_ids[0], task_ids[2]}
    assert told[uuid.UUID(task_ids[0])].startswith("refused: ")
    [item] = items(set_aside.WEBHOOK)
    assert item.key == task_ids[1]
    assert retry(item).startswith("refused again: ValueError: not a snapshot")


# --- the operator


def refused_task(redis: Any) -> tuple[str, SetAsideItem]:
    task_id = start()
    mirror()
    append(redis, changed(task_id, total=5, worker="w1", cause="x", status="started", priority="middle"))
    mirror()
    [item] = items()
    return task_id, item


def test_an_item_that_is_tried_again_is_applied_as_at_first(redis: Any) -> None:
    task_id, item = refused_task(redis)
    assert retry(item) == "refused again: ValueError: priority is 'middle': no queue"
    item.refresh_from_db()
    assert item.tries == 2
    SetAsideItem.objects.update(payload=bytes(item.payload).replace(b"middle", b"high"), size=item.size - 2)
    assert retry(item) == "applied"
    assert record(task_id).total == 5
    assert history(task_id)[-1] == ("started", "x")
    assert not SetAsideItem.objects.exists()
    assert list(AuditEntry.objects.values_list("action", "source")) == [("try_again", "cli")] * 2


def test_an_item_whose_task_has_gone_on_is_not_applied(redis: Any) -> None:
    task_id, item = refused_task(redis)
    SetAsideItem.objects.update(payload=bytes(item.payload).replace(b"middle", b"high"), size=item.size - 2)
    append(redis, changed(task_id, done=2, status="started"))
    mirror()
    assert retry(item) == "not applied: its task has gone on since"
    assert record(task_id).done == 2
    assert not SetAsideItem.objects.exists()


def test_an_item_is_listed_and_dropped_with_an_entry_in_the_audit(redis: Any, capsys: Any) -> None:
    _, item = refused_task(redis)
    call_command("set_aside", "list")
    assert f"{item.pk} snapshot {item.key}: ValueError: priority is 'middle'" in capsys.readouterr().out
    call_command("set_aside", "list", "--json")
    [listed] = json.loads(capsys.readouterr().out)["items"]
    assert listed["payload"] == bytes(item.payload).decode()
    call_command("set_aside", "drop", str(item.pk))
    assert not SetAsideItem.objects.exists()
    [entry] = AuditEntry.objects.all()
    assert (entry.action, entry.detail) == ("drop", f"snapshot {item.key}: {item.reason}")


def test_one_warning_names_the_item(redis: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _, item = refused_task(redis)
    [line] = [each.getMessage() for each in caplog.records if "set aside" in each.getMessage()]
    assert line == f"snapshot {item.key} is set aside: {item.reason}"


def test_a_superuser_with_a_long_name_cancels(redis: Any, client: Client) -> None:
    person = Person.objects.create_superuser("n" * 94, password="x")
    client.force_login(person)
    task_id = start()
    mirror()
    assert client.post(f"/admin/tasks_app/taskrecord/{task_id}/cancel/").status_code in (200, 302)
    assert job(task_id).actor == "n" * 64
    assert record(task_id).status == "canceled"
    assert AuditEntry.objects.get().actor == "n" * 64
    assert items() == []


def test_the_cursor_and_the_note_commit_together(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    append(redis, b"no JSON")
    with monkeypatch.context() as patch:
        patch.setattr(crash_points, "reach", raise_(KeyboardInterrupt()))  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            mirror()
    assert not SetAsideItem.objects.exists()
    assert not MirrorCursor.objects.exclude(stream_id=events.START).exists()
    mirror()
    assert len(items()) == 1
