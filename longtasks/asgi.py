"""The ASGI application of web: the API, the pages and the live stream, on one event loop.

Owns where a request runs. Quick ones (a start, a look at one task) run in the loop, suspended while Redis answers; the
stream is an application of its own; everything else runs in a bounded pool of threads. The loop never waits.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from longtasks.wsgi import application as pages  # sets Django up, before all that follows

# isort: split
from django.conf import settings
from django.db import close_old_connections
from django.urls import set_script_prefix

from longtasks.http import paths
from longtasks.http.api_handler import ApiHandler
from longtasks.http.bounded_request import BoundedRequest
from longtasks.http.exchange import Answer, Receive, Scope, build_environ, encode, read_body
from longtasks.http.request_head import problem_body
from tasks_app.api import held_requests
from tasks_app.api.early_refusal import find_wait_seconds
from tasks_app.api.stream.asgi_app import StreamApplication
from tasks_app.errors import StoreUnavailable
from tasks_app.http import url_prefix
from tasks_app.queues.loop_connection import LoopConnection
from tasks_app.queues.redis_connection import get_connection
from tasks_app.queues.suspended_calls import Call, Calls, NeedsThread

logger = logging.getLogger(__name__)
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

WAITING_REQUESTS: Final = 200  # of all requests that find no thread
READ_THREADS: Final = 2  # for what quick requests ask the database
WAITING_READS: Final = 1000
RETRY_SECONDS: Final = 2


class PoolFull(Exception):
    """All threads are busy, and enough wait for one."""


class ThreadPool:
    """Threads with a bounded queue."""

    def __init__(self, threads: int, *, waiting: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._places = threads + waiting
        self._loop = asyncio.get_running_loop()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Return the future of a call. Raises PoolFull."""
        if self._places <= 0:
            raise PoolFull
        self._places -= 1
        future = self._executor.submit(function, *arguments)
        # Where the request is given up, the thread still works on it.
        future.add_done_callback(lambda _: self._call_in_loop(self._free))
        return asyncio.wrap_future(future)

    def _free(self) -> None:
        self._places += 1

    def _call_in_loop(self, function: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class LoopWaits:
    """What suspended calls wait for in this loop."""

    def __init__(self, connection: LoopConnection, threads: ThreadPool) -> None:
        self.send_command = connection.send_command
        self._threads = threads

    def run_in_thread(self, function: Callable[[], Any], call: Call) -> None:
        try:
            future = self._threads.submit(_run_with_database, function)
        except PoolFull:
            asyncio.get_running_loop().call_soon(call.resume, StoreUnavailable("too many requests wait for it"))
            return
        future.add_done_callback(lambda done: call.resume(done.exception() or done.result()))


def _run_with_database(function: Callable[[], Any]) -> Any:
    try:
        return function()
    finally:
        close_old_connections()


class Application:
    """Web's application; its parts are made when the event loop starts."""

    find_wait_seconds = staticmethod(find_wait_seconds)

    def __init__(self) -> None:
        self._api, self._stream = ApiHandler(), StreamApplication()
        self._constant_headers = [
            (name.lower(), (name.encode("latin-1"), value.encode("latin-1")))
            for name, value in self._api.constant_headers
        ]
        self._calls: Calls | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    def start(self) -> None:
        """Make what belongs to the running event loop."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._connection = LoopConnection(get_connection, timeout_seconds=settings.LONGTASKS.redis_timeout_seconds)
        self._connection.connect()
        self._threads = ThreadPool(settings.WEB_THREADS, waiting=WAITING_REQUESTS, name="web")
        self._reads = ThreadPool(READ_THREADS, waiting=WAITING_READS, name="reads")
        # As many connections as for streams, and as for requests that do not wait.
        self._held = held_requests.begin(places=min(held_requests.PLACES, files // 3))
        self._calls = Calls(LoopWaits(self._connection, self._reads))

    def end_soon(self) -> None:
        """Answer all who wait, and end the streams: this process is to end."""
        if self._calls is not None:
            self._held.end()
        self._stream.end()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.startup":
                self.start()
            elif self._calls is not None:
                self._connection.close()
                self._threads.close()
                self._reads.close()
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = url_prefix.cut(scope["path"])
        if paths.is_stream(path):
            await self._stream(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return
        environ = build_environ(scope, body)
        if not paths.is_api(path):
            answer = await self._answer_in_thread(respond_page, environ)
        elif paths.is_quick(scope["method"], path):
            answer = await self._answer_in_loop(environ, scope, receive)
        else:
            answer = await self._answer_in_thread(self._respond_api, environ)
        status, headers, content = answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        has_body = scope["method"] != "HEAD" and status not in (204, 304)
        await send({"type": "http.response.body", "body": content if has_body else b""})

    async def _answer_in_loop(self, environ: dict[str, Any], scope: Scope, receive: Receive) -> Answer:
        assert self._calls is not None
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def done(answer: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(answer)
            elif isinstance(error, (Exception, NeedsThread)):
                future.set_exception(_Failed(error))
            else:
                logger.error("a request raised %s", type(error).__name__, exc_info=error)
                future.set_exception(_Failed(error))

        may_wait = "HTTP_PREFER" in environ or "wait=" in environ["QUERY_STRING"]
        if may_wait:
            environ["longtasks.request_bytes"] = sum(len(name) + len(value) for name, value in scope["headers"])
        call = self._calls.run(self._respond_api, environ, done)
        leaving: asyncio.Task[Any] | None = None
        if may_wait and not future.done():
            leaving = asyncio.ensure_future(receive())  # type: ignore[arg-type]
            leaving.add_done_callback(lambda _: None if future.done() else call.interrupt())
        try:
            return await future
        except _Failed as failed:
            if not isinstance(failed.error, NeedsThread) or (call.has_sent and environ["REQUEST_METHOD"] == "POST"):
                raise failed.error from None
        finally:
            if leaving is not None:
                leaving.cancel()
        environ["wsgi.input"].seek(0)
        return await self._answer_in_thread(self._respond_api, environ)

    async def _answer_in_thread(self, respond: Callable[[dict[str, Any]], Answer], environ: dict[str, Any]) -> Answer:
        try:
            answer: Answer = await self._threads.submit(_respond_with_database, respond, environ)
        except PoolFull:
            content = problem_body(503)
            headers = {
                "Content-Type": "application/problem+json",
                "Content-Length": str(len(content)),
                "Retry-After": str(RETRY_SECONDS),
            }
            return 503, [(name.encode(), value.encode()) for name, value in headers.items()], content
        return answer

    def _respond_api(self, environ: dict[str, Any]) -> Answer:
        if settings.URL_PREFIX:
            set_script_prefix(settings.URL_PREFIX)
        return encode(self._api.respond(BoundedRequest(environ)), self._constant_headers)


class _Failed(Exception):
    """The exception of a call, which a future might not hold as it is."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _respond_with_database(respond: Callable[[dict[str, Any]], Answer], environ: dict[str, Any]) -> Answer:
    try:
        return respond(environ)
    finally:
        close_old_connections()


def respond_page(environ: dict[str, Any]) -> Answer:
    """Answer with Django's full chain of middleware, in a thread."""
    if settings.URL_PREFIX:
        set_script_prefix(settings.URL_PREFIX)
    return encode(pages.get_response(BoundedRequest(environ)), ())


application = Application()
