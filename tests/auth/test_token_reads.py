"""One thread of one process reads the tokens for all threads and processes of a machine."""

import threading
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks_app.auth import api_tokens, token_cache
from tasks_app.models import ApiToken
from tests.api.anonymous_requests import make_token

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("limited_addresses")]


def test_the_threads_of_a_new_process_wait_for_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    known, threads = token_cache.KnownTokens(), 5
    asked: list[int] = []
    all_ask = threading.Event()

    def read(**conditions: Any) -> Any:
        asked.append(1)
        assert all_ask.wait(20)
        return ApiToken.objects.none()

    class Lock:
        """Sets `all_ask` when all threads but the reading one wait."""

        def __init__(self) -> None:
            self.lock, self.waiting = threading.Lock(), 0

        def acquire(self, *, blocking: bool) -> bool:
            self.waiting += 1
            if self.waiting == threads:
                all_ask.set()
            return self.lock.acquire(blocking=blocking)

        def release(self) -> None:
            self.lock.release()

    known._lock = Lock()  # type: ignore[assignment]
    monkeypatch.setattr(ApiToken.objects, "filter", read)
    monkeypatch.setattr(known, "_may_look", lambda now, is_told: False)
    running = [threading.Thread(target=known.find, args=("lt_x",)) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert len(asked) == 1


def test_processes_share_their_queries_and_the_tokens_found(still: Any, db: None) -> None:
    """Each KnownTokens is the memory of one process."""
    processes = [token_cache.KnownTokens() for _ in range(3)]
    make_token("first")
    for process in processes:
        process.find("lt_x")
    still(1.01)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(5):
            for process in processes:
                for number in range(20):
                    assert process.find(f"lt_{number}") is None
            still(1.01)
    assert len(queries.captured_queries) == 5
    _, secret = api_tokens.create_token(owner="ann", scope="read")
    processes[0].find("lt_x")  # makes this second's query
    for process in processes:
        assert process.find(secret) is not None
    with CaptureQueriesContext(connection) as queries:
        for process in processes:
            assert process.find("lt_y") is None
    assert queries.captured_queries == [], "the found token was published once"
