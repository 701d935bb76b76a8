"""REDIS_WAIT_REPLICAS and min-replicas-to-write: no 201 for a task without a replica, not even for a repeated request."""

import contextlib
import dataclasses
from collections.abc import Generator

import pytest
import redis as redis_package
from django.conf import settings
from django.test import override_settings

from loadtests.started.servers import IS_EMBEDDED, RedisServer
from longtasks.local_stack.child_process import wait_until
from tasks_app.errors import QueueUnavailable
from tasks_app.queues import redis_connection, redis_keys
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS
from tasks_app.services import start_tasks

TASK = start_tasks.NewTask(name="upload", params={"numRecords": 1})


@pytest.fixture(autouse=True)
def _wants_a_replica() -> Generator[None, None, None]:
    # WAIT returns after half of the timeout.
    with override_settings(
        LONGTASKS=dataclasses.replace(settings.LONGTASKS, redis_wait_replicas=1, redis_timeout_seconds=1)
    ):
        yield


@pytest.fixture
def replica(redis: redis_package.Redis) -> Generator[RedisServer, None, None]:
    """Run a replica of the tests' Redis; it has caught up."""
    server = RedisServer(is_valkey=IS_EMBEDDED)
    try:
        server.start()
        with server.client() as client:
            client.replicaof("127.0.0.1", redis.connection_pool.connection_kwargs["port"])
            assert redis.wait(0, 1) >= 0
            redis.set("longtasks:mark", "1")
            assert wait_until(lambda: redis.wait(1, 200) == 1, deadline_seconds=60), "the replica does not catch up"
        yield server
    finally:
        server.remove()


def test_a_task_that_no_replica_holds_is_not_accepted() -> None:
    with pytest.raises(QueueUnavailable):
        start_tasks.start_task(task=TASK)


def test_a_repeated_request_is_not_accepted_without_a_replica(redis: redis_package.Redis) -> None:
    for _ in range(2):
        with pytest.raises(QueueUnavailable):
            start_tasks.start_task(task=TASK, idempotency_key="once")
    assert redis.llen(redis_keys.queue_key("low")) == 1, "the repeated request was a replay and was refused as well"


def test_a_repeated_request_is_accepted_once_a_replica_holds_it(
    redis: redis_package.Redis, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(QueueUnavailable):
        start_tasks.start_task(task=TASK, idempotency_key="twice")
    replica: RedisServer = request.getfixturevalue("replica")
    accepted: list[start_tasks.StartedTask] = []

    def is_accepted() -> bool:
        with contextlib.suppress(QueueUnavailable):  # a replica that is busy with its disk may be late once
            accepted.append(start_tasks.start_task(task=TASK, idempotency_key="twice"))
        return bool(accepted)

    assert wait_until(is_accepted, deadline_seconds=30)
    [started] = accepted
    assert started.replayed
    with replica.client() as client:
        assert client.lrange(redis_keys.queue_key("low"), 0, -1) == [started.snapshot.id.encode()]


def test_a_primary_without_its_required_replicas_is_unavailable(redis: redis_package.Redis) -> None:
    # The replica of another test has ended, but the primary may not have noticed yet.
    assert wait_until(lambda: redis.info("replication")["connected_slaves"] == 0, deadline_seconds=30)
    redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(QueueUnavailable):
            start_tasks.start_task(task=TASK)
        with pytest.raises(UNAVAILABLE_ERRORS):
            redis_connection.get_connection().set("longtasks:mark", "1")
        # A replay writes nothing, so it must not count as replicated either.
    finally:
        redis.config_set("min-replicas-to-write", 0)
    assert not redis.exists(redis_keys.queue_key("low"))
