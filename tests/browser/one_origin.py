"""Debian's HAProxy on loopback, which joins web and stream under one address, as the proxy of docs/api.md does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import free_port
from tests.support.servers import ServerError
from tests.support.stack import ProcfileStack

PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


@contextmanager
def join_origins(stack: ProcfileStack, directory: Path) -> Iterator[str]:
    """Yield the address under which the stack's web and stream both answer."""
    haproxy = shutil.which("haproxy", path=PATH)
    if haproxy is None:
        raise ServerError("haproxy is not installed: apt-get install haproxy")
    port = free_port()
    configuration = directory / "haproxy.cfg"
    configuration.write_text(
        f"""global
  maxconn 200
defaults
  mode http
  timeout connect 1s
  timeout client 1h
  timeout server 1h
frontend origin
  bind 127.0.0.1:{port}
  use_backend stream if {{ path_reg ^/(stream|tasks/[^/]+/stream)/?$ }}
  default_backend web
backend web
  server web 127.0.0.1:{stack.port}
backend stream
  server stream 127.0.0.1:{stack.stream_port}
"""
    )
    with (directory / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(
            [haproxy, "-db", "-f", str(configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        child_process.stop(process=process, grace_seconds=5)
