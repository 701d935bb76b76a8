"""The processes of the Procfile: their names, commands and environment, and free ports for them.

Owns how a Procfile line becomes a command. Must not start a process.
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
FREE_PORTS = range(20_000, 32_000)  # below 32768, where Linux starts to assign ports to outgoing connections


def read_procfile() -> dict[str, str]:
    return dict(parse_procfile((PROJECT_DIR / "Procfile").read_text()).processes)


def procfile_command(command: str) -> list[str]:
    """Return the shell command for a Procfile line. `exec` makes the shell's pid the process's, so that it gets our signals."""
    return ["/bin/sh", "-c", f"exec {command}"]


def process_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with this Python's scripts first on PATH, so that `gunicorn` and `python` are its own."""
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    return {**environment, "PATH": path, "PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    """Return a port of this machine on which no process listens.

    The port is below those of outgoing connections, one of which could occupy it before the caller listens on it.
    """
    for _ in FREE_PORTS:
        port = secrets.choice(FREE_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port was found from {FREE_PORTS[0]} to {FREE_PORTS[-1]}")
