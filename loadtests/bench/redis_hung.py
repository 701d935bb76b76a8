"""Measures web while Redis hangs (SIGSTOP) under POSTs, liveness probes and open streams, and after it continues.

Owns what counts: POSTs whose time limit ended while Redis hung must all be answered 503; the times of all that were sent
meanwhile count. A stream continues if it is open at the end and has sent something after Redis continued.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

from loadtests.bench.context import BODY, Bench
from loadtests.bench.errors import BenchError
from loadtests.bench.figures import percentile
from loadtests.bench.ground import BenchStack
from loadtests.bench.open_load import Client, OpenStream, Outcome, compose_request, wait_for

POSTS_PER_SECOND: Final = 200
PROBES_PER_SECOND: Final = 20
STREAMS: Final = 20
CALM_SECONDS: Final = 2.0  # before it hangs, and after
MARGIN_SECONDS: Final = 0.1
TIMEOUT_SECONDS: Final = 1.5  # REDIS_TIMEOUT_SECONDS of the measured web


def measure(bench: Bench) -> dict[str, Any]:
    runs = []
    with bench.ground.stack(environment={"REDIS_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS)}) as stack:
        stack.start_web()
        for run in range(bench.scale.runs):
            stack.restart_empty()
            figures = asyncio.run(hang_once(bench, stack))
            bench.say(
                f"redis-hung run {run + 1}: live p99 {figures['live_p99_ms']:.0f} ms, {figures['share_503']:.1%} of the "
                f"POSTs 503, slowest {figures['post_max_ms']:.0f} ms, 201 after {figures['first_201_ms']:.0f} ms, "
                f"{figures['streams_open']} streams open"
            )
            runs.append(figures)
            stack.wait_until_mirrored()
    return {
        "seconds": bench.scale.hung_seconds,
        "posts": POSTS_PER_SECOND,
        "probes": PROBES_PER_SECOND,
        "streams": STREAMS,
        "timeout_ms": TIMEOUT_SECONDS * 1000,
        "runs": runs,
    }


async def hang_once(bench: Bench, stack: BenchStack) -> dict[str, Any]:
    hung_seconds = bench.scale.hung_seconds
    server = bench.ground.redis_server
    streams = [await OpenStream.open(stack.port, "/stream") for _ in range(STREAMS)]
    ends_at = monotonic() + CALM_SECONDS + hung_seconds + CALM_SECONDS

    def is_over() -> bool:
        return monotonic() >= ends_at

    post, probe = compose_request("POST", "/tasks", body=BODY), compose_request("GET", "/health/live")
    posting = asyncio.create_task(
        Client(stack.port, is_keeping=True).send_at_rate(post, rate=POSTS_PER_SECOND, is_over=is_over)
    )
    probing = asyncio.create_task(
        Client(stack.port, is_keeping=True).send_at_rate(probe, rate=PROBES_PER_SECOND, is_over=is_over)
    )
    await asyncio.sleep(CALM_SECONDS)
    server.pause()
    hung_at = monotonic()
    try:
        await asyncio.sleep(hung_seconds)
    finally:
        server.resume()
    resumed_at = monotonic()
    posts, probes = await posting, await probing
    await wait_for(lambda: all(stream.received_at > resumed_at for stream in streams), deadline_seconds=5)
    alive = sum(stream.is_open and stream.received_at > resumed_at for stream in streams)
    for stream in streams:
        stream.close()
    return summarize(posts, probes, hung_at=hung_at, resumed_at=resumed_at) | {"streams_open": alive}


def summarize(
    posts: Sequence[Outcome], probes: Sequence[Outcome], *, hung_at: float, resumed_at: float
) -> dict[str, Any]:
    """Return the figures of one hang."""
    meanwhile = [post for post in posts if hung_at <= post.due_at < resumed_at]
    doomed = [post for post in meanwhile if post.due_at < resumed_at - TIMEOUT_SECONDS - MARGIN_SECONDS]
    live = [probe for probe in probes if hung_at <= probe.due_at < resumed_at]
    again = [post.ended_at - resumed_at for post in posts if post.status == 201 and post.ended_at > resumed_at]
    after = [post for post in posts if post.due_at >= resumed_at]
    if not doomed or not live or not again:
        raise BenchError("no POST or no probe was sent while Redis hung, or none was accepted after it")
    return {
        "posts": len(meanwhile),
        "share_503": sum(post.status == 503 for post in doomed) / len(doomed),
        "post_max_ms": max(post.seconds for post in meanwhile) * 1000,
        "unanswered": sum(post.status == 0 for post in posts),
        "live_p99_ms": (percentile([probe.seconds for probe in live], 0.99) or 0.0) * 1000,
        "live_failed": sum(probe.status != 200 for probe in live),
        "first_201_ms": min(again) * 1000,
        "refused_after": sum(post.status != 201 for post in after),
    }
