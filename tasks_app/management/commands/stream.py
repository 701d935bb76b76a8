"""`manage.py stream`: serves the live stream on STREAM_PORT, in a separate process. Run one or more behind a proxy."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tasks_app.api.stream.asgi_app import StreamApplication
from tasks_app.api.stream.open_streams import MOST_STREAMS
from tasks_app.management.service_command import replace_process_image
from tasks_app.process_monitor.reporter import start_reporting

_UNIX: Final = "unix:"
_SOCKET: Final = f"{settings.BIND.removeprefix(_UNIX)}/stream.sock" if settings.BIND.startswith(_UNIX) else ""


class Command(BaseCommand):
    help = "Serve the live stream (Server-Sent Events). SIGTERM ends it; clients reconnect and resume."

    def handle(self, *args: Any, **options: Any) -> None:
        config = uvicorn.Config(
            StreamApplication(),
            host=settings.BIND,  # ignored if there is a socket
            uds=_SOCKET or None,
            port=settings.STREAM_PORT,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=2048,
            limit_concurrency=MOST_STREAMS + 200,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16 * 1024,
        )
        server = uvicorn.Server(config)
        should_restart = False

        def request_restart(signum: int, frame: FrameType | None) -> None:
            nonlocal should_restart
            should_restart = server.should_exit = True

        signal.signal(signal.SIGHUP, request_restart)

        def request_stop(signum: int, frame: FrameType | None) -> None:
            nonlocal should_restart
            should_restart, server.should_exit = False, True

        # Set before uvicorn listens. Later uvicorn handles the signal, and raises it again when it has ended.
        signal.signal(signal.SIGTERM, request_stop)
        listener = _listen(config)
        reporter = start_reporting("stream")
        server.run(sockets=[listener])
        if should_restart:
            replace_process_image()
        reporter.end()


def _listen(config: uvicorn.Config) -> socket.socket:
    """Return the listener. Raises CommandError if the address is in use or is not an address of this host."""
    where = _SOCKET or f"{settings.BIND}, port {settings.STREAM_PORT}"
    if _SOCKET:
        _remove_stale_socket(Path(_SOCKET))
    try:
        return config.bind_socket()
    except SystemExit:
        raise CommandError(
            f"STREAM_PORT: {where} is in use: stop the process that listens there, or set another (STREAM_PORT, BIND)"
        ) from None


def _remove_stale_socket(path: Path) -> None:
    """Remove the socket of a process that was killed. The socket of a living one stays, so that binding fails."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            return
