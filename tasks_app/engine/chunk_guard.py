"""Guards the transaction of a chunk while code of task types runs: it commits with the checkpoint, or not at all.

Owns the boundary to that code: what it must not do to the connection, which of its errors are the database's, and its
time limit. Must not know what a chunk does, nor how a failed attempt is counted.
"""

from __future__ import annotations

import logging
import re
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Final, TypeVar

from django.db import DatabaseError, Error, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from tasks_app.database.error_causes import is_database_error, rolls_nothing_back
from tasks_app.engine.chunk_errors import ChunkTimeout, TaskCodeFailed, TransactionBroken, TransactionMisused
from tasks_app.engine.descendants import ending_copies
from tasks_app.models import TaskCheckpoint
from tasks_app.resilience.transient_errors import TransactionLost

Result = TypeVar("Result")
logger = logging.getLogger(__name__)

MARK: Final = "longtasks_chunk"
ALARM_AGAIN_SECONDS: Final = 1.0  # code that catches the first timeout gets another one
_SHOWN_CHARACTERS: Final = 100
# Only the first words of a statement are read, after blanks, comments and parentheses.
_HEAD_CHARACTERS: Final = 400
_COMMENT: Final = re.compile(r"[\s(;]+|/\*(?!!|M!).*?\*/|--[^\n]*\n?|#[^\n]*\n?", re.DOTALL)
# What commits a transaction by itself: https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/
# Refused on SQLite too, where some of it would do no harm: what works in development must work on MySQL.
_ENDS_TRANSACTION: Final = re.compile(
    r"(?:ALTER|ANALYZE|BEGIN|CACHE\s+INDEX|CHECK\s+TABLE|COMMIT|CREATE(?!\s+TEMPORARY\b)|DROP(?!\s+TEMPORARY\b)|END"
    r"|EXECUTE\s+IMMEDIATE|FLUSH|GRANT|INSTALL|LOAD\s+INDEX|LOCK\s+TABLES?|OPTIMIZE|RENAME|REPAIR|RESET|REVOKE"
    r"|ROLLBACK(?!(?:\s+WORK)?\s+TO\b)|START|TRUNCATE|UNINSTALL|UNLOCK\s+TABLES?|VACUUM|XA)\b"
    r"|SET\b[^;']{0,300}\bautocommit\s*:?=",
    re.IGNORECASE,
)
_CHANGES_SESSION: Final = re.compile(
    r"(?:SET|USE|PRAGMA|ATTACH|CREATE\s+TEMPORARY|PREPARE|HANDLER)\b|(?:SELECT|DO)\b.{0,200}\bGET_LOCK\s*\(",
    re.I | re.S,
)
_DJANGO_METHODS: Final = ("close", "commit", "rollback", "set_autocommit")
_DRIVER_METHODS: Final = ("close", "commit", "rollback", "autocommit", "begin", "change_user", "select_db")


class ChunkGuard:
    """Watches the connection of this thread while the code of task types runs on it. One per worker process."""

    def __init__(self) -> None:
        self.connection: BaseDatabaseWrapper = connections[router.db_for_write(TaskCheckpoint)]
        self.session_is_changed = False  # by a SET or the like, which the next task must not inherit
        self._in_transaction = False  # task code runs inside the chunk's transaction at this moment
        self._error: Exception | None = None  # the first error that meant a rollback
        self._statement_error: Exception | None = None  # of the last statement that failed
        self._misuse: TransactionMisused | None = None
        self._is_armed = False
        self._deadline = 0.0
        self._limit_seconds = 0.0

    @contextmanager
    def watching(self, *, limit_seconds: float) -> Generator[None, None, None]:
        """Watch every statement of this thread; the task code within has `limit_seconds` in all."""
        self._error = self._misuse = self._statement_error = None
        self._limit_seconds = limit_seconds
        self._deadline = time.monotonic() + limit_seconds
        self.connection.ensure_connection()
        with self.connection.execute_wrapper(self._execute):
            yield

    def prepare(self, code: Callable[[], Result]) -> Result:
        """Run task code outside of a transaction. Raises TaskCodeFailed or TransactionLost."""
        try:
            return self._run(code)
        except TaskCodeFailed as failed:
            if self._is_the_database(failed.error):
                raise TransactionLost(failed.error) from None
            if not isinstance(failed.error, Exception):
                self.connection.close()  # the timeout may have interrupted a statement before its result was read
            raise
        finally:
            self._error = None  # outside of a transaction the code may have handled it
            self._leave_no_transaction()

    def run(self, code: Callable[[], Result]) -> Result:
        """Run task code inside the transaction that the caller has opened, and verify that it is still the same one.

        Raises TaskCodeFailed (also for a misuse of the connection) or TransactionLost; the caller must then roll back.
        """
        connection = self.connection
        atomic_blocks, savepoint_ids = list(connection.atomic_blocks), list(connection.savepoint_ids)
        self._mark(f"SAVEPOINT {MARK}")
        failed: TaskCodeFailed | None = None
        result: Any = None
        try:
            with self._refusing_methods():
                self._in_transaction = True
                result = self._run(code)
        except TaskCodeFailed as error:
            failed = error
        finally:
            self._in_transaction = False
        if (connection.atomic_blocks, connection.savepoint_ids) != (atomic_blocks, savepoint_ids):
            connection.atomic_blocks, connection.savepoint_ids = atomic_blocks, savepoint_ids
            connection.in_atomic_block = True
            connection.needs_rollback = True
            self._refuse("left a transaction.atomic() block open, or closed one that it had not opened", quietly=True)
        if failed is not None and isinstance(failed.error, ChunkTimeout):
            raise failed
        if self._misuse is not None:
            raise TaskCodeFailed(self._misuse) from (failed.error if failed else None)
        if self._error is not None:
            raise TransactionLost(self._error) from (failed.error if failed else None)
        is_broken = failed is None or isinstance(failed.error, TransactionManagementError)
        if connection.needs_rollback and is_broken:
            raise TaskCodeFailed(
                TransactionBroken(
                    "The task type caught a database error that had broken its transaction, and continued. Put the "
                    "statement that may fail into `with transaction.atomic():`, and catch the error outside of that block."
                )
            ) from (connection.rollback_exc or self._statement_error or (failed and failed.error))  # type: ignore[attr-defined]
        if failed is not None:
            if is_database_error(failed.error) and not self._is_marked():
                raise TransactionLost(failed.error) from None  # callproc() bypasses the execute wrapper
            raise failed
        self._verify()
        self._limit_hooks()
        return result

    def _limit_hooks(self) -> None:
        """Apply the same limits to the hooks that the code has registered with transaction.on_commit."""
        hooks: list[Any] = self.connection.run_on_commit
        self.connection.run_on_commit = [
            (names, hook if getattr(hook, "func", None) == self._run_hook else partial(self._run_hook, hook), *rest)
            for names, hook, *rest in hooks
        ]

    def _run_hook(self, hook: Callable[[], object]) -> None:
        """Run one hook of on_commit. Its chunk is committed, so a failure is only logged."""
        try:
            self._run(hook)
            self._leave_no_transaction()
        except TaskCodeFailed as failed:
            logger.error("a transaction.on_commit hook failed after its chunk", exc_info=failed.error)

    def renew_session(self) -> None:
        """Close the connection if a task has changed its session (SET, GET_LOCK, temporary tables)."""
        if self.session_is_changed and not self.connection.in_atomic_block:
            self.session_is_changed = False
            self.connection.close()

    def _is_the_database(self, error: BaseException) -> bool:
        """Whether an error outside of a transaction comes from this database, not from another one that the task uses.

        The execute wrapper does not see a reconnect that fails.
        """
        if not is_database_error(error):
            return False
        connection = self.connection
        return self._error is not None or connection.connection is None or not connection.is_usable()

    def _leave_no_transaction(self) -> None:
        """Make sure that the next transaction is a new one. Raises TaskCodeFailed if the code has left one open."""
        connection: Any = self.connection
        driver = connection.connection
        is_open = connection.in_atomic_block or (driver is not None and not connection.get_autocommit())
        if not is_open and not getattr(driver, "in_transaction", False):  # the last check: SQLite's own flag
            return
        connection.atomic_blocks, connection.savepoint_ids = [], []
        connection.in_atomic_block = connection.needs_rollback = False
        connection.close()
        self._misuse = None
        self._refuse("left a transaction open outside of its chunk, or switched autocommit off", quietly=True)
        raise TaskCodeFailed(self._misuse)  # type: ignore[arg-type]

    def _verify(self) -> None:
        try:
            self._mark(f"RELEASE SAVEPOINT {MARK}")
        except DatabaseError as error:
            if is_database_error(error):
                raise
            # The savepoint no longer exists, so the transaction that it was set in has ended.
            raise TaskCodeFailed(
                TransactionMisused(
                    "The chunk's transaction was ended in its middle: by a COMMIT or ROLLBACK that did not come through "
                    "Django, or by a procedure or trigger that commits (DDL does). What was committed by it remains "
                    "and is not counted."
                )
            ) from error

    def _is_marked(self) -> bool:
        try:
            self._mark(f"RELEASE SAVEPOINT {MARK}")
        except Error:
            return False
        return True

    def _mark(self, statement: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def _run(self, code: Callable[[], Result]) -> Result:
        """Run task code within its time limit. Whatever it raises becomes TaskCodeFailed."""
        previous = signal.getsignal(signal.SIGALRM)
        left_seconds = max(0.001, self._deadline - time.monotonic())
        try:
            try:
                signal.signal(signal.SIGALRM, self._raise_timeout)
                self._is_armed = True
                signal.setitimer(signal.ITIMER_REAL, left_seconds, ALARM_AGAIN_SECONDS)
                with ending_copies():
                    return code()
            finally:
                self._is_armed = False  # an alarm from here on is late and must interrupt nothing
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, previous if previous is not None else signal.SIG_DFL)
        except BaseException as error:
            self._is_armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise TaskCodeFailed(error) from None

    def _raise_timeout(self, signum: int, frame: FrameType | None) -> None:
        if not self._is_armed:
            return
        raise ChunkTimeout(
            f"The chunk took longer than {self._limit_seconds:g} s, the time limit of its task type: make chunks smaller, "
            "or set chunk_timeout_seconds."
        )

    # --- statements

    def _execute(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        """Django's execute wrapper: refuses a statement that would end the transaction, and notes an error that has ended it."""
        if self._in_transaction:
            if self._error is not None:
                # The transaction has ended: another statement would begin a new one, which might be committed.
                raise type(self._error)(*self._error.args)
            head = _get_head(sql)
            if _ENDS_TRANSACTION.match(head):
                self._refuse(f"ran {head[:_SHOWN_CHARACTERS]!r}, which ends the chunk's transaction in its middle")
            if _CHANGES_SESSION.match(head):
                self.session_is_changed = True
        try:
            return execute(sql, params, many, context)
        except Exception as error:
            self._statement_error = error
            if self._error is None and is_database_error(error) and not rolls_nothing_back(error):
                self._error = error
            raise

    # --- methods of the connection

    @contextmanager
    def _refusing_methods(self) -> Generator[None, None, None]:
        """Replace the methods of Django and the driver that end a transaction by ones that raise, while task code runs."""
        covered: list[tuple[Any, str]] = []
        try:
            for owner, names in ((self.connection, _DJANGO_METHODS), (self.connection.connection, _DRIVER_METHODS)):
                for name in names:
                    # sqlite3's connection has no __dict__: see `_verify`.
                    if hasattr(owner, name) and hasattr(owner, "__dict__"):
                        setattr(owner, name, self._refusal(name))
                        covered.append((owner, name))
            yield
        finally:
            for owner, name in covered:
                owner.__dict__.pop(name, None)

    def _refusal(self, name: str) -> Callable[..., None]:
        def refuse(*args: Any, **kwargs: Any) -> None:
            self._refuse(f"called {name}() on the connection of its chunk")

        return refuse

    def _refuse(self, what: str, *, quietly: bool = False) -> None:
        if self._misuse is None:
            self._misuse = TransactionMisused(
                f"The task type {what}. A chunk commits together with its checkpoint, or not at all: nothing of it was "
                "kept. Leave the connection's transaction to the engine. Run DDL in a migration, and use another "
                "database alias for what must commit on its own."
            )
        if not quietly:
            raise self._misuse


def _get_head(sql: Any) -> str:
    """Return the beginning of a statement without leading blanks, comments and parentheses."""
    head = (sql.decode(errors="replace") if isinstance(sql, bytes) else str(sql))[:_HEAD_CHARACTERS]
    position = 0
    while found := _COMMENT.match(head, position):
        position = found.end()
    return head[position:].removeprefix("/*!").removeprefix("/*M!").lstrip("0123456789 ")
