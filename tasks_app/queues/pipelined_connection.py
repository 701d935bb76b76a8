"""The connection to Redis for the commands of requests: concurrent requests send theirs together.

Owns when such a command is sent, alone or with those of other requests, and how a request pauses without a thread until
its server resumes it. Must not know what a command means, nor HTTP.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import redis
from greenlet import getcurrent, greenlet

from tasks_app.queues import redis_py_internals

Result = TypeVar("Result")


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


def _may_be_elsewhere(answer: Any) -> bool:
    """Whether a new connection may reach another server that accepts the command. Another server would be as full."""
    return isinstance(answer, UNAVAILABLE_ERRORS) and not isinstance(answer, redis.exceptions.OutOfMemoryError)


class CannotPause(Exception):
    """The call does not run concurrently with others, or its server cannot hold another paused call."""


class Paused(greenlet):
    """A call that is suspended at each command and at each pause, until the hub that started it resumes it."""

    hub: greenlet
    on_pause: Callable[[Paused, Any], bool] | None = None
    failure: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _Pause:
    """What a call passes to the hub instead of a command: the reason of its pause."""

    reason: Any


def _continue(call: Paused, value: Any) -> Any:
    return call.throw(value) if isinstance(value, Exception) else call.switch(value)


def is_run_concurrently() -> bool:
    """Whether the caller runs in `PipelinedConnection.run_concurrently`."""
    return isinstance(getcurrent(), Paused)


def pause(reason: Any) -> Any:
    """Pause this call and return the value with which its server resumes it. Raises CannotPause.

    The call must hold no lock and no transaction, because other calls run in this thread meanwhile.
    """
    call = getcurrent()
    if not isinstance(call, Paused):
        raise CannotPause
    return call.hub.switch(_Pause(reason))


class PipelinedConnection(threading.local):
    """A connection of each thread, which sends the commands of concurrent calls together.

    redis.Redis takes a connection from its pool for each command, with locks, hooks and retries: 70 µs, against 25 µs on
    the connection itself. No command is ever sent twice.
    """

    _connection: Any = None
    _pool: Any = None
    _pid = 0
    breaks = 0  # how often this thread's connection was dropped: the next command may reach another server

    def __init__(self, get_client: Callable[[], redis.Redis[Any]]) -> None:
        self._get_client = get_client

    def execute_command(self, *words: Any) -> Any:
        """Return Redis's reply. Raises the exception of an error reply, or one of UNAVAILABLE_ERRORS."""
        call = getcurrent()
        if isinstance(call, Paused):
            return call.hub.switch(words)
        (answer,) = self.execute_all([words])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run_concurrently(
        self, calls: Sequence[Callable[[], Result]], *, on_pause: Callable[[int, Paused, Any], bool] | None = None
    ) -> list[Result | None]:
        """Run calls concurrently in this thread, and return their results. Their commands are sent together.

        Each call runs until its next command. Then all commands are sent at once, and each call resumes with its own
        reply, until all have ended: one round trip for all of them and, if Redis syncs every write, one sync. The calls
        share the thread, so none may send a command while it holds a lock or a transaction. Raises the first exception
        of a call, after all others have ended.

        A call that pauses is passed to `on_pause` with its index and its reason. If that returns True, the call stays
        paused, with the result None, until `resume` is called in this thread. Otherwise the call gets CannotPause.
        """
        results: list[Any] = [None] * len(calls)

        def start(index: int, call: Callable[[], Result]) -> None:
            try:
                results[index] = call()
            except BaseException as error:
                started[index].failure = error

        hub = getcurrent()
        started = [Paused(start) for _ in calls]
        for index, call in enumerate(started):
            call.hub = hub
            if on_pause is not None:
                call.on_pause = partial(on_pause, index)
        self._run([(call, partial(call.switch, index, calls[index])) for index, call in enumerate(started)])
        return results

    def resume(self, paused: Sequence[tuple[Paused, Any]]) -> None:
        """Resume paused calls of this thread concurrently, each with its value; an exception is raised in the call.

        Raises as `run_concurrently` does.
        """
        self._run([(call, partial(_continue, call, value)) for call, value in paused])

    def _run(self, steps: Sequence[tuple[Paused, Callable[[], Any]]]) -> None:
        pending: list[tuple[Paused, Any]] = []
        failures: list[BaseException] = []

        def run(call: Paused, step: Callable[[], Any]) -> None:
            words = step()
            while isinstance(words, _Pause):
                if call.on_pause is not None and call.on_pause(call, words.reason):
                    return
                words = call.throw(CannotPause())
            if not call.dead:
                pending.append((call, words))
            elif call.failure is not None:
                failures.append(call.failure)

        for call, step in steps:
            run(call, step)
        while pending:
            waiting, pending[:] = list(pending), []
            answers = self.execute_all([words for _, words in waiting])
            for (call, _), answer in zip(waiting, answers, strict=True):
                run(call, partial(_continue, call, answer))
        if failures:
            raise failures[0]

    def execute_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands together. Return their replies, with an exception in place of each that failed."""
        answers: list[Any] = []
        try:
            connection = self._connect()
            # Joined, so that Redis reads all of it before it syncs; pack_commands returns pieces of 6 KB.
            connection.send_packed_command([b"".join(connection.pack_commands(commands))])
            for _ in commands:
                try:
                    answers.append(connection.read_response())
                except redis.exceptions.ResponseError as error:
                    answers.append(error)  # the replies after it must still be read
        except Exception as error:  # whatever it is, every call must get a result
            answers += [error] * (len(commands) - len(answers))
            self._drop()
        else:
            if any(map(_may_be_elsewhere, answers)):
                self._drop()
        return answers

    def _drop(self) -> None:
        self.breaks += 1
        if self._connection is not None:
            self._connection.disconnect()

    def _connect(self) -> Any:
        pool = self._get_client().connection_pool
        connection = self._connection
        if connection is None or self._pool is not pool:
            connection = self._connection = pool.get_connection()
            self._pool, self._pid = pool, os.getpid()
        if self._pid != os.getpid() or self._is_closed(connection):
            self.breaks += 1
            connection.disconnect()
            connection.connect()  # this asks the Sentinels, if there are any; sending would not
            self._pid = os.getpid()
        return connection

    @staticmethod
    def _is_closed(connection: Any) -> bool:
        """Whether the server has closed an idle connection: it is readable, and at its end."""
        try:
            return bool(connection.can_read(timeout=0))
        except redis.exceptions.ConnectionError:  # hiredis reads the end of the stream at once
            return True
