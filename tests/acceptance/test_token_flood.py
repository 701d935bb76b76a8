"""A flood with wrong tokens on the running stack: what it costs the database, and that new tokens still become known."""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import Guarded
from tests.servers import IS_EMBEDDED

FLOODERS = 6
FLOOD_SECONDS = 6.0
PROCESSES = 3  # two of web and the stream: each reads all tokens every half minute anyway


@contextlib.contextmanager
def flood(guarded: Guarded) -> Iterator[list[int]]:
    """Wrong tokens from connections that stay and connections that do not, so to all processes."""
    stop = threading.Event()
    answered: list[int] = []

    def run(keeps_alive: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", guarded.stack.port, timeout=30)
        number = 0
        while not stop.is_set():
            number += 1
            connection.request("GET", "/queues", headers={"Authorization": f"Bearer lt_{number}"})
            response = connection.getresponse()
            response.read()
            answered.append(response.status)
            if not keeps_alive:
                connection.close()
        connection.close()

    threads = [threading.Thread(target=run, args=(number % 2 == 0,)) for number in range(FLOODERS)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite keeps no log of its statements")
def test_a_flood_costs_the_database_one_look_a_second(guarded: Guarded) -> None:
    database = guarded.stack.database
    database.query("", "SET GLOBAL log_output = 'TABLE', general_log = 1")
    try:
        began = time.monotonic()
        with flood(guarded) as answered:
            threading.Event().wait(FLOOD_SECONDS)
        seconds = time.monotonic() - began
        ((looks,),) = database.query(
            "",
            "SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE %s",
            ("SELECT `tasks_app_apitoken`.`digest`%",),
        )
    finally:
        database.query("", "SET GLOBAL general_log = 0")
        database.query("", "TRUNCATE mysql.general_log")
    assert set(answered) <= {401, 429}
    assert len(answered) > 100
    assert 1 <= looks <= seconds + 1 + PROCESSES, f"{looks} looks in {seconds:.1f} s"


def test_a_new_token_is_known_to_all_processes_while_others_flood(guarded: Guarded) -> None:
    with flood(guarded):
        _, headers = guarded.make_token("new")
        guarded.stack.wait_for(
            lambda: guarded.stack.get("/queues", headers=headers).status == 200,
            deadline_seconds=5,
            what="the new token is known",
        )
        # By then one process has found it, and told the others: each connection may go to any of them.
        answers = [guarded.stack.get("/queues", headers=headers).status for _ in range(30)]
    assert answers == [200] * 30
