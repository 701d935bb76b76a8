"""The doctor names each fault that is planted in a real stack, and finds none in a healthy one."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings
from django.utils import timezone
from redis import Redis

from loadtests.started.servers import IS_EMBEDDED
from tasks_app.domain.task_ids import get_lowest_id
from tasks_app.models import OutboxTask, QueueState, TaskCheckpoint
from tasks_app.operations.doctor import findings
from tasks_app.operations.doctor.report import examine
from tasks_app.process_monitor import reports
from tasks_app.queues import snapshot_stream
from tasks_app.resilience import set_aside_items
from tests.conftest import MakeStack

pytestmark = pytest.mark.django_db


@pytest.fixture
def healthy(redis: Redis) -> Redis:
    """Redis with one living worker, registered as RQ does it."""
    now = timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    redis.hset(
        "rq:worker:w1", mapping={"queues": "high,low", "state": "idle", "last_heartbeat": now, "birth": now, "rows": 0}
    )
    redis.sadd("rq:workers", "rq:worker:w1")
    return redis


def faults() -> dict[str, findings.Finding]:
    return {each.check: each for each in examine() if each.level != findings.OK}


def report(redis: Redis, slot: int, **changes: Any) -> None:
    """A mirror that has been running for an hour."""
    values = {"version": "1.0.0", "began_at": time.time() - 3600, **changes}
    entry = reports.Entry(host="one", kind="mirror", slot=slot, pid=1, reporter_pid=1, **values)
    assert reports.write(redis, entry)


@contextlib.contextmanager
def redis_config(redis: Redis, name: str, value: str) -> Generator[None, None, None]:
    before = redis.config_get(name)[name]
    redis.config_set(name, value)
    try:
        yield
    finally:
        redis.config_set(name, before)


@contextlib.contextmanager
def session(statement: str, undo: str) -> Generator[None, None, None]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(undo)


def longtasks(**changes: Any) -> override_settings:
    return override_settings(LONGTASKS=dataclasses.replace(settings.LONGTASKS, **changes))


@contextlib.contextmanager
def bulk_writer_without_local_infile() -> Generator[None, None, None]:
    with longtasks(bulk_writer=True), session("SET GLOBAL local_infile = 0", "SET GLOBAL local_infile = 1"):
        yield


@contextlib.contextmanager
def done(action: Callable[[], object]) -> Generator[None, None, None]:
    action()
    yield


def test_a_healthy_installation_has_no_fault(healthy: Redis) -> None:
    assert faults() == {}


ANYWHERE = {
    "redis: eviction": lambda redis: redis_config(redis, "maxmemory-policy", "allkeys-lru"),
    "redis: appendonly": lambda redis: redis_config(redis, "appendonly", "no"),
    "redis: appendfsync": lambda redis: redis_config(redis, "appendfsync", "everysec"),
    "redis: hashes": lambda redis: redis_config(redis, "hash-max-listpack-value", "64"),
    "migrations": lambda redis: done(
        lambda: MigrationRecorder(connection).record_unapplied("catalog", "0003_archived_order_items")
    ),
    "workers: high": lambda redis: done(lambda: redis.delete("rq:worker:w1")),
    "queue: low": lambda redis: done(
        lambda: QueueState.objects.create(name="low", paused_at=timezone.now(), paused_by="eve")
    ),
    "queues: suspended": lambda redis: done(lambda: redis.set("rq:suspended", 1)),
    "mirror": lambda redis: done(
        lambda: redis.xadd(snapshot_stream.STREAM_KEY, {"s": b"{}"}, id=f"{int(time.time() - 60) * 1000}-1")
    ),
    "rescue": lambda redis: done(
        lambda: TaskCheckpoint.objects.create(
            task_id="0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10",
            lease_until=timezone.now() - timezone.timedelta(minutes=5),
            updated_at=timezone.now(),
        )
    ),
    "outbox": lambda redis: done(
        lambda: OutboxTask.objects.create(
            id=get_lowest_id(timezone.now() - timezone.timedelta(minutes=5)), snapshot=b""
        )
    ),
    "set aside": lambda redis: done(
        lambda: set_aside_items.note(
            kind=set_aside_items.TASK, key="1", payload=b"", error="ValueError: not a snapshot"
        )
    ),
    "processes: versions": lambda redis: done(lambda: (report(redis, 0, version="1.0.0+a"), report(redis, 1))),
    "processes: restarts": lambda redis: done(
        lambda: report(redis, 0, restarts=3, last_exit="SIGKILL", last_exit_at=time.time() - 5)
    ),
    "settings: lease": lambda redis: longtasks(lease_seconds=0.5),
    "settings: pause": lambda redis: longtasks(pause_ms=200),
    "settings: failpoints": lambda redis: longtasks(crash_points="after_take=1"),
}
ON_MYSQL = {
    "database: isolation": lambda redis: session(
        "SET SESSION tx_isolation = 'REPEATABLE-READ'", "SET SESSION tx_isolation = 'READ-COMMITTED'"
    ),
    "database: time zone": lambda redis: session("SET time_zone = '+02:00'", "SET time_zone = '+00:00'"),
    "database: sql_mode": lambda redis: session("SET sql_mode = ''", "SET sql_mode = 'STRICT_TRANS_TABLES'"),
    "database: durability": lambda redis: session(
        "SET GLOBAL innodb_flush_log_at_trx_commit = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 1"
    ),
    "database: bulk writer": lambda redis: bulk_writer_without_local_infile(),
    "database: connections": lambda redis: override_settings(WEB_WORKERS=200, WEB_THREADS=8),
    "clocks": lambda redis: session(f"SET TIMESTAMP = {time.time() - 120:.0f}", "SET TIMESTAMP = DEFAULT"),
}
PLANTED = ANYWHERE | ({} if IS_EMBEDDED else ON_MYSQL)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_named_with_its_fix(healthy: Redis, name: str) -> None:
    with PLANTED[name](healthy):
        found = faults()
    assert name in found, found
    assert found[name].found
    assert found[name].mend
    # No other finding; without workers both queues have none.
    assert {each.split(":")[0] for each in found} == {name.partition(":")[0]}


def test_an_unavailable_redis_is_a_finding_and_not_a_crash(healthy: Redis) -> None:
    queues = {name: {**each, "URL": "redis://:hunter2@127.0.0.1:1/0"} for name, each in settings.RQ_QUEUES.items()}
    with override_settings(RQ_QUEUES=queues):
        found = faults()
    assert "can't be examined" in found["redis"].found
    assert "hunter2" not in str(found)


def test_the_command_is_clean_on_a_running_stack_and_counts_its_faults(make_stack: MakeStack) -> None:
    stack = make_stack(workers=1)
    stack.wait_for(
        lambda: stack.run_manage("doctor").returncode == 0, deadline_seconds=120, what="the doctor finds no fault"
    )
    assert "No faults." in stack.manage("doctor")
    stack.stop_role("worker")

    def no_worker() -> bool:
        return stack.run_manage("doctor", "--json").returncode == 1

    stack.wait_for(no_worker, deadline_seconds=120, what="the doctor misses the worker")
    output = json.loads(stack.run_manage("doctor", "--json").stdout)
    assert {each["check"] for each in output["findings"] if each["level"] == "fault"} == {
        "workers: high",
        "workers: low",
    }
    assert output["faults"] == 2


def test_a_worker_of_another_program_is_named(healthy: Redis) -> None:
    now = timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    healthy.hset("rq:worker:stock", mapping={"queues": "high,mail", "state": "idle", "last_heartbeat": now})
    healthy.hset("rq:worker:mailer", mapping={"queues": "mail", "state": "idle", "last_heartbeat": now})
    healthy.sadd("rq:workers", "rq:worker:stock", "rq:worker:mailer")
    found = faults()
    assert list(found) == ["workers: foreign"]
    assert "stock serves high" in found["workers: foreign"].found


def test_a_worker_with_a_wrong_clock_is_named(healthy: Redis) -> None:
    healthy.hset("rq:worker:w1", "skew", "-10.204")
    assert "w1's machine is 10.2 s behind Redis's" in faults()["clocks: worker"].found


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [("OOM", "maxmemory", "1"), ("NOREPLICAS", "min-replicas-to-write", "1")],
)
def test_a_redis_that_refuses_writes_is_named_with_its_fix(healthy: Redis, word: str, name: str, value: str) -> None:
    with redis_config(healthy, name, value):
        found = faults()
    assert list(found) == ["redis: refuses writes"]
    assert found["redis: refuses writes"].found.startswith(word)
    assert found["redis: refuses writes"].mend
