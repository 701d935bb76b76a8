"""The end of a web process (SIGTERM): no accepted request is lost, and it ends in time, whenever the signal arrives."""

import contextlib
import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import ProcfileStack
from tests.acceptance.web_process import run_web

CLIENTS = 8
ENDS = 3  # of the one web process during the load
END_SECONDS = 10.0  # on a busy machine; the parent would kill it after 30
SOON_SECONDS = 20.0


@pytest.fixture(scope="module")
def web(servers: tuple[Database, RedisServer]) -> Iterator[ProcfileStack]:
    """One process of web, whose successor takes over its listening socket; no worker."""
    with run_web(servers) as stack:
        yield stack


class Load:
    """Clients that start tasks on connections that they keep."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.statuses: list[int] = []
        self.errors: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        body = json.dumps({"name": "upload"})
        while not self._stop.is_set():
            try:
                connection.request("POST", "/tasks", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                self.statuses.append(response.status)  # http.client connects again where the server closes
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                connection.close()
        connection.close()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()


def find_child(web: ProcfileStack, *, other_than: int) -> int:
    """Return the new web process as soon as it is there; 0 if it is not yet."""
    parent = web.parent_pid("web")
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next((int(pid) for pid in children if int(pid) != other_than), 0)


def wait_for_child(web: ProcfileStack, *, other_than: int) -> int:
    deadline = threading.Event()
    timer = threading.Timer(SOON_SECONDS, deadline.set)
    timer.start()
    try:
        while not deadline.is_set():  # without a pause: the signal is to arrive as early as possible
            if pid := find_child(web, other_than=other_than):
                return pid
        raise AssertionError("no new process of web")
    finally:
        timer.cancel()


def has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def has_loaded(pid: int, library: str) -> bool:
    try:
        return library in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def test_a_process_that_ends_during_load_loses_no_request(web: ProcfileStack) -> None:
    before = web.redis().llen("rq:queue:low")
    [pid] = web.child_pids("web")
    assert has_loaded(pid, "uvloop"), "the signals are uvloop's"
    load = Load(web.port)
    with load.running():
        for turn in range(1, ENDS + 1):
            answered = len(load.statuses)
            web.wait_for(
                lambda answered=answered: len(load.statuses) > answered + 20, deadline_seconds=SOON_SECONDS, what="load"
            )
            os.kill(pid, signal.SIGTERM)
            web.wait_for(lambda pid=pid: has_ended(pid), deadline_seconds=END_SECONDS, what=f"end {turn}")
            pid = wait_for_child(web, other_than=pid)
    assert load.errors == []
    assert set(load.statuses) == {201}
    assert web.redis().llen("rq:queue:low") == before + len(load.statuses)
    assert "Traceback" not in web.log_path("web").read_text()


@pytest.mark.parametrize("stage", ["fork", "event loop", "application", "last hook"])
def test_a_process_ends_if_the_signal_arrives_before_its_loop_runs(web: ProcfileStack, stage: str) -> None:
    web.wait_for(lambda: web.get("/health/live").status == 200, deadline_seconds=SOON_SECONDS, what="web answers")
    [old] = web.child_pids("web")
    os.kill(old, signal.SIGTERM)
    pid = wait_for_child(web, other_than=old)
    ready = web.directory / "metrics" / f"web-{web.port}" / f"ready-{pid}"
    reached = {
        "fork": lambda: True,
        "event loop": lambda: has_loaded(pid, "uvloop"),
        "application": lambda: has_loaded(pid, "greenlet"),
        "last hook": ready.exists,
    }
    while not reached[stage]():
        assert not has_ended(pid)
    os.kill(pid, signal.SIGTERM)
    web.wait_for(lambda: has_ended(pid), deadline_seconds=END_SECONDS, what="the process ends")
    new = wait_for_child(web, other_than=pid)
    web.wait_for(lambda: web.get("/health/live").status == 200, deadline_seconds=SOON_SECONDS, what="web answers")
    assert web.child_pids("web") == [new]
    assert f"Worker (pid:{pid}) was sent" not in web.log_path("web").read_text(), "it ended by itself"
