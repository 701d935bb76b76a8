"""One open connection to Redis in an event loop: the loop reads and writes the socket that redis-py has opened.

Owns the bytes on the socket and which reply belongs to which command. Must not: connect, know deadlines or what a command
means (`loop_connection` does the former two).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

import hiredis
import redis

from tasks_app.queues import redis_py_internals
from tasks_app.queues.pipelined_connection import may_be_elsewhere

_READ_BYTES: Final = 64 * 1024
_NOTHING: Final = object()
_WOULD_BLOCK: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Caller(Protocol):
    """A caller that waits for the reply to its command."""

    deadline: float | None  # of all its commands, on the loop's clock

    def resume(self, value: Any) -> None:
        """Continue with the reply; an exception is raised in the caller."""


class Command:
    """A command, and the caller that waits for its reply; None once the caller was answered or refused."""

    __slots__ = ("arguments", "caller", "deadline", "link")

    def __init__(self, arguments: tuple[Any, ...], caller: Caller, deadline: float) -> None:
        self.arguments, self.deadline = arguments, deadline
        self.caller: Caller | None = caller
        self.link: RedisLink | None = None  # on which it was sent


class Owner(Protocol):
    """What a link reports to."""

    def answer(self, command: Command, reply: Any) -> None:
        """Note a reply, or an error, for the command's caller."""

    def resume_callers(self) -> None:
        """Resume the callers that have their reply. Ends each callback of the loop."""

    def drop(self, link: RedisLink) -> None:
        """Send no further command on this link."""


class RedisLink:
    """One connection, as redis-py has opened it. All methods belong to the loop's thread."""

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop, pool: Any, connection: Any) -> None:
        self._owner, self._loop, self._pool, self._connection = owner, loop, pool, connection
        sock = redis_py_internals.get_socket(connection)
        if sock is None:
            raise redis.exceptions.ConnectionError("the connection is closed")
        self._sock = sock
        self._sock.setblocking(False)
        self._reader = hiredis.Reader(
            protocolError=redis.exceptions.InvalidResponse,
            replyError=redis_py_internals.get_parse_error(),
            notEnoughData=_NOTHING,
        )
        self._in_flight: deque[Command] = deque()
        self._unwritten = b""
        self._is_closed = self._is_given_up = False
        loop.add_reader(self._sock.fileno(), self._on_readable)

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands in one piece, so that Redis reads all of them before it syncs to disk."""
        if not commands:
            return
        try:
            data = b"".join(self._connection.pack_commands([command.arguments for command in commands]))
        except Exception as error:  # an argument of another type: no command of this turn was sent
            for command in commands:
                self._owner.answer(command, error)
            return
        for command in commands:
            command.link = self
        self._in_flight.extend(commands)
        if self._unwritten:
            self._unwritten += data
        else:
            self._write(data)

    def give_up(self) -> None:
        """Let the owner send no further command here; replies that still come are passed on."""
        self._is_given_up = True
        self._owner.drop(self)
        if all(command.caller is None for command in self._in_flight):
            self.fail(redis.exceptions.ConnectionError("given up"))

    def fail(self, error: Exception) -> None:
        """Close the connection; every caller without a reply gets the error."""
        if self._is_closed:
            return
        self._is_closed = True
        self._owner.drop(self)
        self._loop.remove_reader(self._sock.fileno())
        if self._unwritten:
            self._loop.remove_writer(self._sock.fileno())
        self._connection.disconnect()
        self._pool.release(self._connection)
        commands, self._in_flight = self._in_flight, deque()
        for command in commands:
            self._owner.answer(command, error)

    def _write(self, data: bytes) -> None:
        try:
            sent = self._sock.send(data)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self.fail(redis.exceptions.ConnectionError(f"the connection broke: {error}"))
            return
        if sent < len(data):
            if not self._unwritten:
                self._loop.add_writer(self._sock.fileno(), self._on_writable)
            self._unwritten = data[sent:]
        elif self._unwritten:
            self._unwritten = b""
            self._loop.remove_writer(self._sock.fileno())

    def _on_writable(self) -> None:
        self._write(self._unwritten)
        self._owner.resume_callers()

    def _on_readable(self) -> None:
        self._read()
        self._owner.resume_callers()

    def _read(self) -> None:
        while not self._is_closed:
            try:
                data = self._sock.recv(_READ_BYTES)
            except _WOULD_BLOCK:
                return
            except OSError as error:
                self.fail(redis.exceptions.ConnectionError(f"the connection broke: {error}"))
                return
            if not data:
                self.fail(redis.exceptions.ConnectionError("Connection closed by server."))
                return
            self._reader.feed(data)
            self._pass_replies()
            # A TLS socket may hold more than the system's poll knows of.
            if len(data) < _READ_BYTES and not (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
                return

    def _pass_replies(self) -> None:
        while not self._is_closed:
            try:
                reply = self._reader.gets()
            except redis.exceptions.RedisError as error:  # the server is not a Redis
                self.fail(error)
                return
            if reply is _NOTHING:
                break
            if isinstance(reply, hiredis.PushNotification):
                continue
            if not self._in_flight:
                self.fail(redis.exceptions.InvalidResponse("a reply without a command"))
                return
            command = self._in_flight.popleft()
            self._owner.answer(command, reply)
            if isinstance(reply, Exception) and may_be_elsewhere(reply):
                self._turn_to_next_sentinel(reply)
                self.give_up()
        if self._is_given_up:
            self.give_up()

    def _turn_to_next_sentinel(self, reply: Exception) -> None:
        leave = getattr(self._connection, "leave_isolated_primary", None)
        if leave is not None:
            leave(reply)
