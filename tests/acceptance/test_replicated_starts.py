"""Starts with REDIS_WAIT_REPLICAS in web's event loop, while Redis has its replica and while it hangs."""

import threading

import pytest

from loadtests.started.servers import IS_EMBEDDED, Database, RedisServer
from loadtests.started.stack import Answer, ProcfileStack
from tests.acceptance.web_process import run_web

pytestmark = pytest.mark.alone

CLIENTS = 30
TIMEOUT_SECONDS = 1.0
SLACK_SECONDS = 0.4  # of 30 clients that connect at once, on a busy machine; the promise itself is 0.1
TASK = {"name": "upload", "params": {"numRecords": 1}}


def start_at_once(stack: ProcfileStack) -> list[Answer]:
    answers: list[Answer] = []
    clients = [threading.Thread(target=lambda: answers.append(stack.post("/tasks", TASK))) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return answers


@pytest.mark.skipif(IS_EMBEDDED, reason="wants a Redis of its own with a replica")
def test_a_hung_redis_refuses_all_starts_in_time(servers: tuple[Database, RedisServer]) -> None:
    """Not one after the other, a timeout each."""
    server, replica = RedisServer(), RedisServer()
    environment = {"REDIS_WAIT_REPLICAS": "1", "REDIS_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS)}
    try:
        server.start()
        replica.start()
        with replica.client() as client:
            client.replicaof("127.0.0.1", server.port)
        with run_web((servers[0], server), environment=environment) as stack:

            def accepts() -> bool:
                return {answer.status for answer in start_at_once(stack)} == {201}

            stack.wait_for(accepts, deadline_seconds=30, what="the replica follows")
            server.pause()
            answers = start_at_once(stack)
            server.resume()
            assert {answer.status for answer in answers} == {503}
            assert max(answer.seconds for answer in answers) < TIMEOUT_SECONDS + SLACK_SECONDS
            stack.wait_for(accepts, deadline_seconds=30, what="tasks are accepted again")
    finally:
        server.remove()
        replica.remove()
