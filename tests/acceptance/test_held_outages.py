"""Held requests while Redis hangs and restarts, and when replicas must confirm each start."""

import contextlib
import time

import pytest

from loadtests.started.servers import IS_EMBEDDED, Database, RedisServer
from loadtests.started.stack import ProcfileStack
from tests.acceptance.test_held_requests import (
    LONG,
    ROWS,
    SOON_SECONDS,
    compose,
    pause,
    read_task,
    resume,
    threads_and_sockets,
    wait_until_held,
)
from tests.acceptance.test_quick_requests import connect

pytestmark = pytest.mark.alone


@pytest.mark.skipif(IS_EMBEDDED, reason="stops a Redis of its own")
def test_waits_outlive_a_redis_that_hangs_or_restarts(servers: tuple[Database, RedisServer]) -> None:
    server = RedisServer()
    server.start()
    stack = ProcfileStack(
        database=servers[0],
        redis_server=server,
        roles=("web", "worker"),
        environment={"WEB_WORKERS": "1", "REDIS_TIMEOUT_SECONDS": "1"},
    )
    try:
        stack.start()
        pause(stack)
        with connect(stack) as short, connect(stack) as long:
            short.sendall(compose("/tasks?wait=2"))
            long.sendall(compose(f"/tasks?wait={LONG}"))
            wait_until_held(stack, 2)
            began = time.monotonic()
            server.pause()
            status, _, task = read_task(short)
            assert (status, task["status"]) == (201, "queued")
            assert time.monotonic() - began < 2 + SOON_SECONDS
            server.resume()
            server.kill()
            server.start()
            wait_until_held(stack, 1)
            resume(stack)
            status, _, task = read_task(long)
            assert (status, task["insertedRecords"]) == (201, ROWS)
    finally:
        stack.close()
        server.remove()


@pytest.mark.skipif(IS_EMBEDDED, reason="wants a Redis of its own with a replica")
def test_many_requests_wait_when_a_replica_must_confirm_each_start(servers: tuple[Database, RedisServer]) -> None:
    """Neither the replica nor the task's end costs a thread."""
    server, replica = RedisServer(), RedisServer()
    server.start()
    replica.start()
    stack = ProcfileStack(
        database=servers[0],
        redis_server=server,
        roles=("web", "worker"),
        environment={"WEB_WORKERS": "1", "REDIS_WAIT_REPLICAS": "1", "REDIS_TIMEOUT_SECONDS": "10"},
    )
    try:
        primary = server.client().connection_pool.connection_kwargs
        replica.client().replicaof(primary["host"], primary["port"])
        stack.start()
        stack.wait_for(
            lambda: stack.post("/tasks", {"name": "upload", "params": {"numRecords": 1}}).status == 201,
            deadline_seconds=20,
            what="the replica follows",
        )
        pause(stack)
        with contextlib.ExitStack() as opened:
            clients = [opened.enter_context(connect(stack)) for _ in range(50)]
            for sock in clients:
                sock.sendall(compose(f"/tasks?wait={LONG}", records=1))
            wait_until_held(stack, len(clients))
            threads, _ = threads_and_sockets(stack)
            resume(stack)
            for sock in clients:
                status, _, task = read_task(sock)
                assert (status, task["status"]) == (201, "finished")
            assert threads_and_sockets(stack)[0] <= threads + 1  # one for /queues/low/resume
    finally:
        stack.close()
        server.remove()
        replica.remove()
