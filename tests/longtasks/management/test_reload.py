"""`manage.py reload` signals only the holder of the lock in its DATA_DIR, and waits only for that stack's workers."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rq.utils import utcformat

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack import child_process, up_lock
from longtasks.local_stack.procfile import PROJECT_DIR
from tests.conftest import MakeStack

HOLDER = """
import signal, sys
from pathlib import Path
from longtasks.local_stack import up_lock
signal.signal(signal.SIGUSR1, lambda *_: print("signalled", flush=True))
with up_lock.hold(Path(sys.argv[1])):
    print("holds", flush=True)
    while True:
        signal.pause()
"""


@pytest.fixture
def spawn() -> Generator[Callable[..., subprocess.Popen[str]], None, None]:
    """`spawn(CODE, ARGUMENT, …)`: a Python program that has printed its first line."""
    processes: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], cwd=PROJECT_DIR, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in processes:
        with process:  # closes its output
            process.kill()


def test_a_pid_that_another_program_has_got_is_not_signalled(
    stack: ProcfileStack, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    stranger = spawn("import signal; print('there', flush=True); signal.pause()")
    path = stack.directory / up_lock.FILE_NAME
    path.write_text(str(stranger.pid))
    try:
        result = stack.run_manage("reload")
    finally:
        path.unlink()
    assert (result.returncode, "nothing to reload" in result.stdout) == (1, True), result.stdout
    assert stranger.poll() is None, "another program was signalled and died"


def test_the_lock_holder_is_signalled_and_workers_of_other_machines_are_ignored(
    stack: ProcfileStack, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    holder = spawn(HOLDER, str(stack.directory))
    with stack.redis() as client:
        now = utcformat(datetime.now(UTC))
        fields = {"queues": "high,low", "state": "idle", "last_heartbeat": now, "birth": now, "rows": 0}
        client.hset("rq:worker:elsewhere-1", mapping=fields)
        client.sadd("rq:workers", "rq:worker:elsewhere-1")

        result = stack.run_manage("reload", "--timeout", "3")

        client.srem("rq:workers", "rq:worker:elsewhere-1")
        client.delete("rq:worker:elsewhere-1")
    assert result.returncode == 0, result.stdout
    assert f"`make up` (process {holder.pid}) reloads" in result.stdout
    assert "0 old workers" in result.stdout
    assert holder.stdout is not None
    assert holder.stdout.readline() == "signalled\n"


def test_the_lock_has_one_holder_and_ends_with_its_process(
    tmp_path: Path, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    holder = spawn(HOLDER, str(tmp_path))
    assert up_lock.find_holder(tmp_path) == holder.pid
    with pytest.raises(up_lock.LockError, match="another `make up` runs on"), up_lock.hold(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / up_lock.FILE_NAME).read_text().startswith(f"{holder.pid} ")
    assert up_lock.find_holder(tmp_path) is None
    assert up_lock.signal_holder(tmp_path, signal.SIGUSR1) is None


def test_reload_waits_for_a_holder_that_has_not_written_its_pid(tmp_path: Path) -> None:
    path = tmp_path / up_lock.FILE_NAME
    with path.open("w+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        read_text = Path.read_text
        texts = iter(["", "", None])

        def read(self: Path, **options: Any) -> str:
            if next(texts, None) is None:
                file.seek(0)
                file.write(f"{os.getpid()} {up_lock._read_namespace()}\n")
                file.flush()
            return read_text(self, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "read_text", read)
            assert up_lock.find_holder(tmp_path) == os.getpid()


@pytest.mark.skipif(not up_lock.NAMESPACE.exists(), reason="no pid namespaces")
def test_a_holder_in_another_container_is_not_found_by_its_pid(
    tmp_path: Path, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    spawn(HOLDER, str(tmp_path))
    for content, said in (
        (f"{os.getpid()} pid:[1]\n", "another container"),
        ("what\n", "names no process"),
        ("", "names no process"),
    ):
        (tmp_path / up_lock.FILE_NAME).write_text(content)
        with pytest.raises(up_lock.LockError, match=said):
            up_lock.signal_holder(tmp_path, signal.SIGKILL)


def test_a_process_is_identified_by_pid_and_start_time() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            [found] = child_process.list_descendants(pid=os.getpid(), arguments=["sleep"])
            assert (found.pid, found.is_alive()) == (process.pid, True)
            assert not child_process.ProcessIdentity(process.pid, "1").is_alive()
        finally:
            process.kill()
        child_process.wait_until(lambda: not found.is_alive(), deadline_seconds=10)
        assert not found.is_alive()  # a zombie counts as ended


@pytest.mark.slow
def test_make_up_replaces_its_own_workers(make_stack: MakeStack) -> None:
    stack = make_stack(workers=2)
    for role in ("worker", "mirror", "web"):
        stack.stop_role(role)
    stack.start_role("other_worker", command="python manage.py workers 1")
    stack.start_role("up", command="python manage.py up")
    stack.wait_for(lambda: up_lock.find_holder(stack.directory), deadline_seconds=60, what="make up serves")

    def list_workers(role: str) -> list[child_process.ProcessIdentity]:
        return child_process.list_descendants(pid=stack.parent_pid(role), arguments=["worker"])

    stack.wait_for(lambda: len(list_workers("up")) == 2, deadline_seconds=30, what="two workers")
    stack.wait_for(lambda: len(stack.redis().smembers("rq:workers")) == 3, deadline_seconds=60, what="all three run")
    before, others = list_workers("up"), list_workers("other_worker")
    began = time.monotonic()

    said = stack.manage("reload")

    assert "Reloaded: 2 old workers were replaced." in said
    assert time.monotonic() - began < 60
    assert not any(worker.is_alive() for worker in before)
    assert list_workers("other_worker") == others
    assert others[0].is_alive()
    assert not set(before) & set(list_workers("up"))
