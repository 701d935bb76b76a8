"""What Redis answers of itself is no fault of the command: told apart by its first word, in pipelines and scripts too."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
import redis as redis_package
from redis.connection import DefaultParser

from tasks_app.errors import QueueUnavailable
from tasks_app.models import AuditEntry, QueueState
from tasks_app.operations import readiness
from tasks_app.queues import full_redis, queue_names, redis_connection, redis_keys, snapshot_stream, transitions
from tasks_app.queues.pipelined_connection import AWAY, describe_refusal
from tasks_app.read_model import task_totals
from tasks_app.resilience.transient_errors import is_transient_error
from tasks_app.services import change_many_tasks, change_tasks, pause_queues
from tests.support.engine import Worker, beat, checkpoint, history, job, mirror, record, rescue, start, waiting
from tests.support.servers import IS_EMBEDDED, RedisServer

ABOUT_REDIS = {
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "OOM in a script": "OOM command not allowed when used memory > 'maxmemory'. script: 5a, on @user_script:7.",
    "OOM in a script of 6.2": "ERR Error running script (call to f_5a): @user_script:7: @user_script: 7: -OOM command not"
    " allowed when used memory > 'maxmemory'.",
    "OOM in a transaction": "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 1.",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "too many": "ERR max number of clients reached",
    "too many in a cluster": "ERR max number of clients + cluster connections reached",
    "MISCONF": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "NOREPLICAS": "NOREPLICAS Not enough good replicas to write.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "NOAUTH": "NOAUTH Authentication required.",
    "WRONGPASS": "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM": "NOPERM User default has no permissions to run the 'set' command",
    "MASTERDOWN": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
    "TRYAGAIN": "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED": "MOVED 3999 127.0.0.1:6381",
    "UNBLOCKED": "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "DENIED": "DENIED Redis is running in protected mode because protected mode is enabled",
    "INPROG": "INPROG Failover already in progress",
    "of a later version": "REDIRECT 127.0.0.1:6381",
}
ABOUT_THE_COMMAND = {
    "type": "WRONGTYPE Operation against a key holding the wrong kind of value",
    "type in a script": "WRONGTYPE Operation against a key holding the wrong kind of value script: 5a, on @user_script:1.",
    "type in a script of 6.2": "ERR Error running script (call to f_5a): @user_script:1: WRONGTYPE Operation against a key",
    "syntax": "ERR syntax error",
    "unknown": "ERR unknown command 'NONSENSE', with args beginning with: ",
    "arguments": "ERR wrong number of arguments for 'get' command",
    "Lua": "ERR user_script:1: Script attempted to access nonexistent global variable 'x' script: 5a, on @user_script:1.",
    "a transaction of ours": "EXECABORT Transaction discarded because of previous errors.",
    "group": "BUSYGROUP Consumer Group name already exists",
    "slots": "CROSSSLOT Keys in request don't hash to the same slot",
    "no word": "something that nobody expects",
}


@pytest.mark.parametrize("reply", ABOUT_REDIS.values(), ids=list(ABOUT_REDIS))
def test_a_word_about_redis_is_waited_for(reply: str) -> None:
    error = DefaultParser.parse_error(reply)
    assert isinstance(error, AWAY)
    assert is_transient_error(error)
    with pytest.raises(QueueUnavailable), redis_connection.mapped_errors():
        raise error


@pytest.mark.parametrize("reply", ABOUT_THE_COMMAND.values(), ids=list(ABOUT_THE_COMMAND))
def test_a_word_about_the_command_is_an_error(reply: str) -> None:
    error = DefaultParser.parse_error(reply)
    assert isinstance(error, redis_package.ResponseError)
    assert not is_transient_error(error)


@contextmanager
def config(redis: Any, **values: Any) -> Generator[None, None, None]:
    names = {name.replace("_", "-"): value for name, value in values.items()}
    before = {name: redis.config_get(name)[name] for name in names}
    for name, value in names.items():
        redis.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            redis.config_set(name, value)


def full(redis: Any) -> Any:
    return config(redis, maxmemory=1)


def without_replicas(redis: Any) -> Any:
    return config(redis, min_replicas_to_write=1)


REFUSING = {"OOM": full, "NOREPLICAS": without_replicas}


@pytest.mark.parametrize("word", REFUSING)
def test_a_pipeline_and_a_transaction_are_told_apart_too(redis: Any, word: str) -> None:
    for transaction in (False, True):
        pipeline = redis_connection.get_connection().pipeline(transaction=transaction)
        pipeline.get("a")
        pipeline.set("a", "b")
        with REFUSING[word](redis), pytest.raises(AWAY):
            pipeline.execute()


@pytest.mark.parametrize("word", REFUSING)
def test_nothing_is_accepted_and_ready_says_why(redis: Any, word: str) -> None:
    with REFUSING[word](redis):
        with pytest.raises(QueueUnavailable):
            start()
        assert word in readiness.find_faults()["redis"]
        assert not redis.exists(full_redis.PROBE_KEY)
    assert "redis" not in readiness.find_faults()
    assert not redis.exists(full_redis.PROBE_KEY), "asking whether it takes writes writes nothing"


def test_a_full_redis_still_lets_go_of_what_it_has(redis: Any, longtasks: Callable[..., None]) -> None:
    """Otherwise nothing would free memory any more: tasks are taken, run and ended, told and trimmed."""
    longtasks(retry_attempts=2, retry_first_seconds=0)
    tasks = [start(), start("small"), start("flaky", times=1, at=1), start()]
    with full(redis):
        canceled = change_tasks.cancel_task(task_id=tasks[3], actor="eve")
        assert canceled.status == "canceled"
        worker = Worker()
        while worker.run() or rescue().enqueue_due():
            beat_of("w1")
        assert [record(task_id).status for task_id in tasks] == ["finished"] * 3 + ["canceled"]
        assert redis.xlen(snapshot_stream.STREAM_KEY) == 0
        pause_queues.pause_queue(queue="low", actor="eve")
        assert redis.exists(redis_keys.paused_key("low"))
        pause_queues.resume_queue(queue="low", actor="eve")


def beat_of(worker: str) -> None:
    from tasks_app.queues.worker_liveness import beat as tell

    tell(
        redis_connection.get_connection(), worker=worker, queues=queue_names.QUEUES, fields={"rows": 1}, ttl_seconds=60
    )


def test_what_the_database_has_canceled_is_canceled_and_told_later(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks_app.recovery.unpublished_decisions.SETTLED_SECONDS", -1.0)
    waits, also_waits = start(), start()
    mirror()
    with without_replicas(redis):
        assert change_tasks.cancel_task(task_id=waits, actor="eve").status == "canceled"
        assert change_many_tasks.cancel_tasks(task_ids=[also_waits], actor="eve").changed == [also_waits]
    for task_id in (waits, also_waits):
        assert checkpoint(task_id).outcome == "canceled"
        assert job(task_id).status == record(task_id).status == "queued", "nobody has told them yet"
    rescue()
    assert waiting() == []
    for task_id in (waits, also_waits):
        assert job(task_id).status == record(task_id).status == "canceled"
    told = len(history(waits))
    rescue()
    assert len(history(waits)) == told, "once is enough"


def test_what_the_database_has_opened_again_is_enqueued_later(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks_app.recovery.reconciliation.SETTLED_SECONDS", -1.0)
    task_id = start()
    change_tasks.cancel_task(task_id=task_id, actor="eve")
    mirror()
    with without_replicas(redis):
        assert change_tasks.retry_task(task_id=task_id, actor="eve").status == "queued"
    assert waiting() == []
    rescue()
    assert waiting() == [task_id]
    Worker().run()
    assert record(task_id).status == "finished"


def test_a_pause_holds_and_workers_hear_of_it_later(redis: Any) -> None:
    with without_replicas(redis):
        pause_queues.pause_queue(queue="low", actor="eve")
    assert QueueState.objects.get(name="low").paused_at is not None
    assert not redis.exists(redis_keys.paused_key("low"))
    rescue()
    assert redis.exists(redis_keys.paused_key("low"))
    with without_replicas(redis):
        pause_queues.resume_queue(queue="low", actor="eve")
    assert redis.exists(redis_keys.paused_key("low"))
    rescue()
    assert not redis.exists(redis_keys.paused_key("low"))


def test_a_priority_that_redis_has_changed_is_changed_without_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    task_id = start()

    def fail(**_: object) -> None:
        raise OperationalError(2013, "gone")

    monkeypatch.setattr("tasks_app.auth.audit_log.record", fail)
    assert change_tasks.change_priority(task_id=task_id, priority="high", actor="eve").priority == "high"
    assert waiting("high") == [task_id]
    assert not AuditEntry.objects.exists()


def test_silence_while_redis_takes_no_writes_is_no_death(redis: Any) -> None:
    start()
    Worker().take()
    beat("w1", ago_seconds=3600)
    with without_replicas(redis), pytest.raises(AWAY):
        rescue().watch()


@pytest.mark.parametrize("name", ["NOAUTH", "WRONGPASS"])
def test_a_password_that_changes_is_waited_for(name: str) -> None:
    server = RedisServer(is_valkey=IS_EMBEDDED)
    try:
        server.start()
        with server.client() as client:
            client.config_set("requirepass", "new")
        url = server.url() if name == "NOAUTH" else server.url().replace("//", "//:old@")
        with redis_package.Redis.from_url(url) as late, pytest.raises(AWAY) as raised:
            late.ping()
        assert describe_refusal(raised.value) == name
    finally:
        server.remove()


def test_too_many_clients_are_waited_for() -> None:
    server = RedisServer(is_valkey=IS_EMBEDDED)
    try:
        server.start()
        with server.client() as client:
            client.config_set("maxclients", 1)
            with redis_package.Redis.from_url(server.url()) as late, pytest.raises(AWAY):
                late.ping()
    finally:
        server.remove()


def test_the_totals_are_kept_by_a_full_redis(redis: Any) -> None:
    task_id = start("small")
    with full(redis):
        Worker().run()
        assert record(task_id).status == "finished"
    totals = task_totals.read_totals(redis)
    assert [total for labels, total in totals.counts("ended") if labels[1] == "small"] == [1]


def test_a_take_that_redis_refuses_loses_nothing(redis: Any) -> None:
    task_id = start()
    with without_replicas(redis), pytest.raises(AWAY):
        transitions.dequeue_tasks(
            redis_connection.get_connection(), worker="w1", types=["slow"], queues=queue_names.QUEUES, max_tasks=1, max_records=1
        )  # fmt: skip
    assert waiting() == [task_id]
