"""A thread's own connection to Redis."""

from typing import Any

from tasks_app.queues import redis_connection
from tasks_app.queues.thread_connection import ThreadConnection


def test_a_thread_has_its_own_connection_which_is_made_again_when_it_was_closed_while_idle(redis: Any) -> None:
    line = ThreadConnection(redis_connection.get_connection)
    for _ in range(2):
        number = line.execute_command("CLIENT", "ID")
        assert redis.execute_command("CLIENT", "KILL", "ID", number) == 1
        assert line.execute_command("PING") == b"PONG"
