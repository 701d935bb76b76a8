"""longtasks/holding_worker.py: a bounded number of requests is held, and each is resumed exactly once."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from longtasks import holding_worker
from longtasks.holding_worker import HoldingWorker

PLACES = 3


class Subscriber:
    """Records its calls."""

    def __init__(self) -> None:
        self.watched: list[Any] = []
        self.dropped: list[Any] = []

    def watch(self, watch: Any) -> None:
        self.watched.append(watch)

    def drop(self, watch: Any) -> None:
        self.dropped.append(watch)


@pytest.fixture
def worker() -> Iterator[HoldingWorker]:
    """A worker without a listening socket."""
    worker = HoldingWorker.__new__(HoldingWorker)
    worker.alive = True
    worker.poller = selectors.DefaultSelector()
    worker.method_queue = SimpleNamespace(defer=lambda call, *arguments: call(*arguments))
    worker.keepalived_conns, worker.pending_conns, worker.closing_conns = deque(), deque(), deque()
    worker._held_back, worker._held, worker._woken = deque(), set(), deque()
    worker._held_bytes, worker._places, worker._sweeps_after = 0, PLACES, 0.0
    worker._watcher = Subscriber()
    worker._make_watch = lambda task_id, deadline, notify: SimpleNamespace(
        task_id=task_id, deadline=deadline, notify=notify
    )
    yield worker
    worker.poller.close()
    for sock in Client.sockets:
        sock.close()
    Client.sockets.clear()


class Client:
    """A connection and the client's end of it."""

    sockets: ClassVar[list[socket.socket]] = []  # of all clients of a test

    def __init__(self, request_bytes: int = 100) -> None:
        self.sock, self.theirs = socket.socketpair()
        self.sockets += (self.sock, self.theirs)
        self.sock.setblocking(False)
        self.request_bytes = request_bytes


def hold(worker: HoldingWorker, client: Client, *, name: str = "call", seconds: float = 50) -> bool:
    return worker.hold(client, name, SimpleNamespace(task_id="t", deadline=time.monotonic() + seconds))  # type: ignore[arg-type]


def dispatch(worker: HoldingWorker) -> None:
    for key, _ in worker.poller.select(0):
        key.data(key.fileobj)


def test_the_number_of_held_requests_is_bounded_and_places_are_reused(worker: HoldingWorker) -> None:
    assert [hold(worker, Client()) for _ in range(PLACES + 1)] == [True] * PLACES + [False]
    worker._watcher.watched[0].notify("a snapshot")
    assert list(worker._woken) == [("call", "a snapshot")]
    assert hold(worker, Client())
    assert len(worker.poller.get_map()) == PLACES


def test_large_requests_are_held_up_to_a_bound(worker: HoldingWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding_worker, "HELD_BYTES", 1000)
    assert [hold(worker, Client(600)), hold(worker, Client(600)), hold(worker, Client(400))] == [True, False, True]
    worker._watcher.watched[0].notify(None)
    assert hold(worker, Client(600))


def test_a_stopping_worker_holds_no_request_and_answers_all(worker: HoldingWorker) -> None:
    assert hold(worker, Client(), name="first")
    worker.alive = False
    assert not hold(worker, Client())
    worker._cap_keepalive(0)
    assert list(worker._woken) == [("first", None)]
    assert worker._watcher.dropped == worker._watcher.watched


def test_a_disconnected_client_wakes_its_request_once(worker: HoldingWorker) -> None:
    client = Client()
    assert hold(worker, client)
    client.theirs.close()
    dispatch(worker)
    worker._watcher.watched[0].notify("an end that comes too late")
    assert list(worker._woken) == [("call", None)]


def test_pipelined_bytes_are_not_read_and_wake_the_loop_once(worker: HoldingWorker) -> None:
    client = Client()
    assert hold(worker, client)
    client.theirs.sendall(b"GET /")
    dispatch(worker)
    assert worker.poller.select(0) == []
    assert not worker._woken
    worker._watcher.watched[0].notify("a snapshot")
    assert list(worker._woken) == [("call", "a snapshot")]
    assert client.sock.recv(100) == b"GET /"


def test_a_deadline_holds_while_the_watcher_waits_for_redis(
    worker: HoldingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hold(worker, Client(), name="late", seconds=-1)
    assert hold(worker, Client(), name="in time")
    worker.murder_pending()
    assert list(worker._woken) == [("late", None)]
