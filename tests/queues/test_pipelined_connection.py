"""Concurrent calls on one connection to Redis: each gets its own answer, and their commands are sent together."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import redis as redis_package

from tasks_app.queues import redis_connection, request_connection
from tasks_app.queues.pipelined_connection import UNAVAILABLE_ERRORS, CannotPause, Paused, PipelinedConnection, pause
from tasks_app.read_model import task_queries
from tasks_app.services import start_tasks
from tasks_app.services.start_tasks import NewTask

CALLS = 20


def start(number: int) -> Any:
    return start_tasks.start_task(
        task=NewTask(name="upload", params={"numRecords": 1}, description=str(number))
    ).snapshot


def test_each_start_gets_its_own_answer(redis: Any) -> None:
    snapshots = request_connection.run_concurrently([partial(start, number) for number in range(CALLS)])
    assert [snapshot.description for snapshot in snapshots] == [str(number) for number in range(CALLS)]
    waiting = [task_id.decode() for task_id in redis.lrange("rq:queue:low", 0, -1)]
    assert waiting == [snapshot.id for snapshot in snapshots]
    for snapshot in snapshots:
        assert redis.hget(f"rq:job:{snapshot.id}", "description").decode() == snapshot.description


@pytest.mark.django_db
def test_each_reader_gets_its_own_task(redis: Any) -> None:
    ids = [start(number).id for number in range(CALLS)]
    shown = request_connection.run_concurrently([partial(task_queries.get_task, task_id=task_id) for task_id in ids])
    assert [snapshot.id for snapshot in shown] == ids


def test_all_calls_send_before_any_continues(redis: Any) -> None:
    line = PipelinedConnection(redis_connection.get_connection)
    seen: list[str] = []

    def ask_twice(number: int) -> int:
        answers = []
        for turn in ("first", "second"):
            seen.append(f"{turn} asked")
            answers.append(int(line.execute_command("INCR", f"key-{number}")))
        seen.append("done")
        return answers[-1]

    assert line.run_concurrently([partial(ask_twice, number) for number in range(3)]) == [2, 2, 2]
    # A call that continued after the first answer would send again before another has its second.
    assert seen == ["first asked"] * 3 + ["second asked"] * 3 + ["done"] * 3


def test_an_error_reaches_its_own_call_only(redis: Any) -> None:
    line = PipelinedConnection(redis_connection.get_connection)
    redis.rpush("a list", "x")

    def ask(key: str) -> Any:
        try:
            return line.execute_command("INCR", key)
        except redis_package.exceptions.ResponseError as error:
            return str(error)

    before, wrong, after = line.run_concurrently([partial(ask, key) for key in ("one", "a list", "two")])
    assert (before, after) == (1, 1)
    assert wrong.startswith("WRONGTYPE")
    assert line.breaks == 0


def test_each_call_sends_a_forgotten_script_again(redis: Any) -> None:
    redis.script_flush()
    snapshots = request_connection.run_concurrently([partial(start, number) for number in range(3)])
    assert redis.llen("rq:queue:low") == 3
    assert len({snapshot.id for snapshot in snapshots}) == 3


def test_an_exception_of_a_call_is_raised_when_all_have_ended(redis: Any) -> None:
    line = PipelinedConnection(redis_connection.get_connection)
    ended = []

    def fail() -> None:
        line.execute_command("PING")
        raise ZeroDivisionError

    def go_on() -> None:
        line.execute_command("PING")
        line.execute_command("PING")
        ended.append(True)

    with pytest.raises(ZeroDivisionError):
        line.run_concurrently([fail, go_on])
    assert ended == [True]
    assert line.run_concurrently([partial(line.execute_command, "PING")]) == [b"PONG"]


def test_a_connection_closed_while_idle_is_reopened(redis: Any) -> None:
    line = PipelinedConnection(redis_connection.get_connection)
    for _ in range(2):
        number = line.execute_command("CLIENT", "ID")
        assert redis.execute_command("CLIENT", "KILL", "ID", number) == 1
        assert line.execute_command("PING") == b"PONG"


def test_an_unreadable_answer_fails_every_pending_call() -> None:
    with answering_once(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, _):
        pool = redis_package.ConnectionPool(host="127.0.0.1", port=port, protocol=2, driver_info=None, socket_timeout=5)
        line = PipelinedConnection(lambda: redis_package.Redis(connection_pool=pool))

        def ask() -> bool:
            try:
                line.execute_command("PING")
            except redis_package.exceptions.RedisError:
                return True
            return False

        assert line.run_concurrently([ask, ask]) == [True, True]
        pool.disconnect()


@contextmanager
def answering_once(answer: bytes = b"+first\r\n") -> Iterator[tuple[int, Callable[[], int]]]:
    """A server that answers the first command of each connection and closes it; yields its port and its number of calls."""
    listener = socket.create_server(("127.0.0.1", 0))
    called: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                called.append(client.recv(65536))
                client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], lambda: len(called)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_broken_connection_fails_the_calls_without_an_answer() -> None:
    with answering_once() as (port, count_calls):
        pool = redis_package.ConnectionPool(host="127.0.0.1", port=port, protocol=2, driver_info=None, socket_timeout=5)
        client = redis_package.Redis(connection_pool=pool)
        line = PipelinedConnection(lambda: client)

        def ask() -> Any:
            try:
                return line.execute_command("PING")
            except UNAVAILABLE_ERRORS as error:
                return type(error)

        assert line.run_concurrently([ask, ask, ask]) == [
            b"first",
            redis_package.exceptions.ConnectionError,
            redis_package.exceptions.ConnectionError,
        ]
        assert (line.breaks, count_calls()) == (1, 1)  # nothing was sent twice
        assert line.run_concurrently([ask]) == [b"first"]
        client.close()
        pool.disconnect()


def test_a_paused_call_does_not_delay_others_and_continues_when_resumed(redis: Any) -> None:
    line = PipelinedConnection(redis_connection.get_connection)
    paused: list[tuple[int, Paused, Any]] = []
    ended: list[Any] = []

    def wait(number: int) -> None:
        line.execute_command("SET", f"before-{number}", "1")
        resumed_with = pause(f"reason {number}")
        ended.append((number, resumed_with, line.execute_command("INCR", "after")))

    def keep(index: int, call: Paused, reason: Any) -> bool:
        paused.append((index, call, reason))
        return True

    calls = [partial(wait, 0), partial(line.execute_command, "PING"), partial(wait, 2)]
    assert line.run_concurrently(calls, on_pause=keep) == [None, b"PONG", None]
    assert [(index, reason) for index, _, reason in paused] == [(0, "reason 0"), (2, "reason 2")]
    assert line.run_concurrently([partial(line.execute_command, "PING")]) == [b"PONG"]
    assert ended == []
    line.resume([(call, f"resumed {index}") for index, call, _ in reversed(paused)])
    assert ended == [(2, "resumed 2", 1), (0, "resumed 0", 2)]


def test_an_exception_of_a_resumed_call_reaches_its_resumer(redis: Any) -> None:
    line = PipelinedConnection(redis_connection.get_connection)
    paused: list[Paused] = []

    def fail() -> None:
        pause("a reason")
        raise ValueError("later")

    def keep(_: int, call: Paused, reason: Any) -> bool:
        paused.append(call)
        return True

    line.run_concurrently([fail], on_pause=keep)
    with pytest.raises(ValueError, match="later"):
        line.resume([(paused[0], None)])


@pytest.mark.parametrize("on_pause", [None, lambda index, call, reason: False])
def test_a_call_that_cannot_pause_gets_an_error_and_continues(redis: Any, on_pause: Any) -> None:
    line = PipelinedConnection(redis_connection.get_connection)

    def try_to_pause() -> Any:
        with pytest.raises(CannotPause):
            pause("a reason")
        return line.execute_command("PING")

    assert line.run_concurrently([try_to_pause], on_pause=on_pause) == [b"PONG"]
    with pytest.raises(CannotPause):
        pause("outside of any run")
