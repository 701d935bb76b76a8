"""Which requests the event loop answers, which run again in a thread, and how a wait ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from greenlet import getcurrent

from longtasks.http.exchange import Answer, Environ
from longtasks.http.loop_requests import REQUEST_BYTES, LoopRequests, LoopWaits, RequestFailed
from tasks_app.queues import suspended_calls
from tasks_app.queues.request_connection import shared_connection
from tasks_app.queues.suspended_calls import Call, NeedsThread
from tasks_app.queues.thread_connection import RedisRefused

ANSWER: Answer = (200, [], b"")
Respond = Callable[[Environ], Answer]


class Redis:
    """Answers each command when `release` is called."""

    def __init__(self) -> None:
        self.waiting: list[Call] = []

    def ask(self, words: tuple[Any, ...], call: Call) -> None:
        self.waiting.append(call)

    def ask_confirmed(self, words: tuple[Any, ...], confirming: Any, call: Call) -> None:
        self.waiting.append(call)

    def run_in_thread(self, function: Callable[[], Any], call: Call) -> None:
        raise AssertionError

    def release(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call.resume(b"OK")


def query_redis() -> None:
    """As ThreadConnection does it in a suspended call."""
    call = getcurrent()
    assert call.parent is not None
    assert call.parent.switch(("PING",)) == b"OK"


async def stay() -> Any:
    await asyncio.Event().wait()


def run(test: Callable[[LoopRequests, Redis], Awaitable[None]], respond: Respond) -> None:
    async def main() -> None:
        redis = Redis()
        await asyncio.wait_for(test(LoopRequests(respond, redis), redis), 10)  # type: ignore[arg-type]

    asyncio.run(main())


def test_a_request_that_needs_a_thread_has_no_answer_here() -> None:
    def respond(environ: Environ) -> Answer:
        raise NeedsThread

    async def test(requests: LoopRequests, redis: Redis) -> None:
        assert await requests.answer({"REQUEST_METHOD": "POST"}, stay) is None

    run(test, respond)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_start_that_has_queried_redis_is_not_run_again(method: str) -> None:
    """Also if another request has used its greenlet in the meantime."""

    def respond(environ: Environ) -> Answer:
        if environ["PATH_INFO"] == "/other":
            return ANSWER
        query_redis()
        raise NeedsThread

    async def test(requests: LoopRequests, redis: Redis) -> None:
        task = asyncio.create_task(requests.answer({"REQUEST_METHOD": method, "PATH_INFO": "/"}, stay))
        while not redis.waiting:
            await asyncio.sleep(0)
        redis.release()
        assert await requests.answer({"REQUEST_METHOD": method, "PATH_INFO": "/other"}, stay) == ANSWER
        if method == "POST":
            with pytest.raises(RequestFailed, match="NeedsThread"):
                await task
        else:
            assert await task is None

    run(test, respond)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_what_a_request_raises_is_raised_and_does_not_end_the_loop(error: BaseException) -> None:
    def respond(environ: Environ) -> Answer:
        raise error

    async def test(requests: LoopRequests, redis: Redis) -> None:
        with pytest.raises(ValueError if isinstance(error, ValueError) else RequestFailed):
            await requests.answer({"REQUEST_METHOD": "GET"}, stay)

    run(test, respond)


def test_a_client_that_leaves_ends_its_wait_and_no_other() -> None:
    woken: list[str] = []

    def respond(environ: Environ) -> Answer:
        def wait(call: Call) -> None:
            call.wake_early = lambda: (woken.append(environ["PATH_INFO"]), call.resume(None))[1]

        suspended_calls.suspend(wait)
        return ANSWER

    async def test(requests: LoopRequests, redis: Redis) -> None:
        left = asyncio.Event()

        async def leave() -> Any:
            await left.wait()

        leaving = asyncio.create_task(requests.answer({"PATH_INFO": "/a", REQUEST_BYTES: 1}, leave))
        staying = asyncio.create_task(requests.answer({"PATH_INFO": "/b", REQUEST_BYTES: 1}, stay))
        await asyncio.sleep(0)
        left.set()
        assert await leaving == ANSWER
        assert (woken, staying.done()) == (["/a"], False)
        staying.cancel()

    run(test, respond)


class Connection:
    """Notes the errors that it is left for."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def ask(self, words: tuple[Any, ...], call: Call) -> None:
        raise AssertionError

    def leave(self, error: BaseException) -> None:
        self.errors.append(error)


class Confirmed:
    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers

    def ask(self, words: tuple[Any, ...], confirming: Any, asking: Any) -> None:
        asyncio.get_running_loop().call_soon(asking.resume, self.answers.pop(0))


def test_an_error_of_a_confirmed_command_reaches_the_connection_of_the_others() -> None:
    """A loop that only reads would stay with an isolated primary, which refuses no read."""
    connection, refused = Connection(), RedisRefused("NOREPLICAS Not enough good replicas to write.")

    def respond(environ: Environ) -> Answer:
        shared_connection.execute_confirmed([("WAIT", 1, 0)], "SET", "key", "value")
        return ANSWER

    async def main() -> None:
        waits = LoopWaits(connection, Confirmed([[b"OK", 1], refused]), None)  # type: ignore[arg-type]
        requests = LoopRequests(respond, waits)
        assert await requests.answer({"REQUEST_METHOD": "POST"}, stay) == ANSWER
        assert connection.errors == []
        with pytest.raises(RedisRefused):
            await requests.answer({"REQUEST_METHOD": "POST"}, stay)

    asyncio.run(main())
    assert connection.errors == [refused]
