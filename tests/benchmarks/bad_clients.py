"""Clients that are slow, send wrong tokens, or hold streams open, many of each at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from tests.benchmarks.http_connection import Connection, compose

STREAMS_OPEN: Final = "streams open"
OPEN_SECONDS: Final = 60  # for all streams to be open and all slow clients to have begun


async def attack(clients_by_kind: Mapping[str, int], *, port: int, tokens: Sequence[str]) -> None:
    """Be so many clients of each kind, with these tokens in turn, until a line comes by stdin."""
    counts: Counter[str] = Counter()
    clients: dict[str, Callable[[int], Coroutine[Any, Any, None]]] = {
        "slow": lambda number: be_slow(port, number, tokens[number % len(tokens)], counts),
        "wrong": lambda number: send_wrong_tokens(port, number, counts, anew=False),
        "wrong-anew": lambda number: send_wrong_tokens(port, number, counts, anew=True),
        "streams": lambda number: watch(port, tokens[number % len(tokens)], counts),
    }
    tasks = [
        asyncio.create_task(clients[kind](number)) for kind, most in clients_by_kind.items() for number in range(most)
    ]
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(OPEN_SECONDS):
        while counts[STREAMS_OPEN] < clients_by_kind.get("streams", 0) or counts["slow bytes"] < clients_by_kind.get(
            "slow", 0
        ):
            await asyncio.sleep(0.1)
    for what in [*counts]:
        if what != STREAMS_OPEN:
            del counts[what]
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(json.dumps(counts), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def be_slow(port: int, number: int, token: str, counts: Counter[str]) -> None:
    """Send one byte a second: of the headers, or of an announced body."""
    announced = compose("POST", "/tasks", token, b" " * 5000)[:-5000]
    while True:
        with contextlib.suppress(OSError, EOFError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(announced if number % 2 else b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
                while not writer.transport.is_closing():
                    await asyncio.sleep(random.uniform(0.9, 1.1))
                    writer.write(b" " if number % 2 else b"x")
                    await writer.drain()
                    counts["slow bytes"] += 1
            finally:
                writer.close()


async def send_wrong_tokens(port: int, number: int, counts: Counter[str], *, anew: bool) -> None:
    """Send wrong tokens in a closed loop: the next request after the last answer."""
    connection = Connection(port)
    sent = 0
    while True:
        sent += 1
        try:
            status, _ = await connection.ask(
                compose("GET", f"/tasks/{'0' * 8}-0000-7000-8000-{'0' * 12}", f"lt_{number}x{sent}")
            )
            counts[f"wrong tokens answered {status}"] += 1
        except (OSError, EOFError):
            counts["wrong tokens not answered"] += 1
            await asyncio.sleep(0.01)
        if anew:
            connection.close()


async def watch(port: int, token: str, counts: Counter[str]) -> None:
    """Hold a stream open that sends heartbeats only; reopen it when it ends."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(compose("GET", "/stream", token))
            if b" 200 " in await reader.readline():
                counts[STREAMS_OPEN] += 1
                while await reader.read(65536):
                    pass
                counts[STREAMS_OPEN] -= 1
            writer.close()
        except OSError:
            counts["streams refused"] += 1
        await asyncio.sleep(1)
