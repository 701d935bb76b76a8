"""A task type that changes everything it can in its process, and one that reports what it finds.

Use them in a worker process of their own, or in a test that cleans up.
"""

from __future__ import annotations

import decimal
import gc
import locale
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from typing import Any

from django.db import connection
from django.utils import timezone, translation
from rest_framework import serializers

from tasks_app.task_types import Chunk, register
from tests.support.task_types import RecordsParams, RecordsTask

_stop = threading.Event()


def stop_thread() -> None:
    """End the thread that a `litter` task left in this process."""
    _stop.set()


def ignore(*_: Any) -> None: ...


class LitterParams(RecordsParams):
    thread = serializers.BooleanField(default=False)  # leave only a thread


@register
class LitterTask(RecordsTask):
    """Leaves its process changed."""

    name = "litter"
    params_serializer = LitterParams

    def before(self, chunk: Chunk) -> None:
        if chunk.params.get("thread"):
            _stop.clear()
            threading.Thread(target=_stop.wait, name="forgotten", daemon=False).start()
            return
        litter()


class ForkParams(RecordsParams):
    way = serializers.ChoiceField(choices=["return", "exit", "raise"])


@register
class ForkTask(RecordsTask):
    """Forks and lets the copy return into the engine's code."""

    name = "fork"
    params_serializer = ForkParams

    def before(self, chunk: Chunk) -> None:
        if os.fork() == 0:
            if chunk.params["way"] == "exit":
                sys.exit(0)
            if chunk.params["way"] == "raise":
                raise RuntimeError("in the copy")


@register
class LookTask(RecordsTask):
    """Reports the state of its process in its own state."""

    name = "look"

    def before(self, chunk: Chunk) -> None: ...

    def state_after(self, chunk: Chunk) -> dict[str, Any]:
        return {"found": look()}


def litter() -> None:
    """Change as much of this process as it survives."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, ignore)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2])
    signal.setitimer(signal.ITIMER_VIRTUAL, 3600)
    os.environ["LITTER"] = "1"
    os.environ["TZ"] = "Pacific/Auckland"
    time.tzset()
    directory = tempfile.mkdtemp()
    os.chdir(directory)
    os.rmdir(directory)
    os.umask(0o777)
    locale.setlocale(locale.LC_ALL, "C")
    timezone.activate("Asia/Tokyo")
    translation.activate("ar")
    decimal.getcontext().prec = 2
    sys.stdout = None  # type: ignore[assignment]
    sys.excepthook = ignore
    sys.setrecursionlimit(70_000)
    sys.setswitchinterval(0.5)
    logging.disable(logging.CRITICAL)
    gc.disable()
    socket.setdefaulttimeout(0.001)
    warnings.simplefilter("ignore")
    subprocess.Popen(["sleep", "3600"])
    subprocess.run(["sh", "-c", "(setsid sleep 3600 &)"], check=True)
    connection.force_debug_cursor = True


def look() -> dict[str, Any]:
    """Return what a task can find of its predecessors, as JSON values."""
    children = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    return {
        "pid": os.getpid(),
        "handlers": {
            name: str(signal.getsignal(getattr(signal, name)))
            for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGCHLD", "SIGUSR1")
        },
        "mask": sorted(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "timer": signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0,
        "environment": sorted(os.environ),
        "zone": [os.environ.get("TZ"), *time.tzname],
        "directory": os.getcwd(),
        "umask": os.umask(os.umask(0o077)),
        "locale": locale.setlocale(locale.LC_ALL),
        "django": [str(timezone.get_current_timezone()), translation.get_language()],
        "decimal": decimal.getcontext().prec,
        "streams": [sys.stdout is None, sys.stderr is None],
        "excepthook": str(sys.excepthook),
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval(), socket.getdefaulttimeout()],
        "logging": logging.root.manager.disable,
        "gc": [gc.isenabled(), *gc.get_threshold()],
        "filters": len(warnings.filters),
        "children": [line for line in children.stdout.splitlines() if "sleep" in line],
        "debug_cursor": connection.force_debug_cursor,
    }
