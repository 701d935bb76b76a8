"""Reads the Procfile: which processes there are, their commands, and the environment they start with.

Must not start anything.
"""

import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from honcho.environ import parse_procfile

PROJECT_DIR = Path(__file__).resolve().parents[2]


FREE_PORTS = range(20_000, 32_000)  # Linux gives ports from 32768 on to outgoing connections


def read_procfile() -> dict[str, str]:
    return dict(parse_procfile((PROJECT_DIR / "Procfile").read_text()).processes)


def procfile_command(command: str) -> list[str]:
    """A Procfile line as a command of the shell; `exec` makes the pid ours to signal."""
    return ["/bin/sh", "-c", f"exec {command}"]


def process_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with this Python's scripts first on PATH: `gunicorn` and `python` must be those that run us."""
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    return {**environment, "PATH": path, "PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    """Return a port of this machine on which nobody listens.

    It is below those that the system gives to outgoing connections: one of them could take it before it is listened on.
    """
    for _ in FREE_PORTS:
        port = secrets.choice(FREE_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port was found from {FREE_PORTS[0]} to {FREE_PORTS[-1]}")
