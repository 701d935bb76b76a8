"""The orderly end of a worker, without a process of its own."""

import asyncio
import os
import socket
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from longtasks.server import worker as worker_module
from longtasks.server.worker import AsgiWorker
from tests.longtasks.server.client import POST, echo


class Bound:
    """gunicorn's wrapper of a listening socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock


class Application:
    is_ending = False

    def end_soon(self) -> None:
        self.is_ending = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await echo(scope, receive, send)
            return
        for kind in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{kind}"
            await send({"type": f"lifespan.{kind}.complete"})


def make_worker(server: socket.socket) -> AsgiWorker:
    """Return a worker whose connections are there only after its end has begun."""
    config = Config()
    worker = AsgiWorker(0, os.getppid(), [Bound(server)], None, 60, config, Logger(config))
    worker.loop, worker.asgi = asyncio.get_running_loop(), Application()
    connect = worker.loop.connect_accepted_socket

    async def connect_late(*arguments: Any) -> Any:
        worker.handle_exit_signal()
        while not worker.asgi.is_ending:
            await asyncio.sleep(0.001)
        return await connect(*arguments)

    worker.loop.connect_accepted_socket = connect_late
    return worker


@pytest.fixture(autouse=True)
def _no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signals of the tests' own process stay as they are."""
    monkeypatch.setattr(AsgiWorker, "_watch_signals", lambda self: None)
    monkeypatch.setattr(worker_module, "SWEEP_SECONDS", 0.05)


@pytest.mark.parametrize("sent", [POST + b"\r\n", b""], ids=["request", "silence"])
def test_a_connection_that_was_accepted_as_the_end_began_is_served(sent: bytes) -> None:
    """A request is answered; silence holds the worker for the two seconds of an idle connection, not for 20."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            worker = make_worker(server)
            serving = asyncio.create_task(worker.serve())
            reader, writer = await asyncio.open_connection(*server.getsockname())
            writer.write(sent)
            answer = await asyncio.wait_for(reader.read(), 10)
            assert answer.startswith(b"HTTP/1.1 200 " if sent else b"")
            writer.close()
            await asyncio.wait_for(serving, 10)
            worker.tmp.close()

    asyncio.run(main())
