"""Suspended calls as a server runs them, for tests: an event loop, its connection to Redis, and threads."""

import asyncio
from collections.abc import Callable
from typing import Any

from tasks_app.queues import redis_connection
from tasks_app.queues.confirmed_commands import ConfirmedCommands
from tasks_app.queues.loop_connection import LoopConnection
from tasks_app.queues.suspended_calls import Call, Calls


class Loop:
    """What a server gives suspended calls."""

    def __init__(self, get_client: Callable[[], Any], *, timeout_seconds: float) -> None:
        self.connection = LoopConnection(get_client, timeout_seconds=timeout_seconds)
        self.confirmed = ConfirmedCommands(LoopConnection(get_client, timeout_seconds=timeout_seconds))
        self.ask_confirmed = self.confirmed.ask
        self.ask = self.connection.ask
        self.calls = Calls(self)

    def run_in_thread(self, function: Callable[[], Any], call: Call) -> None:
        future = asyncio.get_running_loop().run_in_executor(None, function)
        future.add_done_callback(lambda done: call.resume(done.exception() or done.result()))

    def close(self) -> None:
        self.connection.close()
        self.confirmed.close()

    async def run(self, *functions: Callable[[], Any]) -> list[Any]:
        """Run functions side by side; return their results, or exceptions."""
        futures = []
        for function in functions:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            futures.append(future)
            self.calls.run(
                lambda function: function(),
                function,
                lambda result, error, future=future: (
                    future.set_result(result) if error is None else future.set_exception(error)
                ),
            )
        return await asyncio.gather(*futures, return_exceptions=True)


def run(
    *functions: Callable[[], Any], get_client: Callable[[], Any] = redis_connection.get_connection, seconds: float = 5
) -> list[Any]:
    async def main() -> list[Any]:
        loop = Loop(get_client, timeout_seconds=seconds)
        try:
            return await loop.run(*functions)
        finally:
            loop.close()

    return asyncio.run(main())
