"""The ASGI application of web: the API, the pages and the live stream, on one event loop.

Owns: where a request runs. Quick ones (a start, a look at one task) run in the loop, suspended while Redis answers; the
stream is an application of its own; everything else runs in a bounded pool of threads. Must not: block the loop.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from longtasks.wsgi import application as pages  # sets Django up, before all that follows

# isort: split
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.urls import set_script_prefix

from longtasks.http import paths
from longtasks.http.api_handler import ApiHandler
from longtasks.http.bounded_request import BoundedRequest
from longtasks.http.downloads import Downloads
from longtasks.http.early_problems import make_problem
from longtasks.http.exchange import (
    Answer,
    Environ,
    Receive,
    Scope,
    Send,
    build_environ,
    encode,
    read_body,
    send_answer,
)
from longtasks.http.loop_requests import REQUEST_BYTES, LoopRequests, LoopWaits
from longtasks.http.thread_pool import PoolFull, ThreadPool
from longtasks.http.uploads import ClientLeft, Uploads, find_streamed_bytes
from tasks_app.api import held_requests
from tasks_app.api.early_refusal import find_wait_seconds
from tasks_app.api.stream.asgi_app import StreamApplication
from tasks_app.engine.gc_tuning import tune_gc
from tasks_app.http import url_prefix
from tasks_app.queues.confirmed_commands import ConfirmedCommands
from tasks_app.queues.loop_connection import LoopConnection
from tasks_app.queues.redis_connection import get_connection

Respond = Callable[[Environ], Answer]

WAITING_REQUESTS: Final = 200  # of all requests that find no thread
READ_THREADS: Final = 2  # for what quick requests ask the database
WAITING_READS: Final = 1000


class Running:
    """The parts of web that belong to one running event loop."""

    def __init__(self, respond: Respond) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        timeout_seconds = settings.LONGTASKS.redis_timeout_seconds
        self._connection = LoopConnection(get_connection, timeout_seconds=timeout_seconds)
        self._connection.connect()
        self._confirmed = ConfirmedCommands(LoopConnection(get_connection, timeout_seconds=timeout_seconds))
        self._reads = ThreadPool(READ_THREADS, waiting=WAITING_READS, name="reads")
        self.threads = ThreadPool(settings.WEB_THREADS, waiting=WAITING_REQUESTS, name="web")
        self.uploads, self.downloads = Uploads(), Downloads()
        # As many connections as for streams, and as for requests that do not wait.
        self.held = held_requests.begin(places=min(held_requests.PLACES, files // 3))
        self.loop_requests = LoopRequests(respond, LoopWaits(self._connection, self._confirmed, self._reads))

    def close(self) -> None:
        self._connection.close()
        self._confirmed.close()
        self.uploads.close()
        self.downloads.close()
        self.threads.close()
        self._reads.close()


class Application:
    """Web's application."""

    find_wait_seconds = staticmethod(find_wait_seconds)  # gunicorn's worker calls it with each head
    find_streamed_bytes = staticmethod(find_streamed_bytes)  # and this too
    _running: Running  # from the lifespan's startup on

    def __init__(self) -> None:
        api = ApiHandler()
        constant_headers = [
            (name.lower(), (name.encode("latin-1"), value.encode("latin-1"))) for name, value in api.constant_headers
        ]
        self._handle_api, self._constant_headers = api.respond, constant_headers
        self._respond_api: Respond = partial(respond, api.respond, constant_headers)
        self._respond_page: Respond = partial(respond, pages.get_response, ())  # with Django's full chain of middleware
        self._stream = StreamApplication()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    def start(self) -> None:
        """Make what belongs to the running event loop."""
        self._running = Running(self._respond_api)
        tune_gc()  # with thousands of connections, a full collection stops the loop for 0.2 s or more

    def end_soon(self) -> None:
        """Answer all who wait, and end the streams: this process is to end."""
        self._running.held.end()
        self._stream.end()

    async def _live(self, receive: Receive, send: Send) -> None:
        while (kind := (await receive())["type"]) == "lifespan.startup":
            self.start()
            await send({"type": "lifespan.startup.complete"})
        self._running.close()
        await send({"type": f"{kind}.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], url_prefix.cut(scope["path"])
        if paths.is_stream(path):
            await self._stream(scope, receive, send)
            return
        if paths.is_upload(method, path):
            await self._take_upload(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return
        environ = build_environ(scope, body)
        if paths.is_download(method, path):
            await self._send_file(environ, receive, send)
            return
        if paths.is_quick(method, path):
            answer = await self._answer_in_loop(environ, scope, receive)
        elif paths.is_api(path):
            answer = await self._answer_in_thread(self._respond_api, environ)
        else:
            answer = await self._answer_in_thread(self._respond_page, environ)
        await send_answer(send, answer, method=method)

    async def _take_upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        uploads, environ = self._running.uploads, build_environ(scope, b"", is_streamed=True)
        try:
            spool = await uploads.receive(environ, receive)
            try:
                answer = await uploads.storing.submit(lambda: self._respond_api(environ))
            finally:
                if spool is not None:
                    uploads.drop(spool)
        except ClientLeft:
            return
        except PoolFull:
            answer = 503, *make_problem(503, "Too many uploads at once. Try again later.")
        await send_answer(send, answer, method="POST")

    async def _send_file(self, environ: Environ, receive: Receive, send: Send) -> None:
        downloads = self._running.downloads
        if downloads.free_places <= 0:
            await send_answer(
                send, (503, *make_problem(503, "Too many downloads at once. Try again later.")), method="GET"
            )
            return
        downloads.free_places -= 1
        try:
            response = await self._running.threads.submit(lambda: handle(self._handle_api, environ))
            if response.streaming:
                await downloads.send(receive, send, response, self._constant_headers)
            else:
                await send_answer(send, encode(response, self._constant_headers), method="GET")
        except PoolFull:
            await send_answer(send, (503, *make_problem(503)), method="GET")
        finally:
            downloads.free_places += 1

    async def _answer_in_loop(self, environ: Environ, scope: Scope, receive: Receive) -> Answer:
        if "HTTP_PREFER" in environ or "wait=" in environ["QUERY_STRING"]:
            environ[REQUEST_BYTES] = sum(len(name) + len(value) for name, value in scope["headers"])
        answer = await self._running.loop_requests.answer(environ, receive)
        if answer is not None:
            return answer
        environ["wsgi.input"].seek(0)
        return await self._answer_in_thread(self._respond_api, environ)

    async def _answer_in_thread(self, respond: Respond, environ: Environ) -> Answer:
        try:
            return await self._running.threads.submit(lambda: respond(environ))
        except PoolFull:
            return 503, *make_problem(503)


def handle(handler: Callable[[HttpRequest], HttpResponseBase], environ: Environ) -> HttpResponseBase:
    """Return the response of one of Django's handlers."""
    if settings.URL_PREFIX:
        set_script_prefix(settings.URL_PREFIX)
    return handler(BoundedRequest(environ))


def respond(
    handler: Callable[[HttpRequest], HttpResponseBase],
    constant_headers: Iterable[tuple[str, tuple[bytes, bytes]]],
    environ: Environ,
) -> Answer:
    """Answer a request with one of Django's handlers."""
    return encode(handle(handler, environ), constant_headers)


application = Application()
