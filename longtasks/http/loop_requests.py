"""Quick requests in web's event loop: each runs in a greenlet, and is suspended while it waits.

Owns: what suspended requests wait for, the end of a wait when its client leaves, and which requests have to run again in
a thread. Must not: answer a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from greenlet import getcurrent

from longtasks.http.exchange import Answer, Environ, Receive
from longtasks.http.thread_pool import PoolFull, ThreadPool
from tasks_app.errors import StoreUnavailable
from tasks_app.queues.confirmed_commands import ConfirmedCommands
from tasks_app.queues.loop_connection import LoopConnection
from tasks_app.queues.suspended_calls import Asking, Call, Calls, NeedsThread, Words

REQUEST_BYTES: Final = (
    "longtasks.request_bytes"  # in the environ of a request that may wait for a task's end, for long_poll.py
)


class RequestFailed(Exception):
    """A request has raised what is not an Exception, or needs the thread after it has changed something."""


class LoopWaits:
    """What suspended requests wait for: Redis, or a function in a thread."""

    def __init__(self, connection: LoopConnection, confirmed: ConfirmedCommands, threads: ThreadPool) -> None:
        self.ask = connection.ask
        self._connection, self._confirmed, self._threads = connection, confirmed, threads

    def ask_confirmed(self, words: Words, confirming: Sequence[Words], asking: Asking) -> None:
        """Resume with the answers of a command and of those that confirm it.

        If its error says that another server may be the primary, the other commands leave their connection too.
        """
        self._confirmed.ask(words, confirming, _Leaving(self._connection, asking))

    def run_in_thread(self, function: Callable[[], Any], call: Call) -> None:
        """Resume the call with the function's result or exception; with StoreUnavailable if the pool is full."""
        try:
            future = self._threads.submit(function)
        except PoolFull:
            asyncio.get_running_loop().call_soon(call.resume, StoreUnavailable("too many requests wait for it"))
            return
        future.add_done_callback(lambda done: call.resume(done.exception() or done.result()))


class _Leaving:
    """Gets an answer; if it is an error, it gives a connection up before it passes the error on."""

    def __init__(self, connection: LoopConnection, asking: Asking) -> None:
        self._connection, self._asking = connection, asking

    def resume(self, value: Any) -> None:
        if isinstance(value, BaseException):
            self._connection.leave(value)
        self._asking.resume(value)


class LoopRequests:
    """The quick requests of one event loop."""

    def __init__(self, respond: Callable[[Environ], Answer], waits: LoopWaits) -> None:
        self._respond = respond
        self._calls = Calls(waits)

    async def answer(self, environ: Environ, receive: Receive) -> Answer | None:
        """Return a request's answer, or None if it has to run again, in a thread. Raises what the request raises."""
        outcome: asyncio.Future[tuple[Any, BaseException | None, bool]] = asyncio.get_running_loop().create_future()

        def end(answer: Any, error: BaseException | None) -> None:
            # Noted here: the greenlet may run another request before this one continues.
            call: Any = getcurrent()
            if not outcome.done():
                outcome.set_result((answer, error, call.has_asked))

        call = self._calls.run(self._respond, environ, end)
        leaving = None
        if REQUEST_BYTES in environ and not outcome.done():
            leaving = asyncio.ensure_future(receive())
            leaving.add_done_callback(lambda _: None if outcome.done() else call.interrupt())
        try:
            answer, error, has_asked = await outcome
        finally:
            if leaving is not None:
                leaving.cancel()
        if error is None:
            return answer  # type: ignore[no-any-return]
        if isinstance(error, NeedsThread) and not (has_asked and environ["REQUEST_METHOD"] == "POST"):
            return None
        if isinstance(error, Exception):
            raise error
        raise RequestFailed(f"{type(error).__name__} in the event loop") from error
