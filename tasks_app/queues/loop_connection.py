"""The one pipelined connection to Redis of a process with an event loop: the commands of a turn leave together.

Owns when a command is sent, how long a request may wait for Redis, and when the connection is replaced. redis-py opens
it in a thread (TLS, Sentinels, password, database, name). No command is ever sent twice. Must not: know what a command
means, read or write a socket (`redis_link` does).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import redis

from tasks_app.queues.redis_link import Caller, Command, RedisLink

EXPIRY_SECONDS: Final = 0.01  # between two checks of the deadlines
TURN_SECONDS: Final = 0.005  # of a turn of the loop, for callers that are resumed: other requests get their share
_TOO_LATE: Final = "Redis did not answer in time"
_CLOSED: Final = "the process ends"


class LoopConnection:
    """Commands of one event loop, in their order. All methods belong to the loop's thread."""

    def __init__(self, get_client: Callable[[], redis.Redis[Any]], *, timeout_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._get_client, self._timeout_seconds = get_client, timeout_seconds
        self._connector = ThreadPoolExecutor(1, thread_name_prefix="redis-connect")
        self._unsent: deque[Command] = deque()
        self._waiting: deque[Command] = deque()  # unsent and sent ones, and those that were answered out of turn
        self._answered: deque[tuple[Caller, Any]] = deque()
        self._link: RedisLink | None = None
        self._is_connecting = self._is_closed = False
        self._is_flush_due = self._is_resume_due = self._is_expiry_due = False

    def send_command(self, arguments: tuple[Any, ...], caller: Caller) -> None:
        """Send a command at the end of this turn of the loop; resume the caller with its reply or its error.

        A caller without a deadline gets one: `timeout_seconds` from now, for this command and its next ones. A caller that
        gets no reply until then is resumed with one of UNAVAILABLE_ERRORS.
        """
        if caller.deadline is None:
            caller.deadline = self._loop.time() + self._timeout_seconds
        command = Command(arguments, caller, caller.deadline)
        while self._waiting and self._waiting[0].caller is None:
            self._waiting.popleft()
        self._waiting.append(command)
        self._unsent.append(command)
        self._schedule_expiry(command.deadline)
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def connect(self) -> None:
        """Connect now, so that the first request does not wait for it."""
        if self._link is None and not self._is_connecting and not self._is_closed:
            self._is_connecting = True
            future = self._loop.run_in_executor(self._connector, self._open)
            future.add_done_callback(self._on_connected)

    def close(self) -> None:
        """Close the connection; every waiting caller gets a ConnectionError."""
        self._is_closed = True
        if self._link is not None:
            self._link.fail(redis.exceptions.ConnectionError(_CLOSED))
        self._unsent.clear()
        self._fail(list(self._waiting), redis.exceptions.ConnectionError(_CLOSED))
        self._connector.shutdown(wait=False)
        while self._answered:
            self.resume_callers()

    # For the link

    def answer(self, command: Command, reply: Any) -> None:
        """Note a reply or an error for the command's caller, unless its deadline has passed."""
        caller, command.caller = command.caller, None
        if caller is not None:
            self._answered.append((caller, reply))

    def resume_callers(self) -> None:
        """Resume callers for a part of this turn; the others follow in the next turns, after what has arrived meanwhile."""
        until = time.perf_counter() + TURN_SECONDS
        while self._answered:
            caller, reply = self._answered.popleft()
            caller.resume(reply)
            if time.perf_counter() >= until:
                break
        if self._answered and not self._is_resume_due:
            self._is_resume_due = True
            self._loop.call_soon(self._resume_next)

    def drop(self, link: RedisLink) -> None:
        """Send no further command on a link: a new connection may reach another server."""
        if self._link is link:
            self._link = None

    # Callbacks of the loop

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._is_closed:
            self._fail_unsent(redis.exceptions.ConnectionError(_CLOSED))
        elif self._link is None:
            self.connect()
        else:
            # A command whose caller was refused must not be executed.
            commands = [command for command in self._unsent if command.caller is not None]
            self._unsent.clear()
            self._link.send(commands)
        self.resume_callers()

    def _resume_next(self) -> None:
        self._is_resume_due = False
        self.resume_callers()

    def _schedule_expiry(self, deadline: float) -> None:
        if not self._is_expiry_due:
            self._is_expiry_due = True
            self._loop.call_at(max(deadline, self._loop.time() + EXPIRY_SECONDS), self._expire)

    def _expire(self) -> None:
        """Refuse the callers whose deadline has passed. A link that did not answer one of them gets no further command."""
        self._is_expiry_due = False
        now = self._loop.time()
        late = [command for command in self._waiting if command.deadline <= now]
        links = {command.link for command in late if command.caller is not None and command.link is not None}
        self._fail(late, redis.exceptions.TimeoutError(_TOO_LATE))
        for link in links:
            link.give_up()
        self._waiting = deque(command for command in self._waiting if command.caller is not None)
        if self._waiting:
            self._schedule_expiry(min(command.deadline for command in self._waiting))
        self.resume_callers()

    # Connecting

    def _open(self) -> tuple[Any, Any]:
        """Return a pool and an open connection of it. Runs in the connector's thread."""
        pool = self._get_client().connection_pool
        return pool, pool.get_connection()

    def _on_connected(self, future: asyncio.Future[tuple[Any, Any]]) -> None:
        self._is_connecting = False
        try:
            pool, connection = future.result()
            link = RedisLink(self, self._loop, pool, connection)
        except redis.exceptions.TimeoutError:
            # A Redis that hangs. Those who have time left wait for the next attempt: it may continue at any moment.
            self._unsent = deque(command for command in self._unsent if command.caller is not None)
            if self._unsent:
                self.connect()
        except Exception as error:
            self._fail_unsent(error)
            self.resume_callers()
        else:
            if self._is_closed:
                link.fail(redis.exceptions.ConnectionError(_CLOSED))
                return
            self._link = link
            if self._unsent:
                self._flush()

    def _fail_unsent(self, error: Exception) -> None:
        commands, self._unsent = self._unsent, deque()
        self._fail(commands, error)

    def _fail(self, commands: deque[Command] | list[Command], error: Exception) -> None:
        for command in commands:
            self.answer(command, error)
