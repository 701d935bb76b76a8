"""The one pipelined connection to Redis of a process with an event loop: what is asked while Redis answers leaves together.

Owns when a command is sent and how long its answer may take. redis-py connects, in a thread (TLS, Sentinels, password,
database, name); then the loop reads and writes its socket. No command is ever sent twice. Must not know what a command
means.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import hiredis
import redis

from tasks_app.queues import redis_py_internals
from tasks_app.queues.suspended_calls import Asking, Words
from tasks_app.queues.thread_connection import may_be_elsewhere, open_connection

logger = logging.getLogger(__name__)
_READ_BYTES: Final = 64 * 1024
_NOTHING: Final = object()
_WOULD_BLOCK: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_TOO_LATE: Final = "Redis did not answer in time"


class _Asked:
    """A command, and who waits for its answer until `deadline`; nobody any more once it has passed."""

    __slots__ = ("asking", "deadline", "words")

    def __init__(self, words: Words, asking: Asking, deadline: float) -> None:
        self.words, self.deadline = words, deadline
        self.asking: Asking | None = asking

    def answer(self, value: Any) -> None:
        if self.asking is not None:
            asking, self.asking = self.asking, None
            asking.resume(value)


class LoopConnection:
    """Commands of one event loop, in their order. All methods belong to the loop's thread."""

    def __init__(self, get_client: Callable[[], redis.Redis[Any]], *, timeout_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._get_client, self._timeout_seconds = get_client, timeout_seconds
        self._connector = ThreadPoolExecutor(1, thread_name_prefix="redis-connect")
        self._unsent: deque[_Asked] = deque()
        self._link: _Link | None = None
        self._is_connecting = self._is_flushing = self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, words: Words, asking: Asking) -> None:
        """Send a command once the ones before it are answered; resume with its answer, or with one of UNAVAILABLE_ERRORS.

        So Redis gets few and large batches, and syncs its file once for each: more of them as it is slower.
        """
        self._unsent.append(_Asked(words, asking, self._loop.time() + self._timeout_seconds))
        self.send_soon()

    def send_soon(self) -> None:
        """At the end of this turn of the loop, send what waits if nothing is in flight."""
        if self._unsent and not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def connect(self) -> None:
        """Connect now, so that the first request does not wait for it."""
        if self._link is None and not self._is_connecting and not self._is_closed:
            self._is_connecting = True
            future = self._loop.run_in_executor(self._connector, self._open)
            future.add_done_callback(self._on_connected)

    def leave(self, error: BaseException) -> None:
        """Send the next command on a new connection, if an error elsewhere says that another server may be the primary.

        Otherwise a loop that only reads would stay with an isolated primary, which refuses no read.
        """
        if self._link is not None and may_be_elsewhere(error):
            self._link.give_up(error)

    def close(self) -> None:
        """Give the connection up; whoever waits gets a ConnectionError."""
        self._is_closed = True
        if self._link is not None:
            self._link.fail(redis.exceptions.ConnectionError("the process ends"))
        self._fail_unsent(redis.exceptions.ConnectionError("the process ends"))
        self._connector.shutdown(wait=False)

    def give_up(self, link: _Link) -> None:
        """Use a connection for no further command: the next one may reach another server."""
        if self._link is link:
            self._link = None
            self.send_soon()

    def _flush(self) -> None:
        self._is_flushing = False
        if not self._unsent:
            return
        if self._link is not None:
            if self._link.is_waiting:
                self._watch_unsent()
            else:
                asked, self._unsent = self._unsent, deque()
                self._link.send(asked)
        elif self._is_closed:
            self._fail_unsent(redis.exceptions.ConnectionError("the process ends"))
        else:
            self.connect()
            self._watch_unsent()

    def _open(self) -> Any:
        return open_connection(self._get_client().connection_pool)

    def _on_connected(self, future: asyncio.Future[Any]) -> None:
        self._is_connecting = False
        try:
            link = _Link(self, self._loop, future.result())
        except Exception as error:
            self._fail_unsent(error)
            return
        if self._is_closed:
            link.fail(redis.exceptions.ConnectionError("the process ends"))
            return
        self._link = link
        self._flush()

    def _fail_unsent(self, error: Exception) -> None:
        asked, self._unsent = self._unsent, deque()
        for each in asked:
            each.answer(error)

    def _watch_unsent(self) -> None:
        """See to it that what has waited too long is refused. One timer is enough: deadlines come in order."""
        if self._unsent and self._timer is None:
            self._timer = self._loop.call_at(self._unsent[0].deadline, self._expire_unsent)

    def _expire_unsent(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._unsent and self._unsent[0].deadline <= now:
            self._unsent.popleft().answer(redis.exceptions.TimeoutError(_TOO_LATE))
        self._watch_unsent()


class _Link:
    """One connection, as redis-py has opened it."""

    def __init__(self, owner: LoopConnection, loop: asyncio.AbstractEventLoop, connection: Any) -> None:
        self._owner, self._loop, self._connection = owner, loop, connection
        sock = redis_py_internals.get_socket(connection)
        if sock is None:
            raise redis.exceptions.ConnectionError("the connection was closed")
        self._sock = sock
        self._sock.setblocking(False)
        self._pack = connection.pack_commands
        self._reader = hiredis.Reader(
            protocolError=redis.exceptions.InvalidResponse,
            replyError=redis_py_internals.get_parse_error(),
            notEnoughData=_NOTHING,
        )
        self._in_flight: deque[_Asked] = deque()
        self._late = 0  # how many of them, from the first, have waited too long
        self._unwritten = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = self._is_given_up = False
        loop.add_reader(self._sock.fileno(), self._on_readable)

    @property
    def is_waiting(self) -> bool:
        """Whether commands were sent that have no answer yet."""
        return bool(self._in_flight)

    def send(self, asked: deque[_Asked]) -> None:
        """Send commands in one piece, so that Redis reads all of them before it syncs to disk."""
        try:
            data = b"".join(self._pack([each.words for each in asked]))
        except Exception as error:  # a word that is no string: no command of this turn was sent
            for each in asked:
                each.answer(error)
            return
        self._in_flight.extend(asked)
        if self._unwritten:
            self._unwritten += data
        else:
            self._write(data)
        if self._timer is None and self._in_flight:
            self._timer = self._loop.call_at(self._in_flight[0].deadline, self._expire)

    def _write(self, data: bytes | bytearray) -> None:
        try:
            sent = self._sock.send(data)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self.fail(redis.exceptions.ConnectionError(f"the connection broke: {error}"))
            return
        if data is self._unwritten:
            del self._unwritten[:sent]  # moves no bytes
            if not self._unwritten:
                self._loop.remove_writer(self._sock.fileno())
        elif sent < len(data):
            self._unwritten += data[sent:]
            self._loop.add_writer(self._sock.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        self._write(self._unwritten)

    def _on_readable(self) -> None:
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
            self._answer_all()
            # A TLS socket may hold more than the system's poll knows of.
            if len(data) < _READ_BYTES and not (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
                return

    def _answer_all(self) -> None:
        while not self._is_closed:
            try:
                answer = self._reader.gets()
            except redis.exceptions.RedisError as error:  # what answers there is not Redis
                self.fail(error)
                return
            if answer is _NOTHING:
                break
            if isinstance(answer, hiredis.PushNotification):
                continue
            if not self._in_flight:
                self.fail(redis.exceptions.InvalidResponse("an answer that nobody has asked for"))
                return
            if isinstance(answer, Exception) and may_be_elsewhere(answer):
                self.give_up(answer)
            self._late = max(self._late - 1, 0)
            self._in_flight.popleft().answer(answer)
        if self._in_flight:
            return
        if self._is_given_up:
            self.fail(redis.exceptions.ConnectionError("given up"))
        else:
            self._owner.send_soon()

    def _expire(self) -> None:
        """Tell those who have waited too long. The others may still get their answers here; nothing more is sent."""
        self._timer = None
        now, late = self._loop.time(), []
        while self._late < len(self._in_flight) and self._in_flight[self._late].deadline <= now:
            late.append(self._in_flight[self._late])
            self._late += 1
        if late:
            self.give_up(None)
        for each in late:
            each.answer(redis.exceptions.TimeoutError(_TOO_LATE))
        if self._is_closed:
            return
        if self._late < len(self._in_flight):
            self._timer = self._loop.call_at(self._in_flight[self._late].deadline, self._expire)
        elif self._is_given_up:
            self.fail(redis.exceptions.ConnectionError("given up"))

    def give_up(self, answer: BaseException | None) -> None:
        """Send nothing more here; commands that were sent still get their answers."""
        self._is_given_up = True
        self._owner.give_up(self)
        turn_to_next = getattr(self._connection, "leave_isolated_primary", None)
        if turn_to_next is not None and answer is not None:
            turn_to_next(answer)
        if not self._in_flight:
            self.fail(redis.exceptions.ConnectionError("given up"))

    def fail(self, error: Exception) -> None:
        """Close the connection; whoever has no answer gets the error."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._owner.give_up(self)
        self._loop.remove_reader(self._sock.fileno())
        if self._unwritten:
            self._loop.remove_writer(self._sock.fileno())
        self._connection.disconnect()
        asked, self._in_flight = self._in_flight, deque()
        for each in asked:
            each.answer(error)
