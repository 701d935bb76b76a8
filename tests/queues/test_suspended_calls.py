"""Suspended calls: each continues with its own value, in a greenlet that is used again, and what may block has a thread."""

import asyncio
import threading
from functools import partial
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection

from tasks_app.queues import redis_connection, request_connection
from tasks_app.queues.suspended_calls import Call, CannotSuspend, is_suspendable, run_in_thread, suspend
from tests.queues.running_calls import Loop, run

CALLS = 20
ask = request_connection.shared_connection.execute_command


def test_greenlets_are_used_again(redis: Any) -> None:
    async def main() -> int:
        loop = Loop(redis_connection.get_connection, timeout_seconds=5)
        for _ in range(3):
            await loop.run(*(partial(ask, "PING") for _ in range(4)))
        loop.close()
        return len(loop.calls._idle)

    assert asyncio.run(main()) == 4


def test_a_call_that_is_suspended_holds_nobody_up_and_continues_with_its_value(redis: Any) -> None:
    waiting: list[Call] = []

    def wait(number: int) -> Any:
        ask("SET", f"before-{number}", "1")
        return suspend(waiting.append), ask("INCR", "after")

    async def main() -> Any:
        loop = Loop(redis_connection.get_connection, timeout_seconds=5)
        both = asyncio.ensure_future(loop.run(partial(wait, 0), partial(wait, 1)))
        assert await loop.run(partial(ask, "PING")) == [b"PONG"]
        while len(waiting) < 2:
            await asyncio.sleep(0)
        waiting[1].resume("one")
        waiting[0].resume(ValueError("zero"))
        results = await both
        loop.close()
        return results

    failed, result = asyncio.run(main())
    assert isinstance(failed, ValueError)
    assert result == ("one", 1)


def test_what_may_block_runs_in_a_thread_of_its_own() -> None:
    def find_thread() -> Any:
        assert is_suspendable()
        return run_in_thread(threading.get_ident), threading.get_ident()

    ((there, here),) = run(find_thread)
    assert there != here == threading.get_ident()
    assert run_in_thread(threading.get_ident) == here, "outside a loop it runs where it is called"
    (failed,) = run(lambda: run_in_thread(lambda: 1 // 0))
    assert isinstance(failed, ZeroDivisionError)


def test_the_database_can_not_be_used_in_the_loop() -> None:
    """Django's own guard: a request that meets it is run again in a thread."""
    (failed,) = run(connection.cursor)
    assert isinstance(failed, SynchronousOnlyOperation)


def test_nobody_is_suspended_outside_a_loop() -> None:
    assert not is_suspendable()
    with pytest.raises(CannotSuspend):
        suspend(lambda call: None)
