"""When a process of web accepts connections."""

import asyncio
import socket

from gunicorn.config import Config
from gunicorn.glogging import Logger

from longtasks.server.listener import Listener
from longtasks.server.worker import AsgiWorker
from tests.longtasks.server.client import POST, echo


def test_a_full_worker_accepts_again_when_a_connection_has_ended() -> None:
    async def main() -> None:
        config = Config()
        worker = AsgiWorker(0, 0, [], None, 60, config, Logger(config))
        worker.loop, worker.asgi, worker.worker_connections = asyncio.get_running_loop(), echo, 2
        server = socket.create_server(("127.0.0.1", 0))
        listener = Listener(worker, server)
        worker.listeners.append(listener)
        clients = [await asyncio.open_connection(*server.getsockname()) for _ in range(4)]
        for turn in range(2):
            for _, writer in clients[2 * turn : 2 * turn + 2]:
                writer.write(POST + b"Connection: close\r\n\r\n")
            for reader, writer in clients[2 * turn : 2 * turn + 2]:
                assert b" 200 " in await asyncio.wait_for(reader.read(), 10)
                assert worker.nr_conns <= 2
                writer.close()
        async with asyncio.timeout(10):
            while worker.connections:
                await asyncio.sleep(0.01)
        listener.close()
        server.close()
        worker.tmp.close()

    asyncio.run(main())
