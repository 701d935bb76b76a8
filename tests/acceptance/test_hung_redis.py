"""Redis hangs under load: web's event loop answers everything else, and each start gets its 503 within one timeout.

`HUNG_SECONDS=10 HUNG_TIMEOUT_SECONDS=1.5 HUNG_RATE=200 pytest -s` measures it by hand.
"""

import asyncio
import json
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

import pytest

from loadtests.started.servers import IS_EMBEDDED, Database, RedisServer
from loadtests.started.stack import ProcfileStack
from tests.acceptance.open_requests import Exchange, OpenRequests, compose_probe, compose_start

TIMEOUT_SECONDS = float(os.environ.get("HUNG_TIMEOUT_SECONDS", "1"))
HUNG_SECONDS = float(os.environ.get("HUNG_SECONDS", 3 * TIMEOUT_SECONDS))
RATE = float(os.environ.get("HUNG_RATE", "60"))  # starts a second
PROBES = 20.0  # a second
CALM_SECONDS = 1.0
# On a busy machine. By hand, on a quiet one: 0.1 s and 0.05 s.
LATE_SECONDS = 1.0
LIVE_SECONDS = 0.5


async def hang(stack: ProcfileStack, server: RedisServer) -> tuple[float, float, list[Exchange], list[Exchange]]:
    """Stop Redis under load and let it continue; return when that was, the starts and the probes."""
    starts = OpenRequests(port=stack.port, rate=RATE, request=compose_start())
    probes = OpenRequests(port=stack.port, rate=PROBES, request=compose_probe())
    async with asyncio.TaskGroup() as group:
        group.create_task(starts.run())
        group.create_task(probes.run())
        await asyncio.sleep(CALM_SECONDS)
        server.pause()
        stopped_at = time.monotonic()
        await asyncio.sleep(HUNG_SECONDS)
        continued_at = time.monotonic()
        server.resume()
        await asyncio.sleep(CALM_SECONDS)
        starts.stop()
        probes.stop()
    return stopped_at, continued_at, starts.exchanges, probes.exchanges


def percentile(exchanges: Sequence[Exchange], part: float) -> float:
    return sorted(each.seconds for each in exchanges)[int((len(exchanges) - 1) * part)]


def read_event(stream: Any, *, task_id: str) -> None:
    for line in iter(stream.readline, b""):
        if task_id.encode() in line:
            return
    raise AssertionError("the stream has ended")


@pytest.mark.skipif(IS_EMBEDDED, reason="stops a Redis of its own")
def test_while_redis_hangs_each_start_gets_503_in_time_and_all_else_continues(
    servers: tuple[Database, RedisServer],
) -> None:
    server = RedisServer()
    server.start()
    stack = ProcfileStack(
        database=servers[0],
        redis_server=server,
        roles=("web", "mirror"),
        environment={"WEB_WORKERS": "1", "REDIS_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS)},
    )
    try:
        stack.start()
        stack.start_upload(records=1)
        with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as sock, sock.makefile("rb") as stream:
            sock.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert stream.readline().split()[1] == b"200"
            stopped_at, continued_at, starts, probes = asyncio.run(hang(stack, server))
            answer = stack.post("/tasks", {"name": "upload"})
            assert answer.status == 201
            read_event(stream, task_id=json.loads(answer.body)["id"])
    finally:
        server.resume()
        stack.close()
        server.remove()

    during = [each for each in starts if stopped_at < each.sent_at < continued_at]
    refused = [each for each in during if each.answered_at < continued_at]
    after = sorted((each for each in starts if each.sent_at > continued_at), key=lambda each: each.sent_at)
    print(
        f"\n{len(during)} starts, {len(refused)} refused: p50 {percentile(refused, 0.5):.3f},"
        f" p99 {percentile(refused, 0.99):.3f}, latest {percentile(refused, 1):.3f} s\n"
        f"{len(probes)} probes: p50 {percentile(probes, 0.5):.4f}, p99 {percentile(probes, 0.99):.4f},"
        f" latest {percentile(probes, 1):.4f} s\n"
        f"{len(after)} starts after: first {after[0].seconds:.3f}, latest {percentile(after, 1):.3f} s"
    )
    assert [each for each in (*starts, *probes) if each.fault] == []
    assert {each.status for each in probes} == {200}
    assert {each.status for each in refused} == {503}
    assert len(refused) >= RATE * (HUNG_SECONDS - TIMEOUT_SECONDS - LATE_SECONDS) > 0
    # Those that still wait at the end may be accepted.
    assert {each.status for each in starts} == {201, 503}
    assert {each.status for each in after} == {201}
    assert after[0].seconds < 1
    assert percentile(during, 1) < TIMEOUT_SECONDS + LATE_SECONDS
    assert percentile(probes, 0.99) < LIVE_SECONDS
