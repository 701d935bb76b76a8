"""Blocking code in an event loop: each call runs in a greenlet, and is suspended wherever it would wait.

Owns the greenlets, which are reused (a new one for each request costs a sixth more), and what a suspended call waits for:
a command's answer, a function in a thread, or whatever `suspend` starts. Outside such a call everything blocks as usual.
Must not know Redis, HTTP or the database.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, Final, Protocol, TypeVar, cast

from greenlet import GreenletExit, getcurrent, greenlet

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
Done = Callable[[Any, BaseException | None], None]
Words = tuple[Any, ...]  # of a command

IDLE_CALLS: Final = 256  # greenlets that are kept for the next requests


class CannotSuspend(Exception):
    """The caller does not run in an event loop, or its server has no place for one more suspended call."""


class NeedsThread(BaseException):
    """The call needs the database where the event loop would block; its server runs it again in a thread.

    Not an Exception: no handler on the way may turn it into a response.
    """


class Asking(Protocol):
    """Whoever gets an answer: an exception where there is none."""

    def resume(self, value: Any) -> None: ...


class Waits(Protocol):
    """What the event loop does for suspended calls. Each function resumes the call once, later, in the loop's thread."""

    def ask(self, words: Words, asking: Asking) -> None:
        """Send one command to Redis; resume with its answer."""

    def ask_confirmed(self, words: Words, confirming: Sequence[Words], asking: Asking) -> None:
        """Send one command to Redis, and then those that confirm it; resume with the list of their answers."""

    def run_in_thread(self, function: Callable[[], Any], call: Call) -> None:
        """Run a function in a thread; resume with its result."""


class Call(greenlet):
    """A suspended or running call; reused when it has ended."""

    calls: Calls
    has_asked = False  # Redis, which may have had an effect
    is_interrupted = False  # its client has left
    wake_early: Callable[[], None] | None = None  # set while the call waits for something that its client may end

    def resume(self, value: Any) -> None:
        """Continue the call with a value; an exception is raised in it. Only in the loop's thread, outside any call."""
        self.wake_early = None
        self.calls.step(self, self.throw(value) if isinstance(value, BaseException) else self.switch(value))

    def interrupt(self) -> None:
        """The client has left: end the wait, also one that begins later."""
        self.is_interrupted = True
        if self.wake_early is not None:
            self.wake_early()


class Gathered:
    """Gets several answers, one after the other, and passes them on as a list, or the first exception as soon as it comes."""

    __slots__ = ("_answers", "_asking", "_count")

    def __init__(self, asking: Asking, *, count: int) -> None:
        self._asking: Asking | None = asking
        self._answers: list[Any] = []
        self._count = count

    def resume(self, value: Any) -> None:
        self._answers.append(value)
        has_failed = isinstance(value, BaseException)
        if self._asking is not None and (has_failed or len(self._answers) == self._count):
            asking, self._asking = self._asking, None
            asking.resume(value if has_failed else self._answers)


class Calls:
    """The calls of one event loop. All methods belong to its thread."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._idle: list[Call] = []

    def run(self, function: Callable[[Any], Any], argument: Any, done: Done) -> Call:
        """Run a function up to where it waits, and return its call; `done` gets the result or the exception."""
        if self._idle:
            call = self._idle.pop()
        else:
            call = Call(_serve_calls)
            call.calls = self
            call.switch()
        call.has_asked = call.is_interrupted = False
        self.step(call, call.switch((function, argument, done)))
        return call

    def step(self, call: Call, wish: Any) -> None:
        """Begin what a call waits for: None when it has ended."""
        if wish is None:
            if len(self._idle) < IDLE_CALLS:
                self._idle.append(call)
        elif wish.__class__ is tuple:
            call.has_asked = True
            self._waits.ask(wish, call)
        else:
            wish(call)

    def ask_reads(self, commands: Sequence[Words], call: Call) -> None:
        """Send commands that change nothing; resume with the list of their answers."""
        gathered = Gathered(call, count=len(commands))
        for words in commands:
            self._waits.ask(words, gathered)

    def ask_confirmed(self, words: Words, confirming: Sequence[Words], call: Call) -> None:
        """Send a command, and then those that confirm it; resume with the list of their answers."""
        call.has_asked = True
        self._waits.ask_confirmed(words, confirming, call)

    def run_in_thread(self, function: Callable[[], Any], call: Call) -> None:
        self._waits.run_in_thread(function, call)


def _serve_calls() -> None:
    hub = cast(greenlet, getcurrent().parent)
    job = hub.switch(None)
    while True:
        function, argument, done = job
        try:
            result = function(argument)
        except GreenletExit:  # the process ends
            raise
        except BaseException as error:
            done(None, error)
        else:
            done(result, None)
        # Nothing of the request may live until the next one.
        job = function = argument = done = result = None
        job = hub.switch(None)


def is_suspendable() -> bool:
    """Return whether the caller runs in an event loop and can be suspended."""
    return isinstance(getcurrent(), Call)


def suspend(begin: Callable[[Call], None]) -> Any:
    """Suspend this call, let `begin` arrange its `resume`, and return the value that it is resumed with.

    The call must hold no lock and no transaction: other calls of the thread continue meanwhile. Raises CannotSuspend.
    """
    call = getcurrent()
    if not isinstance(call, Call):
        raise CannotSuspend
    return cast(greenlet, call.parent).switch(begin)


def run_in_thread(function: Callable[[], Result]) -> Result:
    """Return a function's result. In an event loop it runs in a thread, because it may block; elsewhere here."""
    call = getcurrent()
    if not isinstance(call, Call):
        return function()
    context = copy_context()
    return cast(Result, suspend(lambda call: call.calls.run_in_thread(lambda: context.run(function), call)))
