"""Starts that replicas must confirm, in an event loop: one WAIT for all of a turn, and an answer in time whatever hangs."""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis as redis_package
from django.conf import settings
from django.test import override_settings
from greenlet import getcurrent

from loadtests.started.servers import IS_EMBEDDED
from longtasks.local_stack.child_process import wait_until
from tasks_app.domain.callers import WRITE, Caller
from tasks_app.errors import QueueFull, QueueUnavailable
from tasks_app.queues import redis_connection
from tasks_app.queues.request_connection import shared_connection
from tasks_app.services import start_tasks
from tasks_app.services.start_tasks import NewTask
from tests.queues.redis_ways import DATABASE, Way, by_socket, reached, running
from tests.queues.running_calls import Loop, run
from tests.support.secured_redis import SecuredRedis

pytestmark = [
    pytest.mark.skipif(IS_EMBEDDED, reason="wants Redis servers of its own"),
    pytest.mark.alone,
]
TIMEOUT_SECONDS = 0.6
SLACK_SECONDS = 0.1
CALLS = 40
TASK = NewTask(name="upload", params={"numRecords": 1})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    with by_socket(tmp_path_factory.mktemp("way")) as found:
        yield found


@pytest.fixture
def way(server: Way) -> Iterator[Way]:
    with server.server.client() as client:
        client.flushall()
    wanted = dataclasses.replace(settings.LONGTASKS, redis_wait_replicas=1, redis_timeout_seconds=TIMEOUT_SECONDS)
    with reached(server), override_settings(LONGTASKS=wanted):
        yield server


@pytest.fixture
def replica(way: Way) -> Iterator[SecuredRedis]:
    with running(SecuredRedis()) as found, way.server.client() as primary, found.client() as client:
        client.replicaof("127.0.0.1", way.server.port)
        assert wait_until(lambda: primary.set("mark", "1") and primary.wait(1, 100) == 1, deadline_seconds=30)
        yield found
    assert wait_until(lambda: not count_replicas(way), deadline_seconds=30)


def count_replicas(way: Way) -> int:
    with way.server.client() as client:
        return int(client.info("replication")["connected_slaves"])


def start(task: NewTask = TASK, **options: Any) -> Any:
    return start_tasks.start_task(task=task, **options)


def run_in_time(*functions: Callable[[], Any], hung: SecuredRedis | None = None) -> list[Any]:
    """Run functions in an event loop, each in a turn of its own; each must end within the promised time.

    With `hung`, this server stops when the loop has its connections, and continues at the end.
    """

    def measure(function: Callable[[], Any]) -> Any:
        began = time.monotonic()
        try:
            return function()
        finally:
            assert time.monotonic() - began < TIMEOUT_SECONDS + SLACK_SECONDS

    async def main() -> list[Any]:
        loop = Loop(redis_connection.get_connection, timeout_seconds=TIMEOUT_SECONDS)
        confirm = partial(shared_connection.execute_confirmed, [("PING",)], "PING")
        await loop.run(confirm, partial(shared_connection.execute_command, "PING"))
        if hung is not None:
            hung.pause()
        results = []
        for function in functions:
            results.append(asyncio.ensure_future(loop.run(partial(measure, function))))
            await asyncio.sleep(0.005)
        found = [(await result)[0] for result in results]
        loop.close()
        return found

    try:
        return asyncio.run(main())
    finally:
        if hung is not None:
            hung.resume()


def are_refused(results: list[Any]) -> bool:
    return {type(result) for result in results} == {QueueUnavailable}


def test_all_starts_of_a_turn_wait_for_the_replica_once(way: Way, replica: SecuredRedis) -> None:
    with way.server.client() as client:
        client.config_resetstat()
        results = run(*[start] * CALLS)
        assert client.info("commandstats")["cmdstat_wait"]["calls"] <= 2  # Redis may not have known the script
    with replica.client(DATABASE) as client:
        held = [each.decode() for each in client.lrange("rq:queue:low", 0, -1)]
    assert held == [result.snapshot.id for result in results]


def test_without_a_replica_each_start_is_refused_in_time(way: Way) -> None:
    assert are_refused(run(*[start] * CALLS))
    assert are_refused(run_in_time(*[start] * CALLS))


def test_while_redis_hangs_each_start_is_refused_in_time_and_then_accepted_again(
    way: Way, replica: SecuredRedis
) -> None:
    assert run(start)[0].snapshot
    assert are_refused(run_in_time(*[start] * CALLS, hung=way.server))
    assert wait_until(lambda: not isinstance(run(start)[0], QueueUnavailable), deadline_seconds=30)


def test_while_redis_hangs_no_start_that_names_a_task_waits_for_a_thread(way: Way) -> None:
    purge = NewTask(name="purge", params={"taskId": "01a20c79-4346-73e8-9a0f-61b1c3486ed6"})
    caller = Caller(owner="someone", scope=WRITE)
    assert are_refused(run_in_time(*[partial(start, purge, caller=caller)] * CALLS, hung=way.server))


def test_a_repeated_start_is_refused_until_a_replica_holds_it(way: Way, request: pytest.FixtureRequest) -> None:
    repeat = partial(start, idempotency_key="once")
    assert are_refused([*run(repeat), *run(repeat)])
    request.getfixturevalue("replica")
    (started,) = run(repeat)
    assert started.replayed


def test_a_full_queue_is_full_with_or_without_a_replica(way: Way) -> None:
    full = dataclasses.replace(settings.LONGTASKS, queue_bound=1)
    with override_settings(LONGTASKS=full):
        first, second = run(start, start)
    assert (type(first), type(second)) == (QueueUnavailable, QueueFull)


def test_the_error_of_one_command_fails_no_other(way: Way, replica: SecuredRedis) -> None:
    confirm = partial(shared_connection.execute_confirmed, [("WAIT", 1, 500)])
    good, bad, other = run(partial(confirm, "INCR", "a"), partial(confirm, "NO-SUCH"), partial(confirm, "INCR", "b"))
    assert (good, other) == ([1, 1], [1, 1])
    assert isinstance(bad, redis_package.exceptions.ResponseError)


def test_a_call_that_only_reads_may_run_again_and_one_that_is_confirmed_may_not(way: Way) -> None:
    def has_asked(ask: Callable[[], Any]) -> tuple[Any, bool]:
        call: Any = getcurrent()
        return ask(), call.has_asked

    read = partial(shared_connection.execute_reads, [("GET", "a"), ("EXISTS", "b")])
    confirm = partial(shared_connection.execute_confirmed, [("EXISTS", "b")], "GET", "a")
    assert run(partial(has_asked, read), partial(has_asked, confirm)) == [([None, 0], False), ([None, 0], True)]
    assert (read(), confirm()) == ([None, 0], [None, 0]), "a thread gets the same"
