"""A thread's own connection to Redis."""

import threading
from typing import Any

from longtasks.local_stack.child_process import wait_until
from tasks_app.queues import redis_connection
from tasks_app.queues.thread_connection import ThreadConnection


def test_a_thread_has_its_own_connection_which_is_made_again_when_it_was_closed_while_idle(redis: Any) -> None:
    line = ThreadConnection(redis_connection.get_connection)
    for _ in range(2):
        number = line.execute_command("CLIENT", "ID")
        assert redis.execute_command("CLIENT", "KILL", "ID", number) == 1
        assert line.execute_command("PING") == b"PONG"


def test_a_connection_ends_with_its_thread(redis: Any) -> None:
    """A server with a thread for each request (runserver) would otherwise use up the pool."""
    line = ThreadConnection(redis_connection.get_connection)
    answers: list[Any] = []
    clients = redis.info("clients")["connected_clients"]
    for _ in range(150):  # redis-py's pool has 100
        thread = threading.Thread(target=lambda: answers.append(line.execute_command("PING")))
        thread.start()
        thread.join()
    assert answers == [b"PONG"] * 150
    assert wait_until(lambda: redis.info("clients")["connected_clients"] <= clients, deadline_seconds=10)
