"""Debian's HAProxy on loopback in front of web, as the proxy of docs/proxies.md.

Owns: the proxy, and a stack behind it that requires tokens.
"""

from __future__ import annotations

import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.started.servers import ServerError
from loadtests.started.stack import ProcfileStack
from longtasks.local_stack import child_process
from longtasks.local_stack.procfile import free_port

PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


@contextmanager
def join_origins(stack: ProcfileStack, directory: Path) -> Iterator[str]:
    """Yield the address under which the stack's web answers."""
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
  default_backend web
backend web
  server web 127.0.0.1:{stack.port}
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


@dataclass(frozen=True)
class GuardedOrigin:
    """A stack that wants tokens, and the address under which a browser meets its web."""

    stack: ProcfileStack
    address: str
    secrets: tuple[str, ...]  # printed by `make_callers`; the first may write

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets[0]}"}

    def start(self, *, records: int) -> str:
        """Start an upload; return its id."""
        body = {"name": "upload", "params": {"numRecords": records}}
        answer = self.stack.post("/tasks", body, headers=self.headers)
        assert answer.status == 201, answer
        return str(answer.json["id"])


@contextmanager
def start_guarded_origin(servers: Any, directory: Path, *, make_callers: str) -> Iterator[GuardedOrigin]:
    """Start web, worker and mirror; `make_callers` is Python code whose last line prints the secrets of tokens."""
    stack = ProcfileStack(
        database=servers[0],
        redis_server=servers[1],
        roles=("web", "worker", "mirror"),
        environment={"API_OPEN": "0"},
    )
    try:
        stack.start()
        printed = stack.manage("shell", "--command", make_callers).splitlines()[-1]
        with join_origins(stack, directory) as address:
            for path, status in (("/health/live", 200), ("/stream", 401)):
                stack.wait_for(
                    lambda path=path, status=status: get_status(address + path) == status,
                    deadline_seconds=30,
                    what=f"{path} answers",
                )
            yield GuardedOrigin(stack, address, tuple(printed.split()))
    finally:
        stack.close()


def get_status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
