"""The process monitor reports CPU, memory, restarts, version and last exit on a real stack with killed processes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import pytest

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import ALL_ROLES, ProcfileStack
from settings.env import ROOT
from tasks_app.process_monitor import reports
from tasks_app.process_monitor.code_version import read_code_version
from tests.conftest import MakeStack

pytestmark = pytest.mark.slow
JUNK: tuple[bytes, ...] = (
    b"",
    b"1",
    b"x {}",
    b"9999999999999999 {}",
    b"1 [1]",
    b"1 " + b"[" * 500,
    b"1 {" + b" " * 2000 + b"}",
    b'1 {"host": 1}',
    b"\xff\x00",
)


@pytest.fixture(scope="module")
def monitored(servers: tuple[Database, RedisServer]) -> Generator[ProcfileStack, None, None]:
    stack = ProcfileStack(
        database=servers[0], redis_server=servers[1], roles=ALL_ROLES, environment={"METRICS_OPEN": "1"}
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


def look(stack: ProcfileStack) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the command's output by kind and slot."""
    found = json.loads(stack.manage("processes", "--json"))["processes"]
    return {(each["kind"], each["slot"]): each for each in found}


def entries(stack: ProcfileStack) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the same without starting a command, which takes a second."""
    with stack.redis() as client:
        found = reports.list_processes(client)
    return {(each.entry.kind, each.entry.slot): {"pid": each.entry.pid, "restarts": each.entry.restarts,
            "last_exit": each.entry.last_exit, "silent_seconds": each.silent_seconds} for each in found}  # fmt: skip


def wait_until_whole(stack: ProcfileStack) -> None:
    whole = {("web", 0), ("web-worker", 0), ("web-worker", 1), ("workers", 0), ("worker", 0), ("worker", 1),
             ("mirror", 0), ("webhooks", 0)}  # fmt: skip
    stack.wait_for(lambda: set(entries(stack)) == whole, deadline_seconds=40, what=lambda: f"all: {entries(stack)}")


def metric(stack: ProcfileStack, name: str, kind: str, slot: int) -> tuple[str, float]:
    """Return the labels and the value of a metric of one process."""
    text = stack.get("/metrics").body.decode()
    found = re.search(rf'^{name}{{(host="[^"]+",kind="{kind}",slot="{slot}"[^}}]*)}} (\S+)$', text, re.MULTILINE)
    assert found, text
    return found[1], float(found[2])


def test_every_process_is_listed_with_its_resources(monitored: ProcfileStack) -> None:
    wait_until_whole(monitored)
    seen = look(monitored)
    assert {each["version"] for each in seen.values()} == {read_code_version()}
    assert all(each["rss_bytes"] > 2**20 and each["cpu_percent"] >= 0 for each in seen.values())
    assert seen["web", 0]["pid"] == monitored.parent_pid("web")
    assert {each["pid"] for (kind, _), each in seen.items() if kind == "worker"} <= set(monitored.child_pids("worker"))
    _, started = metric(monitored, "longtasks_process_start_time_seconds", "mirror", 0)
    assert started > 1e9
    assert f'version="{read_code_version()}"' in metric(monitored, "longtasks_process_info", "webhooks", 0)[0]
    assert metric(monitored, "longtasks_process_resident_memory_bytes", "web-worker", 1)[1] > 2**20
    table = monitored.manage("processes")
    for kind in reports.KINDS:
        assert f"{kind} 0" in table


@pytest.mark.parametrize("kind", ["worker", "web-worker"])
def test_a_killed_child_is_a_restart_with_its_signal(monitored: ProcfileStack, kind: str) -> None:
    wait_until_whole(monitored)
    before = entries(monitored)
    victim = before[kind, 1]["pid"]
    assert victim in monitored.child_pids("worker" if kind == "worker" else "web")
    os.kill(victim, signal.SIGKILL)

    def followed() -> bool:
        now = entries(monitored).get((kind, 1), {"pid": victim})
        return now["pid"] != victim

    monitored.wait_for(followed, deadline_seconds=40, what=lambda: f"a successor: {entries(monitored)}")
    after = look(monitored)[kind, 1]
    assert (after["restarts"], after["last_exit"]) == (before[kind, 1]["restarts"] + 1, "SIGKILL")
    assert entries(monitored)[kind, 0] == before[kind, 0] | {
        "silent_seconds": entries(monitored)[kind, 0]["silent_seconds"]
    }
    assert metric(monitored, "longtasks_process_restarts_total", kind, 1)[1] == after["restarts"]


def test_a_killed_parent_is_a_restart_and_a_stopped_one_is_not(monitored: ProcfileStack) -> None:
    wait_until_whole(monitored)
    before = entries(monitored)["mirror", 0]
    monitored.kill_role("mirror")
    monitored.start_role("mirror")
    monitored.wait_for(
        lambda: entries(monitored).get(("mirror", 0), before)["pid"] != before["pid"],
        deadline_seconds=40,
        what="a successor",
    )
    after = entries(monitored)["mirror", 0]
    assert (after["restarts"], after["last_exit"]) == (before["restarts"] + 1, "unknown")
    for role in ("mirror", "worker", "webhooks"):
        monitored.stop_role(role)
    monitored.wait_for(
        lambda: not {"mirror", "workers", "worker", "webhooks"} & {kind for kind, _ in entries(monitored)},
        deadline_seconds=5,
        what=lambda: f"they are gone at once: {entries(monitored)}",
    )
    for role in ("mirror", "worker", "webhooks"):
        monitored.start_role(role)
    wait_until_whole(monitored)
    assert entries(monitored)["mirror", 0]["restarts"] == 0


def test_junk_breaks_neither_command_nor_metrics(monitored: ProcfileStack) -> None:
    wait_until_whole(monitored)
    with monitored.redis() as client:
        good = client.hget(reports.KEY, next(iter(client.hkeys(reports.KEY))))
        for number, text in enumerate((*JUNK, good)):
            client.hset(reports.KEY, f"mirror:{1 + number}:junk", text)
            client.hset(reports.KEY, b"\xff" * (1 + number), text)
        try:
            assert {slot for kind, slot in look(monitored) if kind == "mirror"} == {0}
            assert "junk" not in monitored.get("/metrics").body.decode()
            reports.remove_old(client)
            assert not [name for name in client.hkeys(reports.KEY) if b"junk" in name or b"\xff" in name]
            client.delete(reports.KEY)
            client.set(reports.KEY, "no hash at all")
            assert look(monitored) == {}
            assert monitored.get("/metrics").status == 200
        finally:
            client.delete(reports.KEY)
    wait_until_whole(monitored)


def test_watch_shows_the_death_of_a_worker_while_it_runs(monitored: ProcfileStack) -> None:
    wait_until_whole(monitored)
    command = [sys.executable, "manage.py", "processes", "--watch"]
    with subprocess.Popen(
        command, env=monitored.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as watcher:
        assert watcher.stdout
        first = next(line for line in watcher.stdout if " worker 0 " in line)
        victim = entries(monitored)["worker", 0]["pid"]
        assert str(victim) in first
        os.kill(victim, signal.SIGKILL)
        seen = next(line for line in watcher.stdout if " worker 0 " in line and str(victim) not in line)
        assert "SIGKILL" in seen
        watcher.send_signal(signal.SIGINT)
        watcher.stdout.read()
        assert watcher.wait(timeout=20) == 0


def test_reporting_goes_on_when_redis_is_back(make_stack: MakeStack, servers: tuple[Database, RedisServer]) -> None:
    stack = make_stack(workers=1, environment={"WEB_WORKERS": "1"})
    whole = {("web", 0), ("web-worker", 0), ("workers", 0), ("worker", 0), ("mirror", 0)}
    stack.wait_for(lambda: set(entries(stack)) == whole, deadline_seconds=40, what="all report")
    with stack.redis() as client:  # a process that is still starting needs Redis
        stack.wait_for(lambda: client.scard("rq:workers") == 1, deadline_seconds=40, what="the worker works")
    before = entries(stack)
    servers[1].stop()
    try:
        asked = stack.run_manage("processes")
        assert asked.returncode == 6, asked.stdout
    finally:
        servers[1].start()
    with stack.redis() as client:
        client.delete(reports.KEY)
    stack.wait_for(lambda: set(entries(stack)) == whole, deadline_seconds=60, what="all report again")
    assert {key: each["pid"] for key, each in entries(stack).items()} == {
        key: each["pid"] for key, each in before.items()
    }
