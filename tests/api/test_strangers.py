"""Requests without a valid token: bounded for each address, before anything is looked up; who has one notices nothing."""

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from longtasks.http.behind_proxy import take_from_proxy
from tasks_app.api import early_refusal
from tasks_app.auth import api_tokens, token_cache, token_use
from tasks_app.http import peers
from tasks_app.models import ApiToken
from tasks_app.resilience import machine_numbers, rate_limit
from tests.api.conftest import assert_problem

pytestmark = pytest.mark.django_db
LIMIT = 5
WRONG = {"Authorization": f"Bearer {token_cache.PREFIX}{'A' * 43}"}


@pytest.fixture(autouse=True)
def _limited(settings: Any) -> Generator[None, None, None]:
    settings.API_OPEN = False
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_address=LIMIT)
    machine_numbers.clear()
    token_cache.known.forget()
    peers._trusted.cache_clear()
    yield
    peers._trusted.cache_clear()
    for thread in threading.enumerate():
        if thread.name == token_use.NOTING_THREAD:
            thread.join()


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time stands still; `still(2)`: two seconds later."""
    moved = [0.0]
    began, began_monotonic = time.time(), time.monotonic()
    monkeypatch.setattr(rate_limit.time, "time", lambda: began + moved[0])
    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: began_monotonic + moved[0])

    def move(seconds: float) -> None:
        moved[0] += seconds

    return move


def make_token(owner: str = "ann") -> dict[str, str]:
    return {"Authorization": f"Bearer {api_tokens.create_token(owner=owner, scope='write')[1]}"}


def get(headers: dict[str, str], address: str = "198.51.100.7", path: str = "/queues", **more: str) -> Any:
    return Client().get(path, headers=headers, REMOTE_ADDR=address, **more)


def statuses(count: int, *arguments: Any, **options: Any) -> list[int]:
    return [get(*arguments, **options).status_code for _ in range(count)]


def revoked() -> dict[str, str]:
    header = make_token()
    api_tokens.revoke_token(token_id=ApiToken.objects.latest("pk").pk)
    return header


SHOWING_NOTHING: dict[str, Callable[[], dict[str, str]]] = {
    "none": dict,
    "empty": lambda: {"Authorization": ""},
    "another scheme": lambda: {"Authorization": "Basic YTpi"},
    "unknown": lambda: WRONG,
}


@pytest.mark.parametrize("kind", SHOWING_NOTHING)
def test_an_address_without_a_valid_token_is_bounded(still: Any, kind: str) -> None:
    headers = SHOWING_NOTHING[kind]()
    assert statuses(LIMIT, headers) == [401] * LIMIT
    response = get(headers)
    assert "without a valid token" in assert_problem(response, 429)["detail"]
    assert response["Retry-After"] == "12"
    assert get(headers, path="/metrics").status_code == 429
    assert (
        Client().post("/tasks", b"{", content_type="x/y", headers=headers, REMOTE_ADDR="198.51.100.7").status_code
        == 429
    )
    assert get(headers, address="198.51.100.8").status_code == 401, "another address has a bucket of its own"
    still(12.01)
    assert statuses(2, headers) == [401, 429]


def test_what_needs_no_token_is_not_counted(still: Any) -> None:
    for path in ("/health/live", "/health/ready", "/schema"):
        assert 429 not in statuses(LIMIT + 3, WRONG, path=path)
    statuses(LIMIT + 1, {})
    assert get({}, path="/health/live").status_code == 200
    machine_numbers.clear()
    statuses(LIMIT + 3, {}, path="/health/ready")
    assert get({}).status_code == 401, "a load balancer's look draws on nothing"


def test_a_valid_token_neither_draws_nor_is_refused(still: Any) -> None:
    good = make_token()
    assert statuses(3 * LIMIT, good) == [200] * 3 * LIMIT
    assert statuses(LIMIT + 1, WRONG) == [401] * LIMIT + [429]
    assert statuses(3, good) == [200] * 3


def test_a_new_token_is_known_a_second_later_though_its_neighbours_flood(still: Any) -> None:
    statuses(LIMIT + 5, WRONG)
    good = make_token()
    still(1.01)
    assert get(good).status_code == 200
    # The flood takes each second's look: what it finds counts for all.
    good = make_token("bob")
    still(1.01)
    assert get(WRONG).status_code == 429
    assert get(good).status_code == 200


def test_a_flood_costs_the_machine_one_look_a_second(still: Any) -> None:
    get(WRONG)
    still(1.01)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(4):
            for number in range(50):
                get({"Authorization": f"Bearer lt_{number}"}, address=f"198.51.100.{number}")
            still(1.01)
    assert len(queries.captured_queries) == 4


def test_the_threads_of_a_process_that_begins_wait_for_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    known, threads = token_cache.KnownTokens(), 5
    asked: list[int] = []
    all_ask = threading.Event()

    def read(**conditions: Any) -> Any:
        asked.append(1)
        assert all_ask.wait(20)
        return ApiToken.objects.none()

    class Lock:
        """Tells when all threads but the one that reads wait."""

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


def test_processes_share_their_looks_and_what_they_find(still: Any, db: None) -> None:
    """Each KnownTokens is what one process has in memory."""
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
    processes[0].find("lt_x")  # it has taken this second's look
    for process in processes:
        assert process.find(secret) is not None
    with CaptureQueriesContext(connection) as queries:
        for process in processes:
            assert process.find("lt_y") is None
    assert queries.captured_queries == [], "the find was told once"


def test_a_database_that_is_away_is_not_asked_by_each_stranger(still: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    good = make_token()
    assert get(good).status_code == 200
    still(1.01)
    asked = []

    def away(*args: Any, **kwargs: Any) -> Any:
        asked.append(args)
        raise OperationalError(2003, "away")

    monkeypatch.setattr(ApiToken.objects, "filter", away)
    for number in range(8):
        get(WRONG, address=f"198.51.100.{number}")
        still(0.6)
    assert len(asked) == 1, "each look at a database that hangs would hold up the event loop"
    assert get(good).status_code == 200


def test_without_a_limit_there_is_none(still: Any, settings: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_address=0)
    assert statuses(3 * LIMIT, WRONG) == [401] * 3 * LIMIT


def test_an_open_api_bounds_wrong_tokens_only(still: Any, settings: Any) -> None:
    settings.API_OPEN = True
    assert statuses(3 * LIMIT, {}) == [200] * 3 * LIMIT
    assert statuses(LIMIT + 1, WRONG) == [401] * LIMIT + [429]


# What web's event loop refuses before Django sees it


def head(headers: dict[str, str], line: str = "GET /queues HTTP/1.1") -> bytes:
    return "\r\n".join([line, "Host: a", *(f"{name}: {value}" for name, value in headers.items()), ""]).encode()


def wait_of(headers: dict[str, str], line: str = "GET /queues HTTP/1.1", peer: str = "198.51.100.7") -> float:
    return early_refusal.find_wait_seconds(head(headers, line), peer)


def test_the_event_loop_refuses_what_django_would(still: Any, settings: Any) -> None:
    good = make_token()
    assert get(good).status_code == 200
    for headers in (WRONG, {}, {"authorization": "Basic YTpi"}, good):
        assert wait_of(headers) == 0, "the bucket is full"
    statuses(LIMIT, WRONG)
    assert wait_of(WRONG) == 0, "one a second goes on to Django, which may look for it"
    for headers in (WRONG, {}, {"AUTHORIZATION": "Basic YTpi"}, {"Authorization": good["Authorization"].lower()}):
        assert wait_of(headers) == pytest.approx(12)
        assert wait_of(headers, "POST /tasks HTTP/1.1") == pytest.approx(12)
        # They may have a ticket or a session, which Django's side reads.
        for line in ("GET /stream?ticket=x HTTP/1.1", "GET /tasks/x/stream?ticket=x HTTP/1.1"):
            assert wait_of(headers, line) == 0
        assert wait_of(headers, f"GET /tasks/{'0' * 36}?a=1 HTTP/1.1") == pytest.approx(12)
        assert wait_of(headers, peer="198.51.100.8") == 0
    assert get(WRONG)["Retry-After"] == "12"
    for headers in (good, {"authorization": good["Authorization"].replace("Bearer ", "bearer   ")}):
        assert wait_of(headers) == 0
    for line in ("GET /health/live HTTP/1.1", "GET /schema HTTP/1.1", "GET /metricsx HTTP/1.1", "POST /admin/login/ HTTP/1.1",
                 "GET /tasksx HTTP/1.1", "nonsense"):  # fmt: skip
        assert wait_of(WRONG, line) == 0, line
    assert wait_of(WRONG, "GET /metrics HTTP/1.1") == pytest.approx(12)
    settings.LONGTASKS = replace(settings.LONGTASKS, metrics_open=True)
    assert wait_of(WRONG, "GET /metrics HTTP/1.1") == 0
    still(12.01)
    assert wait_of(WRONG) == 0


def test_the_event_loop_lets_a_new_token_be_found(still: Any) -> None:
    statuses(LIMIT + 1, WRONG)
    wait_of(WRONG)
    good = make_token()
    assert wait_of(good) > 0
    still(1.01)
    assert wait_of(good) == 0
    assert get(good).status_code == 200
    with machine_numbers.locked(machine_numbers.NEWEST_TOKEN) as newest:
        newest.value += 1
    assert wait_of(WRONG) == 0, "another process has found a token"


def test_the_event_loop_believes_the_same_proxies(still: Any) -> None:
    statuses(LIMIT, WRONG)
    wait_of(WRONG)
    assert wait_of(WRONG) > 0
    assert wait_of(WRONG, peer="127.0.0.1") == 0
    assert wait_of({**WRONG, "X-Forwarded-For": "1.1.1.1, 198.51.100.7"}, peer="127.0.0.1") > 0
    assert wait_of({**WRONG, "x-forwarded-for": "8.8.8.8", "X-Forwarded-For": "198.51.100.7"}, peer="127.0.0.1") > 0
    assert wait_of({**WRONG, "X-Forwarded-For": "8.8.8.8"}, peer="198.51.100.7") > 0
    assert wait_of({**WRONG, "X-Forwarded-For": "198.51.100.7"}, peer="") > 0, "a unix socket"
    assert wait_of(WRONG, peer="") == 0


def test_the_event_loop_refuses_nobody_of_an_open_api(still: Any, settings: Any) -> None:
    statuses(LIMIT + 1, WRONG)
    wait_of(WRONG)
    settings.API_OPEN = True
    assert wait_of({}) == 0
    settings.API_OPEN = False
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_address=0)
    assert wait_of({}) == 0


# Whose address


PEERS = [
    # allowed proxies, REMOTE_ADDR, X-Forwarded-For, the address that counts
    ("127.0.0.1,::1", "198.51.100.7", None, "198.51.100.7"),
    ("127.0.0.1,::1", "198.51.100.7", "203.0.113.5", "198.51.100.7"),
    ("127.0.0.1,::1", "127.0.0.1", None, "127.0.0.1"),
    ("127.0.0.1,::1", "127.0.0.1", "203.0.113.5", "203.0.113.5"),
    ("127.0.0.1,::1", "::1", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
    ("127.0.0.1,10.0.0.0/8", "127.0.0.1", "1.1.1.1, 203.0.113.5, 10.1.2.3", "203.0.113.5"),
    ("127.0.0.1,10.0.0.0/8", "10.1.1.1", "10.1.2.3", "10.1.2.3"),
    ("127.0.0.1", "127.0.0.1", "203.0.113.5, unknown", "127.0.0.1"),
    ("127.0.0.1", "127.0.0.1", "203.0.113.5:4711", "203.0.113.5"),
    ("127.0.0.1", "127.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
    ("127.0.0.1", "127.0.0.1", '"; DROP, ,', "127.0.0.1"),
    ("127.0.0.1", "127.0.0.1", "127.0.0.1," * 5_000, "127.0.0.1"),
    ("*", "10.1.1.1", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
    ("*", "10.1.1.1", None, "10.1.1.1"),
    ("", "127.0.0.1", "203.0.113.5", "127.0.0.1"),
    ("127.0.0.1", "", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
    ("127.0.0.1", "", None, None),
    ("127.0.0.1", "", "nonsense", None),
    ("127.0.0.1", "::ffff:127.0.0.1", "203.0.113.5", "203.0.113.5"),
    ("127.0.0.1", "::ffff:198.51.100.7", "203.0.113.5", "198.51.100.7"),
    ("127.0.0.1", "fe80::1%eth0", None, "fe80::1"),
]


@pytest.mark.parametrize(("allowed", "remote", "forwarded", "expected"), PEERS)
def test_whose_address_counts(settings: Any, allowed: str, remote: str, forwarded: str | None, expected: Any) -> None:
    settings.FORWARDED_ALLOW_IPS = allowed
    meta = {"REMOTE_ADDR": remote} | ({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded is not None else {})
    assert peers.find_peer(meta) == (peers.find_peer({"REMOTE_ADDR": expected}) if expected else None)
    if expected and ":" not in expected:
        assert peers.find_peer(meta) == bytes(map(int, expected.split(".")))


SCHEMES = [
    # trusted proxies, REMOTE_ADDR, X-Forwarded-Proto, whether the client came by https
    ("127.0.0.1,::1", "127.0.0.1", "https", True),
    ("127.0.0.1,::1", "127.0.0.1", "HTTPS", True),
    ("127.0.0.1,::1", "127.0.0.1", "http", False),
    ("127.0.0.1,::1", "127.0.0.1", None, False),
    ("127.0.0.1,::1", "127.0.0.1", "", False),
    ("127.0.0.1,::1", "127.0.0.1", "https, https", True),
    ("127.0.0.1,::1", "127.0.0.1", "https, http", False),
    ("127.0.0.1,::1", "127.0.0.1", "http, https", False),
    ("127.0.0.1,::1", "127.0.0.1", "https," * 5_000, False),
    ("127.0.0.1,::1", "198.51.100.7", "https", False),
    ("172.16.0.0/12", "172.18.0.5", "https", True),
    ("172.16.0.0/12", "::ffff:172.18.0.5", "https", True),
    ("172.16.0.0/12", "127.0.0.1", "https", False),
    ("fd00::/8", "fd00::7", "https", True),
    ("*", "198.51.100.7", "https", True),
    ("", "127.0.0.1", "https", False),
    ("", "", "https", True),  # a unix socket
]


@pytest.mark.parametrize(("allowed", "remote", "said", "expected"), SCHEMES)
def test_whose_word_counts_for_https(
    settings: Any, allowed: str, remote: str, said: str | None, expected: bool
) -> None:
    settings.FORWARDED_ALLOW_IPS = allowed
    meta = {"REMOTE_ADDR": remote} | ({"HTTP_X_FORWARDED_PROTO": said} if said is not None else {})
    assert peers.is_https(meta) is expected
    environ = {**meta, "wsgi.url_scheme": "http"}
    take_from_proxy(environ)
    assert environ["wsgi.url_scheme"] == ("https" if expected else "http")


def test_trusting_everybody_is_warned_of(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.FORWARDED_ALLOW_IPS = "*"
    for _ in range(3):
        peers.is_https({"REMOTE_ADDR": "8.8.8.8", "HTTP_X_FORWARDED_PROTO": "https"})
    assert caplog.text.count("trusts whoever connects") == 1


def test_the_path_of_a_prefix_is_cut_once(settings: Any) -> None:
    settings.URL_PREFIX = "/lt"
    for path, cut in (
        ("/lt/tasks", "/tasks"), ("/tasks", "/tasks"), ("/lt", "/"), ("/lt/", "/"), ("", "/"), ("/ltx", "/ltx"),
        ("/lt/lt/x", "/lt/x"), ("//lt/x", "//lt/x"),
    ):  # fmt: skip
        environ = {"PATH_INFO": path, "wsgi.url_scheme": "http"}
        take_from_proxy(environ)
        assert (environ["PATH_INFO"], environ["SCRIPT_NAME"]) == (cut, "/lt")


def test_an_ipv6_address_counts_as_its_network(still: Any) -> None:
    assert peers.find_peer({"REMOTE_ADDR": "2001:db8:1:2:aaaa::1"}) == peers.find_peer(
        {"REMOTE_ADDR": "2001:db8:1:2::9"}
    )
    assert peers.find_peer({"REMOTE_ADDR": "2001:db8:1:3::1"}) != peers.find_peer({"REMOTE_ADDR": "2001:db8:1:2::1"})
    answers = [get(WRONG, address=f"2001:db8:1:2::{number}").status_code for number in range(LIMIT + 1)]
    assert answers == [401] * LIMIT + [429]


def test_a_header_of_the_client_buys_no_bucket(still: Any) -> None:
    answers = [get(WRONG, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}").status_code for number in range(LIMIT + 1)]
    assert answers == [401] * LIMIT + [429]
    forged = [
        get(WRONG, address="127.0.0.1", HTTP_X_FORWARDED_FOR=f"203.0.113.{number}, 198.51.100.9").status_code
        for number in range(LIMIT + 1)
    ]
    assert forged == [401] * LIMIT + [429]


def test_a_proxy_that_is_not_trusted_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    peers._warned.clear()
    for _ in range(3):
        peers.find_peer({"REMOTE_ADDR": "10.7.7.7", "HTTP_X_FORWARDED_FOR": "203.0.113.5"})
        peers.find_peer({"REMOTE_ADDR": "8.8.8.8", "HTTP_X_FORWARDED_FOR": "203.0.113.5"})
    assert [record.message.split()[0] for record in caplog.records] == ["10.7.7.7"]
    assert "FORWARDED_ALLOW_IPS" in caplog.text
    for number in range(100):
        peers.find_peer({"REMOTE_ADDR": f"10.8.0.{number}", "HTTP_X_FORWARDED_FOR": "203.0.113.5"})
    assert len(caplog.records) <= peers.HOPS


def test_nobody_outside_can_tell_who_shares_a_bucket(settings: Any) -> None:
    def bucket() -> int:
        rate_limit._key.cache_clear()
        return rate_limit.address_bucket(b"\xc6\x33\x64\x07")

    first = bucket()
    settings.SECRET_KEY = "another"
    assert bucket() != first
    rate_limit._key.cache_clear()
    assert machine_numbers.ADDRESS_BUCKETS <= first < machine_numbers.LOGIN_BUCKETS


def test_a_full_disk_leaves_buckets_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine_numbers.os, "posix_fallocate", full)
    machine_numbers._open.cache_clear()
    try:
        assert machine_numbers._open()[1] is None
        assert [bool(rate_limit.take(3, per_minute=2)) for _ in range(3)] == [False, False, True]
    finally:
        machine_numbers._open.cache_clear()
