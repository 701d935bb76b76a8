"""tasks_app/engine/process_settings.py: each setting that a task changes is reset, and a warning names it."""

import asyncio
import decimal
import gc
import locale
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone, translation

from tasks_app.engine import process_settings
from tasks_app.engine.leftovers import ProcessState
from tests.engine.clean_process import _as_before  # noqa: F401 (fixture)


def ignore(*_: Any) -> None: ...


def leave_handlers() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, ignore)


def leave_environment() -> None:
    os.environ["LITTER"] = "secret"
    os.environ.pop("HOME", None)


def leave_another_environment() -> None:
    os.environ = dict(os.environ)  # type: ignore[assignment]  # noqa: B003 (what a task may do)


def leave_time_zone() -> None:
    os.environ["TZ"] = "Pacific/Auckland"
    time.tzset()


def leave_deleted_directory(path: Path) -> None:
    gone = path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()


def leave_decimal_context() -> None:
    decimal.getcontext().prec = 3
    decimal.getcontext().traps[decimal.Inexact] = True


def leave_event_loop() -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())


def leave_low_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))


SETTINGS: dict[str, tuple[str, Callable[[], object]]] = {
    "alarm": ("alarms", lambda: signal.setitimer(signal.ITIMER_REAL, 60)),
    "profiling alarm": ("alarms", lambda: signal.setitimer(signal.ITIMER_PROF, 60)),
    "handlers": ("signal handlers", leave_handlers),
    "ignored SIGCHLD": ("signal handlers", lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)),
    "mask": ("signal mask", lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGALRM])),
    "profile": ("trace and profile functions", lambda: sys.setprofile(ignore)),
    "environment": ("environment variables", leave_environment),
    "another environment": ("environment variables", leave_another_environment),
    "TZ": ("environment variables", leave_time_zone),
    "umask": ("umask", lambda: os.umask(0o777)),
    "directory": ("current directory", lambda: os.chdir("/")),
    "locale": ("locale", lambda: locale.setlocale(locale.LC_ALL, "C")),
    "Django's zone": ("Django's time zone", lambda: timezone.activate("Asia/Tokyo")),
    "Django's language": ("Django's language", lambda: translation.activate("ar")),
    "no language": ("Django's language", translation.deactivate_all),
    "decimal": ("decimal context", leave_decimal_context),
    "stdout": ("standard streams", lambda: setattr(sys, "stdout", None)),
    "excepthook": ("exception hooks", lambda: setattr(sys, "excepthook", ignore)),
    "threads' excepthook": ("exception hooks", lambda: setattr(threading, "excepthook", ignore)),
    "argv": ("sys.argv", lambda: setattr(sys, "argv", ["tool", "--all"])),
    "recursion": ("recursion limit", lambda: sys.setrecursionlimit(90_000)),
    "switch interval": ("switch interval", lambda: sys.setswitchinterval(1.0)),
    "logging off": ("logging", lambda: logging.disable(logging.CRITICAL)),
    "log level": ("logging", lambda: logging.root.setLevel(logging.ERROR)),
    "log handlers": ("logging", logging.root.handlers.clear),
    "warnings": ("warnings filters", lambda: warnings.simplefilter("ignore")),
    "garbage": ("garbage collection", gc.disable),
    "garbage threshold": ("garbage collection", lambda: gc.set_threshold(1, 1, 1)),
    "socket timeout": ("socket timeout", lambda: socket.setdefaulttimeout(0.001)),
    "event loop": ("asyncio event loop", leave_event_loop),
    "limit": ("resource limits", leave_low_limit),
    "affinity": ("CPU affinity", lambda: os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_changed_setting_is_reset_and_named(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    name, leave = SETTINGS[kind]
    if kind == "log handlers" and not logging.root.handlers:
        pytest.skip("the root logger has no handlers")
    if kind == "affinity" and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("this machine has one core")
    setting = next(each for each in process_settings.SETTINGS if each.name == name)
    before = setting.read()
    state = ProcessState()
    leave()
    assert setting.read() != before, "nothing was left behind"

    leftovers = state.restore()

    assert setting.read() == before
    assert leftovers.found == (name,)
    assert not leftovers.must_retire
    if kind != "log handlers":
        [warning] = [record for record in caplog.records if record.name == "tasks_app.engine.leftovers"]
        assert name in warning.getMessage()
        assert "secret" not in warning.getMessage()


def test_a_deleted_working_directory_is_left_for_the_old_one(tmp_path: Path) -> None:
    before = os.getcwd()
    state = ProcessState()
    leave_deleted_directory(tmp_path)
    assert state.restore().found == ("current directory",)
    assert os.getcwd() == before


def test_the_time_zone_of_the_c_library_follows_tz() -> None:
    before = (os.environ.get("TZ"), time.tzname)
    state = ProcessState()
    leave_time_zone()
    assert time.tzname != before[1]
    state.restore()
    assert (os.environ.get("TZ"), time.tzname) == before


def test_a_blocked_sigterm_reaches_the_workers_handler() -> None:
    heard: list[int] = []
    old = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        state = ProcessState()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        signal.signal(signal.SIGTERM, ignore)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        state.restore()
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, old)


def test_after_asyncio_run_the_next_task_can_get_an_event_loop() -> None:
    async def nothing() -> None: ...

    state = ProcessState()
    asyncio.run(nothing())
    assert state.restore().found == ()
    assert asyncio.events._event_loop_policy._local._set_called is False  # type: ignore[attr-defined]


def test_a_lowered_hard_limit_makes_the_worker_retire() -> None:
    """Runs in a child process, because a lowered hard limit cannot be raised again."""
    code = (
        "import django, resource; django.setup()\n"
        "from tasks_app.engine.leftovers import ProcessState\n"
        "import os; os.getuid() or os.setresuid(65534, 65534, 65534)\n"
        "state = ProcessState()\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
        "print(state.restore().must_retire)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "True", result.stderr
