"""Child processes end with their parent, are all found, and foreign processes are left alone."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from longtasks.local_stack import child_process

WAIT = [sys.executable, "-c", "import signal; signal.pause()"]
DEAF = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\nwhile True: signal.pause()",
]


_spawned: "list[subprocess.Popen[bytes]]" = []


@pytest.fixture
def mark() -> Generator[str, None, None]:
    value = uuid.uuid4().hex
    yield value
    child_process.kill_marked(mark=value)
    while _spawned:
        with _spawned.pop():  # waits for the process and closes its pipe
            pass


def spawn(command: list[str], mark: str, output: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, child_process.MARK: mark}
    process = child_process.spawn(command=command, environment=environment, output=output, directory=Path.cwd())
    _spawned.append(process)
    return process


def test_a_child_ends_when_its_parent_is_killed(mark: str) -> None:
    program = (
        "import os, pathlib, signal, subprocess, sys\n"
        "from longtasks.local_stack import child_process\n"
        "child_process.spawn(command=[sys.executable, '-c', 'import signal; signal.pause()'], environment=os.environ,"
        " output=subprocess.DEVNULL, directory=pathlib.Path.cwd())\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    parent = spawn([sys.executable, "-c", program], mark, subprocess.PIPE)
    assert parent.stdout
    assert parent.stdout.readline() == b"ready\n"
    assert len(child_process.marked_pids(mark=mark)) == 2

    parent.kill()
    parent.wait()

    assert child_process.wait_until(lambda: not child_process.marked_pids(mark=mark), deadline_seconds=5)


def test_a_child_outlives_the_thread_that_spawned_it(mark: str) -> None:
    started: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=lambda: started.append(spawn(WAIT, mark)))
    thread.start()
    thread.join()

    # It would end at once, and wait() returns when it ends: half a second is enough.
    with pytest.raises(subprocess.TimeoutExpired):
        started[0].wait(timeout=0.5)


def test_stop_terminates_first_and_kills_after_the_grace_period(mark: str) -> None:
    assert child_process.stop(process=spawn(WAIT, mark), grace_seconds=5) == -signal.SIGTERM
    deaf = spawn(DEAF, mark, subprocess.PIPE)
    assert deaf.stdout
    assert deaf.stdout.readline() == b"deaf\n"
    assert child_process.stop(process=deaf, grace_seconds=0.2) == -signal.SIGKILL


def test_stop_ends_a_paused_process(mark: str) -> None:
    paused = spawn(WAIT, mark)
    paused.send_signal(signal.SIGSTOP)
    assert child_process.stop(process=paused, grace_seconds=5) == -signal.SIGTERM


def test_a_descendant_in_a_session_of_its_own_is_found(mark: str) -> None:
    program = f"import subprocess; subprocess.Popen({WAIT!r}, start_new_session=True); print('ready', flush=True)"
    parent = spawn([sys.executable, "-c", program], mark, subprocess.PIPE)
    assert parent.stdout
    assert parent.stdout.readline() == b"ready\n"
    parent.wait()

    assert len(child_process.marked_pids(mark=mark)) == 1
    child_process.kill_marked(mark=mark)
    assert child_process.marked_pids(mark=mark) == []


def test_another_mark_is_not_touched(mark: str) -> None:
    stranger = spawn(WAIT, mark)
    child_process.kill_marked(mark=uuid.uuid4().hex)
    assert stranger.poll() is None
