"""A flood of wrong tokens on the running stack: its cost for the database, and that new tokens still become known."""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator

import pytest

from loadtests.started.servers import IS_EMBEDDED, Database, RedisServer
from loadtests.started.stack import Answer
from tests.acceptance.conftest import Guarded, make_guarded
from tests.acceptance.test_attacks import good_requests

FLOODERS = 6
FLOOD_SECONDS = 6.0
PROCESSES = 3  # two of web and the stream: each reads all tokens every half minute in any case


@contextlib.contextmanager
def flood(guarded: Guarded, *, clients: int = FLOODERS) -> Iterator[list[int]]:
    """Send wrong tokens in a closed loop, on kept and on new connections, so that all processes receive some."""
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

    threads = [threading.Thread(target=run, args=(number % 2 == 0,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite keeps no log of its statements")
def test_a_flood_costs_the_database_one_query_per_second(guarded: Guarded) -> None:
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
    # One query a second for all; each process also reads at its start and, in its token keeper, each half minute.
    assert 1 <= looks <= seconds + 1 + 2 * PROCESSES, f"{looks} looks in {seconds:.1f} s"


def test_a_new_token_is_known_to_all_processes_during_a_flood(guarded: Guarded) -> None:
    with flood(guarded):
        _, headers = guarded.make_token("new")
        guarded.stack.wait_for(
            lambda: guarded.stack.get("/queues", headers=headers).status == 200,
            deadline_seconds=5,
            what="the new token is known",
        )
        # By then one process has found the token and notified the others: each connection may reach any of them.
        answers = [guarded.stack.get("/queues", headers=headers).status for _ in range(30)]
    assert answers == [200] * 30


LIMIT = 5
CLIENTS = 30


@pytest.fixture(scope="module")
def limited(servers: tuple[Database, RedisServer]) -> Iterator[Guarded]:
    with make_guarded(servers, environment={"RATE_LIMIT_PER_ADDRESS": str(LIMIT)}) as guarded:
        yield guarded


def test_only_the_refused_client_waits(limited: Guarded) -> None:
    """If the flood were answered at once, its next requests would keep web busy."""
    began = time.monotonic()
    with flood(limited, clients=CLIENTS) as answered, good_requests(limited) as good:
        threading.Event().wait(5)
        _, headers = limited.make_token("new")
        limited.stack.wait_for(
            lambda: limited.stack.get("/queues", headers=headers).status == 200,
            deadline_seconds=8,
            what="a token from the flood's own address is known",
        )
    seconds = time.monotonic() - began
    assert len(good.statuses) > 10
    # Each second, some are passed to Django, which may query for their tokens, and are answered at once.
    assert len(answered) < (CLIENTS + 10) * (seconds + 1)
    assert answered.count(429) > CLIENTS
    assert answered.count(401) <= LIMIT + LIMIT * seconds / 60 + 1


def test_a_refusal_is_a_problem(limited: Guarded) -> None:
    wrong = {"Authorization": "Bearer lt_x"}
    answers: list[Answer] = []

    def is_refused() -> bool:
        # On a slow machine the bucket has time to refill: one request in twelve seconds.
        answers.append(limited.stack.get("/queues", headers=wrong))
        return len(answers) > LIMIT and {answer.status for answer in answers[-2:]} == {429}

    limited.stack.wait_for(is_refused, deadline_seconds=60, what="two consecutive requests are refused")
    for answer in answers[-2:]:
        assert answer.status == 429
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["status"] == 429
        assert "without a valid token" in answer.json["detail"]
        assert 1 <= int(answer.headers["Retry-After"]) <= 60 / LIMIT + 1
    assert any(answer.headers.get("Connection") == "close" for answer in answers)
    assert limited.stack.get("/health/live", headers=wrong).status == 200
    assert limited.stack.get("/queues", headers=limited.ann).status == 200
