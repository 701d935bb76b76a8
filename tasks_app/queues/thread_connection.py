"""The bare connection to Redis for the few commands that a request is measured by, and what Redis's refusals mean.

Owns how such a command is sent: on a connection of its thread or, in an event loop, on the one that all of the loop's
requests share (`loop_connection`). Must not know what a command means, nor HTTP.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis
from greenlet import getcurrent

from tasks_app.queues import redis_py_internals
from tasks_app.queues.suspended_calls import Call, Words, is_suspendable, suspend


class RedisRefused(redis.exceptions.ResponseError):
    """Redis refuses a command because of its own state: busy with a script, not allowed to write, protected …"""


# redis-py has classes for some of these states; every other one is a RedisRefused.
UNAVAILABLE_ERRORS: Final = (
    RedisRefused,
    redis.exceptions.ConnectionError,  # LOADING, NOAUTH, WRONGPASS and too many clients as well
    redis.exceptions.TimeoutError,
    redis.exceptions.InvalidResponse,  # the server is not a Redis, or its reply was cut
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.AskError,  # MOVED as well
    redis.exceptions.ClusterDownError,  # MASTERDOWN as well
    redis.exceptions.TryAgainError,
)

# The codes of error replies that mean that the command is wrong. All other codes are about the state of Redis: waiting is
# right, also for codes that a later version adds.
WRONG_COMMAND: Final = frozenset(
    {
        *("ERR", "WRONGTYPE", "NOSCRIPT", "EXECABORT", "CROSSSLOT", "NOPROTO"),
        *("BUSYGROUP", "NOGROUP", "BUSYKEY", "NOTBUSY", "UNKILLABLE"),
    }
)
_WORD: Final = re.compile(r"[A-Z][A-Z0-9]*")
# A script of Redis 6.2 fails with "ERR Error running script (…): …: -OOM …", a transaction with "… because of: OOM …".
_INNER: Final = re.compile(r": -?([A-Z]{2,}) (.*)", re.DOTALL)


def get_refusal(reply: str) -> str:
    """Return the code of an error reply about Redis itself (BUSY, OOM …); "" if the command is wrong, which a retry
    would not change."""
    word, _, text = reply.partition(" ")
    if word in ("ERR", "EXECABORT") and (inner := _INNER.search(text)):
        word, text = inner.groups()
    if word == "ERR":
        return "ERR" if text.startswith("max number of clients") else ""
    return word if _WORD.fullmatch(word) and word not in WRONG_COMMAND else ""


def describe_refusal(error: BaseException) -> str:
    """Return the code of Redis's refusal, or the name of the exception."""
    return getattr(error, "status_code", None) or type(error).__name__


def _parse(response: str) -> Exception:
    """Return the exception of an error reply: redis-py's own, or RedisRefused instead of a plain ResponseError."""
    error: Exception = redis_py_internals.parse_error(response)
    is_plain = type(error) in (redis.exceptions.ResponseError, redis.exceptions.ExecAbortError)
    if is_plain and (word := get_refusal(response)):
        return RedisRefused(response, status_code=word)
    return error


redis_py_internals.replace_parse_error(_parse)


def may_be_elsewhere(answer: Any) -> bool:
    """Return whether a new connection may reach a server that answers. If Redis is out of memory, no other server has more."""
    return isinstance(answer, UNAVAILABLE_ERRORS) and not isinstance(answer, redis.exceptions.OutOfMemoryError)


def open_connection(pool: Any) -> Any:
    """Return a new connection with a pool's settings, of which the pool knows nothing: its owner ends with it.

    The pool's idle connections may lead to a server that hangs, or that is no longer the primary.
    """
    connection = pool.connection_class(**pool.connection_kwargs)
    connection.connect()  # this asks the Sentinels, if there are any; sending would not
    return connection


class _Ending:
    """Ends a connection together with its thread: redis-py's connection is part of a cycle, and would end much later."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __del__(self) -> None:
        self._connection.disconnect()


class ThreadConnection(threading.local):
    """A connection of each thread; in an event loop, the one that all of its requests share (LoopConnection).

    redis.Redis takes a connection from its pool for each command, with locks, hooks and retries: 70 µs, against 25 µs on
    the connection itself. No command is ever sent twice.
    """

    _connection: Any = None
    _ending: _Ending | None = None
    _pool: Any = None
    _pid = 0

    def __init__(self, get_client: Callable[[], redis.Redis[Any]]) -> None:
        self._get_client = get_client

    def execute_command(self, *words: Any) -> Any:
        """Return Redis's answer. Raises what it answers with, or one of UNAVAILABLE_ERRORS."""
        call = getcurrent()
        if isinstance(call, Call):
            return call.parent.switch(words)  # type: ignore[union-attr]
        try:
            connection = self._connect()
            connection.send_packed_command(connection.pack_command(*words))
            answer = connection.read_response()
        except redis.exceptions.ResponseError as error:
            if may_be_elsewhere(error):
                self._drop()
            raise
        except Exception:
            self._drop()
            raise
        return answer

    def execute_reads(self, commands: Sequence[Words]) -> list[Any]:
        """Send commands that change nothing, all together, and return their answers. Raises the first error among them."""
        if commands and is_suspendable():
            return suspend(lambda call: call.calls.ask_reads(commands, call))
        return self._execute_together(commands)

    def execute_confirmed(self, confirming: Sequence[Words], *words: Any) -> list[Any]:
        """Send a command and, after it on the same connection, those that confirm it; return all their answers.

        WAIT blocks its connection. So in an event loop these commands have one of their own, and all that is asked in
        one turn is confirmed together. Raises the first error among them; the other commands may have had their effect.
        """
        if is_suspendable():
            return suspend(lambda call: call.calls.ask_confirmed(words, confirming, call))
        return self._execute_together([words, *confirming])

    def _execute_together(self, commands: Sequence[Words]) -> list[Any]:
        try:
            connection = self._connect()
            connection.send_packed_command(connection.pack_commands(commands))
            return [connection.read_response() for _ in commands]
        except Exception:
            self._drop()  # with the answers that were not read
            raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _connect(self) -> Any:
        pool = self._get_client().connection_pool
        if self._pool is not pool or self._pid != os.getpid() or self._is_closed(self._connection):
            self._drop()
        if self._connection is None:
            self._connection = open_connection(pool)
            self._ending = _Ending(self._connection)
            self._pool, self._pid = pool, os.getpid()
        return self._connection

    @staticmethod
    def _is_closed(connection: Any) -> bool:
        """Whether the server has closed an idle connection: it is readable, and at its end."""
        try:
            return connection is not None and bool(connection.can_read(timeout=0))
        except redis.exceptions.ConnectionError:  # hiredis reads the end of the stream at once
            return True
