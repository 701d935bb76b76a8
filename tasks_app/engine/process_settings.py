"""The settings of a process that a task may change, and how each is read and restored.

Owns the list of these settings. Reading must be cheap: it happens twice for every task. Must not know tasks, nor decide
when a setting is restored (leftovers).
"""

from __future__ import annotations

import asyncio
import decimal
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.utils import timezone, translation

from tasks_app.conf import settings
from tasks_app.engine.python_internals import get_event_loop

SIGNALS: Final = tuple(signal.Signals(each) for each in signal.Signals if each not in (signal.SIGKILL, signal.SIGSTOP))
TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
LIMITS: Final = tuple(sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}))


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a process. `write` takes a value that `read` returned, and raises if it is refused."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


def is_main_thread() -> bool:
    """Whether signal handlers can be set from this thread."""
    return threading.current_thread() is threading.main_thread()


def _read_alarms() -> tuple[bool, ...]:
    return tuple(signal.getitimer(timer)[0] > 0 for timer in TIMERS)


def _write_alarms(armed: tuple[bool, ...]) -> None:
    for timer, was_armed in zip(TIMERS, armed, strict=True):
        if not was_armed:
            signal.setitimer(timer, 0)


def _read_handlers() -> list[Any]:
    return [signal.getsignal(number) for number in SIGNALS]


def _write_handlers(handlers: list[Any]) -> None:
    if not is_main_thread():
        raise RuntimeError("only the main thread can set signal handlers")
    for number, handler in zip(SIGNALS, handlers, strict=True):
        if handler is not None and signal.getsignal(number) != handler:  # None: not set by Python
            signal.signal(number, handler)


def _read_wakeup_fd() -> int:
    if not is_main_thread():
        return -1
    number = signal.set_wakeup_fd(-1)
    if number != -1:
        signal.set_wakeup_fd(number)
    return number


def _read_umask() -> int:
    now = os.umask(0o077)  # it can only be read by setting it; the temporary value is the strictest
    os.umask(now)
    return now


def _read_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # it was deleted


def _write_directory(path: str | None) -> None:
    try:
        os.chdir(path or settings.BASE_DIR)
    except OSError:
        os.chdir(settings.BASE_DIR)
        raise


def _read_environment() -> tuple[int, Any, dict[bytes, bytes]]:
    return id(os.environ), os.environ, os.environb.copy()


def _write_environment(before: tuple[int, Any, dict[bytes, bytes]]) -> None:
    _, os.environ, variables = before
    for name in os.environb.keys() - variables.keys():
        del os.environb[name]
    for name, value in variables.items():
        if os.environb.get(name) != value:
            os.environb[name] = value
    time.tzset()


def _read_decimal_context() -> tuple[Any, ...]:
    precision, rounding, e_min, e_max, capitals, clamp, _flags, traps = decimal.getcontext().__reduce__()[1]
    return (precision, rounding, e_min, e_max, capitals, clamp, [], traps)


def _write_language(language: str | None) -> None:
    if language is None:
        translation.deactivate_all()
    elif language == settings.LANGUAGE_CODE:
        translation.deactivate()
    else:
        translation.activate(language)


def _write_time_zone(zone: Any) -> None:
    if zone is timezone.get_default_timezone():
        timezone.deactivate()
    else:
        timezone.activate(zone)


def _write_event_loop(loop: Any) -> None:
    left = get_event_loop()
    asyncio.set_event_loop(loop)
    if left is not None and not left.is_running():
        left.close()


def _read_hooks() -> tuple[Any, ...]:
    return (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook)


def _write_hooks(hooks: tuple[Any, ...]) -> None:
    sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook = hooks


def _read_streams() -> list[tuple[Any, bool]]:
    return [(stream, getattr(stream, "closed", False)) for stream in (sys.stdin, sys.stdout, sys.stderr)]


def _write_streams(before: list[tuple[Any, bool]]) -> None:
    sys.stdin, sys.stdout, sys.stderr = (stream for stream, _ in before)


def _read_descriptors() -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    for number in (0, 1, 2):
        try:
            stat = os.fstat(number)
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_dev, stat.st_ino))
    return found


def _write_descriptors(_: Any) -> None:
    raise OSError("the files that they were open to are unknown")


def _read_tracing() -> tuple[Any, ...]:
    return (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile())


def _write_tracing(functions: tuple[Any, ...]) -> None:
    trace, profile, thread_trace, thread_profile = functions
    sys.settrace(trace)
    sys.setprofile(profile)
    threading.settrace(thread_trace)
    threading.setprofile(thread_profile)


def _read_logging() -> tuple[int, int, list[logging.Handler]]:
    return (logging.root.manager.disable, logging.root.level, logging.root.handlers[:])


def _write_logging(before: tuple[int, int, list[logging.Handler]]) -> None:
    disabled, level, handlers = before
    logging.disable(disabled)
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


def _write_garbage_collection(before: tuple[bool, tuple[int, int, int]]) -> None:
    enabled, threshold = before
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*threshold)


def _read_warnings() -> tuple[list[Any], Any]:
    return (list(warnings.filters), warnings.showwarning)


def _write_warnings(before: tuple[list[Any], Any]) -> None:
    filters, warnings.showwarning = before
    warnings.resetwarnings()  # also clears the cache of the filters
    warnings.filters[:] = filters  # type: ignore[index]


def _read_limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(limit) for limit in LIMITS]


def _write_limits(before: list[tuple[int, int]]) -> None:
    for limit, value in zip(LIMITS, before, strict=True):
        if resource.getrlimit(limit) != value:
            resource.setrlimit(limit, value)


def _write_arguments(arguments: list[str]) -> None:
    sys.argv = list(arguments)


_LINUX_SETTINGS: Final = (
    (
        Setting("user", os.getresuid, lambda ids: os.setresuid(*ids)),
        Setting("group", os.getresgid, lambda ids: os.setresgid(*ids)),
        Setting("CPU affinity", lambda: os.sched_getaffinity(0), lambda cores: os.sched_setaffinity(0, cores)),
    )
    if sys.platform == "linux"
    else ()
)
# Alarms first: one that fires would call the handler that the task has left. The mask after the handlers: a signal that
# it blocked is then delivered to our own handlers.
SETTINGS: Final = (
    Setting("alarms", _read_alarms, _write_alarms),
    Setting("signal handlers", _read_handlers, _write_handlers),
    Setting("signal wakeup descriptor", _read_wakeup_fd, signal.set_wakeup_fd),
    Setting(
        "signal mask",
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        lambda mask: signal.pthread_sigmask(signal.SIG_SETMASK, mask),
    ),
    Setting("trace and profile functions", _read_tracing, _write_tracing),
    Setting("environment variables", _read_environment, _write_environment),
    Setting("C library's time zone", lambda: (time.tzname, time.timezone, time.altzone), lambda _: time.tzset()),
    Setting("current directory", _read_directory, _write_directory),
    Setting("umask", _read_umask, os.umask),
    Setting(
        "locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda name: locale.setlocale(locale.LC_ALL, name),
    ),
    Setting("Django's time zone", timezone.get_current_timezone, _write_time_zone),
    Setting("Django's language", translation.get_language, _write_language),
    Setting(
        "decimal context",
        _read_decimal_context,
        lambda arguments: decimal.setcontext(decimal.Context(*arguments)),
    ),
    Setting("standard streams", _read_streams, _write_streams),
    Setting("file descriptors 0 to 2", _read_descriptors, _write_descriptors),
    Setting("exception hooks", _read_hooks, _write_hooks),
    Setting("sys.argv", lambda: list(sys.argv), _write_arguments),
    Setting("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Setting("switch interval", sys.getswitchinterval, sys.setswitchinterval),
    Setting("logging", _read_logging, _write_logging),
    Setting("warnings filters", _read_warnings, _write_warnings),
    Setting("garbage collection", lambda: (gc.isenabled(), gc.get_threshold()), _write_garbage_collection),
    Setting("socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
    Setting("asyncio event loop", get_event_loop, _write_event_loop),
    Setting("resource limits", _read_limits, _write_limits),
    Setting(
        "nice value",
        lambda: os.getpriority(os.PRIO_PROCESS, 0),
        lambda nice: os.setpriority(os.PRIO_PROCESS, 0, nice),
    ),
    *_LINUX_SETTINGS,
)
