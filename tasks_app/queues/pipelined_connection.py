"""The bare connection to Redis for the few commands that a request is measured by, and how requests ask together.

Owns when such a command is sent: alone, or in one go with those of the requests that a server answers side by side; and
how such a request pauses, without a thread, until its server resumes it. Must not know what a command means, nor HTTP.
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
    """Redis refuses a command for a reason of its own: it is busy with a script, not allowed to write, protected …"""


# redis-py has classes of its own for some of Redis's reasons; every other one is a RedisRefused.
UNAVAILABLE_ERRORS: Final = (
    RedisRefused,
    redis.exceptions.ConnectionError,  # LOADING, NOAUTH, WRONGPASS and too many clients as well
    redis.exceptions.TimeoutError,
    redis.exceptions.InvalidResponse,  # whoever answers there is no Redis, or stopped in the middle
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.AskError,  # MOVED as well
    redis.exceptions.ClusterDownError,  # MASTERDOWN as well
    redis.exceptions.TryAgainError,
)

# The first words of error replies that say that the command is wrong. All other words are about Redis itself: waiting
# for it is right, and a word that a later version adds is waited for as well.
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
    """Return the word with which an error reply says something of Redis itself (BUSY, OOM …); "" where it is about
    the command, and wrong again the next time."""
    word, _, text = reply.partition(" ")
    if word in ("ERR", "EXECABORT") and (inner := _INNER.search(text)):
        word, text = inner.groups()
    if word == "ERR":
        return "ERR" if text.startswith("max number of clients") else ""
    return word if _WORD.fullmatch(word) and word not in WRONG_COMMAND else ""


def describe_refusal(error: BaseException) -> str:
    """Return Redis's word for why it refuses, or the name of the exception."""
    return getattr(error, "status_code", None) or type(error).__name__


def _parse(response: str) -> Exception:
    """Return the exception of an error reply: redis-py's, or RedisRefused where it only knows a ResponseError."""
    error: Exception = redis_py_internals.parse_error(response)
    is_plain = type(error) in (redis.exceptions.ResponseError, redis.exceptions.ExecAbortError)
    if is_plain and (word := get_refusal(response)):
        return RedisRefused(response, status_code=word)
    return error


redis_py_internals.replace_parse_error(_parse)


def _may_be_elsewhere(answer: Any) -> bool:
    """Tell whether a new connection may reach a server that does answer. One that is full has no better twin."""
    return isinstance(answer, UNAVAILABLE_ERRORS) and not isinstance(answer, redis.exceptions.OutOfMemoryError)


class CannotPause(Exception):
    """The call does not run side by side with others, or its server has no place for one more paused call."""


class Paused(greenlet):
    """A call that stops at each command, and where it pauses, until the hub, which started it, continues it."""

    hub: greenlet
    on_pause: Callable[[Paused, Any], bool] | None = None
    failure: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _Pause:
    """What a call hands to the hub in place of a command: the reason of its pause."""

    reason: Any


def _continue(call: Paused, value: Any) -> Any:
    return call.throw(value) if isinstance(value, Exception) else call.switch(value)


def is_run_concurrently() -> bool:
    """Return whether the caller runs in `Line.run_concurrently`."""
    return isinstance(getcurrent(), Paused)


def pause(reason: Any) -> Any:
    """Pause this call and return the value with which its server resumes it. Raises CannotPause.

    The call must hold no lock and no transaction: other calls of the thread go on meanwhile.
    """
    call = getcurrent()
    if not isinstance(call, Paused):
        raise CannotPause
    return call.hub.switch(_Pause(reason))


class PipelinedConnection(threading.local):
    """A connection that each thread keeps for itself.

    A redis.Redis borrows a connection for each command, with locks, hooks and retries around it: 70 µs, and 25 on
    the bare one. No command is ever sent twice.
    """

    _connection: Any = None
    _pool: Any = None
    _pid = 0
    breaks = 0  # how often this thread's connection was given up: the next command may reach another server

    def __init__(self, get_client: Callable[[], redis.Redis[Any]]) -> None:
        self._get_client = get_client

    def execute_command(self, *words: Any) -> Any:
        """Return Redis's answer. Raises what it answers with, or one of UNAVAILABLE_ERRORS."""
        asking = getcurrent()
        if isinstance(asking, Paused):
            return asking.hub.switch(words)
        (answer,) = self.execute_all([words])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run_concurrently(
        self, calls: Sequence[Callable[[], Result]], *, on_pause: Callable[[int, Paused, Any], bool] | None = None
    ) -> list[Result | None]:
        """Run calls side by side in this thread, and return their results: what they ask here goes in one go.

        Each runs until it asks; then all commands are sent together, and each goes on with its own answer, until all
        have ended: one round trip for all of them and, where Redis syncs every write, one sync. They share the thread,
        so none may ask while it holds a lock or a transaction. Raises what a call raised, after all others have ended.

        A call that pauses is handed to `on_pause` with its index and its reason. True leaves it paused, its result None,
        until `resume` is called in this thread; otherwise the call gets CannotPause.
        """
        results: list[Any] = [None] * len(calls)

        def start(index: int, call: Callable[[], Result]) -> None:
            try:
                results[index] = call()
            except BaseException as error:
                started[index].failure = error

        hub = getcurrent()
        started = [Paused(start) for _ in calls]
        for index, asking in enumerate(started):
            asking.hub = hub
            if on_pause is not None:
                asking.on_pause = partial(on_pause, index)
        self._run([(asking, partial(asking.switch, index, calls[index])) for index, asking in enumerate(started)])
        return results

    def resume(self, paused: Sequence[tuple[Paused, Any]]) -> None:
        """Continue calls that paused in this thread, side by side, each with its value; an exception is raised in it.

        Raises as `run_concurrently` does.
        """
        self._run([(asking, partial(_continue, asking, value)) for asking, value in paused])

    def _run(self, steps: Sequence[tuple[Paused, Callable[[], Any]]]) -> None:
        asked: list[tuple[Paused, Any]] = []
        failures: list[BaseException] = []

        def run(asking: Paused, step: Callable[[], Any]) -> None:
            words = step()
            while isinstance(words, _Pause):
                if asking.on_pause is not None and asking.on_pause(asking, words.reason):
                    return
                words = asking.throw(CannotPause())
            if not asking.dead:
                asked.append((asking, words))
            elif asking.failure is not None:
                failures.append(asking.failure)

        for asking, step in steps:
            run(asking, step)
        while asked:
            waiting, asked[:] = list(asked), []
            answers = self.execute_all([words for _, words in waiting])
            for (asking, _), answer in zip(waiting, answers, strict=True):
                run(asking, partial(_continue, asking, answer))
        if failures:
            raise failures[0]

    def execute_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands in one go; return their answers, an exception in place of each that has none."""
        answers: list[Any] = []
        try:
            connection = self._connect()
            # One piece, so that Redis reads all of it before it syncs; pack_commands gives pieces of 6 KB.
            connection.send_packed_command([b"".join(connection.pack_commands(commands))])
            for _ in commands:
                try:
                    answers.append(connection.read_response())
                except redis.exceptions.ResponseError as error:
                    answers.append(error)  # what comes behind it is still to be read
        except Exception as error:  # whatever it is, nobody may be left without an answer
            answers += [error] * (len(commands) - len(answers))
            self._give_up()
        else:
            if any(map(_may_be_elsewhere, answers)):
                self._give_up()
        return answers

    def _give_up(self) -> None:
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
            connection.connect()  # asks the Sentinels, where there are any; sending would not
            self._pid = os.getpid()
        return connection

    @staticmethod
    def _is_closed(connection: Any) -> bool:
        """Tell whether the server has closed an idle connection: there is something to read, and it is the end."""
        try:
            return bool(connection.can_read(timeout=0))
        except redis.exceptions.ConnectionError:  # hiredis reads the end at once
            return True
