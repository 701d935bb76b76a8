"""The damage that hostile tasks do to the connection and to the process.

Owns the acts by name. Runs in the workers of the hostile run only.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import locale
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone, translation

from tasks_app.task_types import Chunk

TABLE = "hostile_rows"


def do(recipe: list[Any], chunk: Chunk) -> None:
    """Do the act of a recipe."""
    name, *rest = recipe
    ACTS[name](chunk, *rest)


def touch(row: int) -> None:
    """Lock one row of the run's own table."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET n = n + 1 WHERE id = %s", [row])


def _sql(*statements: str) -> Callable[[Chunk], None]:
    def act(chunk: Chunk) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    return act


def _open_atomic(chunk: Chunk) -> None:
    transaction.atomic().__enter__()


def _swallow_duplicate_key(chunk: Chunk) -> None:
    from tests.support.task_types import insert_users

    with contextlib.suppress(IntegrityError), transaction.atomic():
        insert_users(chunk, stop=chunk.start + 1)


def _swallow_duplicate_key_bare(chunk: Chunk) -> None:
    from tests.support.task_types import insert_users

    with contextlib.suppress(IntegrityError):
        insert_users(chunk, stop=chunk.start + 1)


def _swallow_wrong_statement(chunk: Chunk) -> None:
    with contextlib.suppress(DatabaseError):
        _sql("SELEC nothing")(chunk)


def _leave_cursor_open(chunk: Chunk) -> None:
    connection.ensure_connection()
    cursor = connection.connection.cursor()  # the driver's own cursor, never read to its end
    cursor.execute("SELECT 1 UNION SELECT 2")
    _kept.append(cursor)


def _kill_own_connection(chunk: Chunk) -> None:
    with contextlib.suppress(DatabaseError):
        _sql("KILL CONNECTION_ID()")(chunk)


def _close_driver_connection(chunk: Chunk) -> None:
    connection.connection.close()


def _install_handlers(chunk: Chunk) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


def _set_alarm(chunk: Chunk) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process
    signal.alarm(2)


def _raise_by_alarm(chunk: Chunk) -> None:
    def wake(number: int, frame: Any) -> None:
        raise RuntimeError("odd: an alarm that came too late")

    signal.signal(signal.SIGALRM, wake)
    signal.setitimer(signal.ITIMER_REAL, 0.5)


def _change_environment(chunk: Chunk) -> None:
    os.environ.clear()
    os.environ["PATH"] = "/nowhere"


def _start_threads(chunk: Chunk) -> None:
    def fail() -> None:
        raise RuntimeError("odd: in a thread")

    threading.Thread(target=time.sleep, args=(60,)).start()
    threading.Thread(target=fail, daemon=True).start()
    threading.Thread(target=sys.exit, daemon=True).start()


def _start_children(chunk: Chunk) -> None:
    _kept.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
    if not (pid := os.fork()):
        os._exit(3)
    _kept.append(pid)


def _use_connection_in_thread(chunk: Chunk) -> None:
    def use() -> None:
        with contextlib.suppress(Exception), connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()


def _close_standard_files(chunk: Chunk) -> None:
    for number in (0, 1, 2):
        os.close(number)


def _log_long(chunk: Chunk) -> None:
    logger = logging.getLogger("odd.task")
    logger.warning("x" * 5_000_000)
    logger.error("password=%s caf\udce9 \x1b[2J\r\n", "y" * 1_000_000)
    logger.warning("%s %s", "one argument too few")  # noqa: PLE1206
    print("caf\udce9".encode("utf-8", "surrogateescape"), flush=True)


def _disable_logging(chunk: Chunk) -> None:
    logging.disable(logging.CRITICAL)
    logging.getLogger().handlers.clear()


def _change_python(chunk: Chunk) -> None:
    sys.setrecursionlimit(200)
    socket.setdefaulttimeout(0.001)
    gc.disable()


def _trace(chunk: Chunk) -> None:
    def fail(frame: Any, event: str, argument: Any) -> None:
        raise RuntimeError("odd: a trace function")

    sys.setprofile(lambda *_: None)
    threading.settrace(fail)


def _replace_streams(chunk: Chunk) -> None:
    sys.stdout = sys.stderr = None  # type: ignore[assignment]


def _set_locale(chunk: Chunk) -> None:
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, "C")
    translation.activate("es")
    timezone.activate("Asia/Kathmandu")
    os.environ["TZ"] = "Asia/Kathmandu"
    time.tzset()


def _mask_all(chunk: Chunk) -> None:
    os.umask(0o777)


def _change_directory(chunk: Chunk) -> None:
    os.chdir("/")


def _exit_in_child(chunk: Chunk) -> None:
    if not os.fork():
        os.kill(os.getpid(), signal.SIGKILL)


def _return_in_child(chunk: Chunk) -> None:
    os.fork()  # and both continue


def _read_null_pointer(chunk: Chunk) -> None:
    ctypes.string_at(0)


def _sleep(chunk: Chunk, seconds: float) -> None:
    time.sleep(seconds)


def _sleep_in_database(chunk: Chunk, seconds: float) -> None:
    if connection.vendor == "mysql":
        _sql(f"SELECT SLEEP({seconds})")(chunk)
    else:
        time.sleep(seconds)


_kept: list[Any] = []  # so that the garbage collector does not clean up
ACTS: dict[str, Callable[..., None]] = {
    # to the connection
    "commit": lambda chunk: connection.commit(),
    "rollback": lambda chunk: connection.rollback(),
    "close": lambda chunk: connection.close(),
    "driver_commit": lambda chunk: connection.connection.commit(),
    "driver_rollback": lambda chunk: connection.connection.rollback(),
    "driver_close": _close_driver_connection,
    "autocommit": lambda chunk: connection.set_autocommit(True),
    "set_rollback": lambda chunk: transaction.set_rollback(True),
    "raw_commit": _sql("COMMIT"),
    "raw_rollback": _sql("ROLLBACK"),
    "raw_rollback_comment": _sql("/* tidy up */ ROLLBACK"),
    "raw_begin": _sql("BEGIN"),
    "raw_commit_begin": _sql("COMMIT", "BEGIN"),
    "raw_autocommit": _sql("SET autocommit = 1"),
    "ddl": _sql("CREATE TABLE hostile_ddl (id INT)", "DROP TABLE hostile_ddl"),
    "truncate": _sql(f"TRUNCATE TABLE {TABLE}_empty"),
    "lock_tables": _sql("LOCK TABLES users WRITE"),
    "user_lock": _sql("SELECT GET_LOCK('hostile', 1)"),
    "sql_mode": _sql("SET SESSION sql_mode = ''"),
    "isolation": _sql("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"),
    "session_time_zone": _sql("SET SESSION time_zone = '+05:45'"),
    "foreign_keys_off": _sql("SET SESSION foreign_key_checks = 0, unique_checks = 0"),
    "read_only": _sql("SET SESSION TRANSACTION READ ONLY"),
    "names": _sql("SET NAMES latin1"),
    "lock_wait": _sql("SET SESSION innodb_lock_wait_timeout = 1, wait_timeout = 1"),
    "other_database": _sql("USE information_schema"),
    "temporary_table": _sql("CREATE TEMPORARY TABLE IF NOT EXISTS hostile_temporary (id INT)"),
    "pragma": _sql("PRAGMA foreign_keys = OFF", "PRAGMA synchronous = OFF"),
    "open_atomic": _open_atomic,
    "savepoint_left": lambda chunk: transaction.savepoint(),
    "swallow_duplicate_key": _swallow_duplicate_key,
    "swallow_duplicate_key_bare": _swallow_duplicate_key_bare,
    "swallow_wrong_statement": _swallow_wrong_statement,
    "cursor_left_open": _leave_cursor_open,
    "kill_own_connection": _kill_own_connection,
    "connection_in_thread": _use_connection_in_thread,
    # to the process
    "nothing": lambda chunk: None,
    "handlers": _install_handlers,
    "alarm": _set_alarm,
    "raise_by_alarm": _raise_by_alarm,
    "directory": _change_directory,
    "environment": _change_environment,
    "threads": _start_threads,
    "children": _start_children,
    "killed_child": _exit_in_child,
    "standard_files": _close_standard_files,
    "streams": _replace_streams,
    "umask": _mask_all,
    "locale": _set_locale,
    "log_long": _log_long,
    "logging_off": _disable_logging,
    "python": _change_python,
    "trace": _trace,
    "path": lambda chunk: sys.path.clear(),
    # that take a while
    "sleep": _sleep,
    "sleep_in_database": _sleep_in_database,
    # that kill their process
    "segfault": _read_null_pointer,
    "exit_0": lambda chunk: os._exit(0),
    "exit_3": lambda chunk: os._exit(3),
    "sigkill": lambda chunk: os.kill(os.getpid(), signal.SIGKILL),
    "sigterm": lambda chunk: os.kill(os.getpid(), signal.SIGTERM),
    "sigabrt": lambda chunk: os.abort(),
    "fork_returns": _return_in_child,
}
