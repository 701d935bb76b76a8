"""Suspended calls on one connection to Redis: each gets its own answer, and all commands of a turn leave together."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import redis as redis_package

from tasks_app.queues import redis_connection, request_connection
from tasks_app.queues.thread_connection import UNAVAILABLE_ERRORS
from tasks_app.services import start_tasks
from tasks_app.services.start_tasks import NewTask
from tests.queues.running_calls import Loop, run

CALLS = 20
ask = request_connection.shared_connection.execute_command


def start(number: int) -> Any:
    return start_tasks.start_task(
        task=NewTask(name="upload", params={"numRecords": 1}, description=str(number))
    ).snapshot


def test_each_start_gets_its_own_answer(redis: Any) -> None:
    snapshots = run(*(partial(start, number) for number in range(CALLS)))
    assert [snapshot.description for snapshot in snapshots] == [str(number) for number in range(CALLS)]
    waiting = [task_id.decode() for task_id in redis.lrange("rq:queue:low", 0, -1)]
    assert waiting == [snapshot.id for snapshot in snapshots]
    for snapshot in snapshots:
        assert redis.hget(f"rq:job:{snapshot.id}", "description").decode() == snapshot.description


def test_all_ask_before_anyone_continues(redis: Any) -> None:
    seen: list[str] = []

    def ask_twice(number: int) -> int:
        answers = []
        for turn in ("first", "second"):
            seen.append(f"{turn} asked")
            answers.append(int(ask("INCR", f"key-{number}")))
        seen.append("done")
        return answers[-1]

    assert run(*(partial(ask_twice, number) for number in range(3))) == [2, 2, 2]
    assert seen == ["first asked"] * 3 + ["second asked"] * 3 + ["done"] * 3


def test_an_error_reaches_its_own_call_only(redis: Any) -> None:
    redis.rpush("a list", "x")
    before, wrong, after = run(*(partial(ask, "INCR", key) for key in ("one", "a list", "two")))
    assert (before, after) == (1, 1)
    assert isinstance(wrong, redis_package.exceptions.ResponseError)


def test_a_script_that_redis_has_forgotten_is_sent_again_by_each(redis: Any) -> None:
    redis.script_flush()
    snapshots = run(*(partial(start, number) for number in range(3)))
    assert redis.llen("rq:queue:low") == 3
    assert len({snapshot.id for snapshot in snapshots}) == 3


def test_a_word_that_is_none_fails_its_own_turn_and_the_next_works(redis: Any) -> None:
    def twice() -> Any:
        with pytest.raises(redis_package.exceptions.DataError):
            ask("SET", "key", object())
        return ask("PING")

    assert run(twice) == [b"PONG"]


def test_large_values_and_many_calls(redis: Any) -> None:
    value = b"x" * 3_000_000

    def store_and_load(number: int) -> bool:
        ask("SET", f"large-{number}", value)
        return bool(ask("GET", f"large-{number}") == value)

    assert run(*(partial(store_and_load, number) for number in range(5))) == [True] * 5
    assert run(*(partial(ask, "PING") for _ in range(2000))) == [b"PONG"] * 2000


def test_a_connection_that_is_lost_is_made_again(redis: Any) -> None:
    def kill() -> Any:
        number = ask("CLIENT", "ID")
        assert redis.execute_command("CLIENT", "KILL", "ID", number) == 1
        try:
            return ask("PING")
        except UNAVAILABLE_ERRORS:  # it was sent on the dying connection: nobody sends it again
            return ask("PING")

    assert run(kill) == [b"PONG"]


@contextmanager
def answering(answers: list[bytes | None]) -> Iterator[tuple[Callable[[], Any], list[bytes]]]:
    """A server with one answer for each connection: None is silence, and after any other it hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []
    kept: list[socket.socket] = []

    def serve() -> None:
        for answer in answers:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            received.append(client.recv(65536))
            if answer is None:
                kept.append(client)
                continue
            with client:
                client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    pool = redis_package.ConnectionPool(
        host="127.0.0.1", port=listener.getsockname()[1], protocol=2, driver_info=None, socket_timeout=5
    )
    try:
        yield lambda: redis_package.Redis(connection_pool=pool), received
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for client in kept:
            client.close()
        thread.join()
        pool.disconnect()


def test_what_is_no_answer_at_all_is_an_error_for_everyone() -> None:
    with answering([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as (get_client, _):
        results = run(partial(ask, "PING"), partial(ask, "PING"), get_client=get_client)
    assert all(isinstance(result, redis_package.exceptions.InvalidResponse) for result in results)


def test_whoever_has_no_answer_when_the_connection_breaks_gets_an_error_and_nothing_is_sent_twice() -> None:
    with answering([b"+first\r\n", b"+second\r\n"]) as (get_client, received):

        def again() -> Any:
            try:
                return ask("PING")
            except redis_package.exceptions.ConnectionError:
                return ask("ECHO", "again")

        assert run(partial(ask, "PING"), again, get_client=get_client) == [b"first", b"second"]
    assert [each.count(b"PING") for each in received] == [2, 0]


def test_a_redis_that_is_silent_is_a_timeout_and_the_next_command_goes_to_a_new_connection() -> None:
    with answering([None, b"+second\r\n"]) as (get_client, received):

        def again() -> Any:
            with pytest.raises(redis_package.exceptions.TimeoutError):
                ask("PING")
            return ask("ECHO", "x")

        async def main() -> tuple[list[Any], float]:
            loop = Loop(get_client, timeout_seconds=0.3)
            began = asyncio.get_running_loop().time()
            results = await loop.run(again)
            loop.close()
            return results, asyncio.get_running_loop().time() - began

        results, seconds = asyncio.run(main())
    assert results == [b"second"]
    assert 0.25 < seconds < 2
    assert len(received) == 2


def test_a_redis_that_does_not_accept_is_an_error_within_the_timeout() -> None:
    pool = redis_package.ConnectionPool(host="127.0.0.1", port=1, socket_timeout=5)
    (result,) = run(partial(ask, "PING"), get_client=lambda: redis_package.Redis(connection_pool=pool), seconds=0.5)
    assert isinstance(result, UNAVAILABLE_ERRORS)


@pytest.mark.parametrize("answer", [b"-LOADING wait\r\n", b"-READONLY no\r\n", b"-BUSY script\r\n"])
def test_a_server_that_refuses_is_left(answer: bytes) -> None:
    with answering([answer, b"+second\r\n"]) as (get_client, _):

        def again() -> Any:
            with pytest.raises(UNAVAILABLE_ERRORS):
                ask("PING")
            return ask("PING")

        assert run(again, get_client=get_client) == [b"second"]


def test_a_primary_that_refuses_a_thread_is_left(redis: Any) -> None:
    async def main() -> list[Any]:
        loop = Loop(redis_connection.get_connection, timeout_seconds=5)
        numbers = []
        for error in (ValueError("wrong"), redis_package.exceptions.ReadOnlyError("a replica"), None):
            numbers += await loop.run(partial(ask, "CLIENT", "ID"))
            if error is not None:
                loop.connection.leave(error)
        loop.close()
        return numbers

    first, second, third = asyncio.run(main())
    assert first == second != third


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the timers that are set."""

    timers = 0

    def call_at(self, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(*arguments, **options)


def test_what_waits_for_a_connection_shares_one_timer() -> None:
    """A timer for each command that sets itself again would occupy the loop while Redis hangs."""
    turns = 100
    listener = socket.create_server(("127.0.0.1", 0))  # nobody answers there, not even while redis-py connects
    pool = redis_package.ConnectionPool(host="127.0.0.1", port=listener.getsockname()[1], socket_timeout=1)

    async def main() -> int:
        loop = Loop(lambda: redis_package.Redis(connection_pool=pool), timeout_seconds=0.3)
        results = []
        for _ in range(turns):
            results.append(asyncio.ensure_future(loop.run(partial(ask, "PING"))))
            await asyncio.sleep(0)
        for result in results:
            assert isinstance((await result)[0], redis_package.exceptions.TimeoutError)
        loop.close()
        running = asyncio.get_running_loop()
        assert isinstance(running, CountingLoop)
        return running.timers

    with listener, asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert 1 <= runner.run(main()) <= turns
