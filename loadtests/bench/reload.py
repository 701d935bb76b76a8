"""Measures reloads of web (HUP) under POSTs: none may be refused, reset or answered with anything but 2xx.

Half of the POSTs open a connection each; the others keep theirs, as a proxy does.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from loadtests.bench.context import BODY, Bench
from loadtests.bench.errors import BenchError
from loadtests.bench.figures import percentile
from loadtests.bench.ground import BenchStack
from loadtests.bench.open_load import REFUSED, RESET, SILENT, Client, Outcome, compose_request, wait_for

KINDS: Final = {"new connections": False, "kept connections": True}
SETTLE_SECONDS: Final = 1.0  # before the first reload, and after each


def measure(bench: Bench) -> dict[str, Any]:
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    with bench.ground.stack() as stack:
        stack.start_web()
        for run in range(bench.scale.runs):
            stack.restart_empty()
            found = asyncio.run(reload_under_load(bench, stack))
            for kind, figures in found.items():
                results[kind].append(figures)
                bench.say(
                    f"reload run {run + 1}, {kind}: {figures['requests']} POSTs, {figures['refused']} refused, "
                    f"{figures['reset']} reset, {figures['silent']} unanswered, {figures['not_2xx']} not 2xx"
                )
            stack.wait_until_mirrored()
    return {"rate": bench.scale.reload_rate, "reloads": bench.scale.reloads, "kinds": results}


async def reload_under_load(bench: Bench, stack: BenchStack) -> dict[str, dict[str, Any]]:
    """Reload `scale.reloads` times; each waits until the processes before it have ended. Returns figures by kind."""
    request = compose_request("POST", "/tasks", body=BODY)
    over = asyncio.Event()
    sending = {
        kind: asyncio.create_task(
            Client(stack.port, is_keeping=is_keeping).send_at_rate(
                request, rate=bench.scale.reload_rate // len(KINDS), is_over=over.is_set
            )
        )
        for kind, is_keeping in KINDS.items()
    }
    await asyncio.sleep(SETTLE_SECONDS)
    try:
        for _ in range(bench.scale.reloads):
            old = set(await asyncio.to_thread(stack.child_pids, "web"))
            stack.hang_up("web")

            def are_replaced(old: set[int] = old) -> bool:
                return not old & set(stack.child_pids("web"))

            if not await wait_for(are_replaced, deadline_seconds=60, every_seconds=0.25):
                raise BenchError(f"web's old processes have not ended:\n{stack.log_tail('web')}")
            await asyncio.sleep(SETTLE_SECONDS)
    finally:
        over.set()
    return {kind: summarize(await sent) for kind, sent in sending.items()}


def summarize(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    failures = {name: sum(outcome.failure == name for outcome in outcomes) for name in (REFUSED, RESET, SILENT)}
    return failures | {
        "requests": len(outcomes),
        "not_2xx": sum(outcome.status != 0 and outcome.status // 100 != 2 for outcome in outcomes),
        "p99_ms": (percentile([outcome.seconds for outcome in outcomes], 0.99) or 0.0) * 1000,
        "max_ms": max((outcome.seconds for outcome in outcomes), default=0.0) * 1000,
    }
