"""What a task leaves behind in its process: each kind is found, reset and named, and an ordinary task finds nothing."""

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
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone, translation

from longtasks.local_stack import child_process
from tasks_app.engine import descendants, process_settings
from tasks_app.engine.leftovers import ProcessState
from tests.support import litter_types
from tests.support.engine import Worker, checkpoint, start, waiting


@pytest.fixture(autouse=True)
def _as_before() -> Generator[None, None, None]:
    """Whatever a test finds broken, the next one starts from a clean process."""
    values = [setting.read() for setting in process_settings.SETTINGS]
    yield
    for setting, value in zip(process_settings.SETTINGS, values, strict=True):
        if setting.read() != value:
            setting.write(value)


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
def test_a_setting_is_reset_and_named(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    name, leave = SETTINGS[kind]
    if kind == "log handlers" and not logging.root.handlers:
        pytest.skip("the root logger has no handlers here")
    if kind == "affinity" and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is one core")
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


def test_a_task_that_leaves_nothing_costs_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    leftovers = ProcessState().restore()
    assert leftovers.found == ()
    assert not leftovers.must_retire
    assert not caplog.records


def test_a_directory_that_was_deleted_is_left(tmp_path: Path) -> None:
    before = os.getcwd()
    state = ProcessState()
    leave_deleted_directory(tmp_path)
    assert state.restore().found == ("current directory",)
    assert os.getcwd() == before


def test_time_zone_of_the_c_library_follows_tz() -> None:
    before = (os.environ.get("TZ"), time.tzname)
    state = ProcessState()
    leave_time_zone()
    assert time.tzname != before[1]
    state.restore()
    assert (os.environ.get("TZ"), time.tzname) == before


def test_a_held_back_sigterm_reaches_the_workers_own_handler() -> None:
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


def test_after_asyncio_run_the_next_task_may_ask_for_a_loop() -> None:
    async def nothing() -> None: ...

    state = ProcessState()
    asyncio.run(nothing())
    assert state.restore().found == ()
    assert asyncio.events._event_loop_policy._local._set_called is False  # type: ignore[attr-defined]


def test_a_hard_limit_cannot_be_reset_so_the_worker_must_retire() -> None:
    """In a process of its own, since nothing brings the limit back."""
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


# --- children


@pytest.fixture
def _orphans_come_to_us() -> None:
    descendants.adopt_orphans()


@pytest.mark.usefixtures("_orphans_come_to_us")
def test_children_are_killed_and_named_and_ended_ones_reaped() -> None:
    kept = subprocess.Popen(["sleep", "600"])
    before = descendants.list_children()
    assert kept.pid in before
    try:
        state = ProcessState()
        left = subprocess.Popen(["sleep", "600"])
        zombie = subprocess.Popen(["true"])
        child_process.wait_until(lambda: _status(zombie.pid) == "Z", deadline_seconds=10)

        leftovers = state.restore()

        assert leftovers.found == (f"child processes, killed now: [{left.pid}]",)
        assert not leftovers.must_retire
        assert descendants.list_children() == before
        assert kept.poll() is None
        left.returncode = zombie.returncode = 0  # they are reaped; Popen does not know
    finally:
        kept.kill()
        kept.wait()


@pytest.mark.usefixtures("_orphans_come_to_us")
def test_a_daemonised_grandchild_is_killed_too(tmp_path: Path) -> None:
    before = descendants.list_children()
    state = ProcessState()
    script = f"(setsid sh -c 'sleep 600 & echo $! > {tmp_path}/pid; wait' &)"
    subprocess.run(["sh", "-c", script], check=True)
    pid_file = tmp_path / "pid"
    assert child_process.wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), deadline_seconds=10)

    [found] = state.restore().found

    assert "killed now" in found
    assert _status(int(pid_file.read_text())) == ""
    assert descendants.list_children() == before


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


# --- threads


def test_a_thread_that_is_no_daemon_makes_the_worker_retire_and_is_named() -> None:
    state = ProcessState()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    thread.start()
    try:
        leftovers = state.restore()
    finally:
        stop.set()
        thread.join()
    assert leftovers.must_retire
    assert "forgotten" in leftovers.found[0]


def test_a_daemon_that_runs_the_tasks_code_makes_the_worker_retire() -> None:
    stop = threading.Event()

    def code_of_the_task() -> None:
        stop.wait()

    state = ProcessState()
    thread = threading.Thread(target=code_of_the_task, name="background", daemon=True)
    thread.start()
    try:
        leftovers = state.restore()
    finally:
        stop.set()
        thread.join()
    assert leftovers.must_retire
    assert "background (daemon)" in leftovers.found[0]


def test_threads_from_before_a_library_s_daemon_and_an_idle_pool_are_let_be() -> None:
    stop = threading.Event()
    before = threading.Thread(target=stop.wait)
    before.start()
    state = ProcessState()
    library = threading.Thread(target=stop.wait, daemon=True)
    library.start()
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        pool.submit(int).result()
        leftovers = state.restore()
        assert leftovers.found == ()
        busy = threading.Event()
        pool.submit(lambda: (busy.set(), stop.wait()))
        assert busy.wait(10)
        assert state.restore().must_retire
    finally:
        stop.set()
        pool.shutdown()
        library.join()
        before.join()


def test_a_thread_that_is_about_to_end_is_waited_for() -> None:
    state = ProcessState()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    timer = threading.Timer(0.03, stop.set)
    timer.daemon = True
    timer.start()
    assert not state.restore().must_retire
    thread.join()
    timer.join()


# --- connections


def test_another_databases_connection_is_closed() -> None:
    connections.databases["other"] = {**connections.databases["default"]}
    try:
        state = ProcessState()
        connections["other"].connect()  # Django lets its tests connect by this way only
        leftovers = state.restore()
        assert connections["other"].connection is None
        assert leftovers.found == ()
        connections["other"].connect()
        transaction.atomic(using="other").__enter__()
        assert state.restore().found == ("an open transaction of database 'other', rolled back",)
        assert connections["other"].connection is None
    finally:
        del connections["other"]
        del connections.databases["other"]


def test_an_open_transaction_is_rolled_back() -> None:
    connection.ensure_connection()
    state = ProcessState()
    transaction.atomic().__enter__()
    [found] = state.restore().found
    assert "open transaction" in found
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert not connection.in_atomic_block


def test_wrappers_of_statements_do_not_stay() -> None:
    connection.ensure_connection()
    state = ProcessState()
    connection.execute_wrapper(lambda execute, *arguments: execute(*arguments)).__enter__()
    connection.force_debug_cursor = True
    state.restore()
    assert connection.execute_wrappers == []
    assert connection.force_debug_cursor is False


# --- all of it, by tasks


def test_the_runner_resets_after_each_task_and_gives_the_rest_back_when_it_must_retire() -> None:
    worker = Worker()
    first, second = start("litter", records=1, thread=True), start("slow", records=1)
    try:
        worker.run()
    finally:
        litter_types.stop_thread()
    assert worker.runner.must_retire
    assert checkpoint(first).outcome == "finished"
    assert waiting() == [second]
    Worker("its successor").run()
    assert checkpoint(second).outcome == "finished"
    assert ProcessState().restore().found == ()
