"""The faults of the chaos run: each harms a running stack and repairs what a supervisor would repair.

After a fault every process runs again; the oracle judges the tasks.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.child_process import wait_until

Action = Callable[[ProcfileStack, random.Random], None]
CRASH_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault; the soak leaves out those with `is_long`."""

    name: str
    action: Action
    kills_worker: bool = False  # then the time to the next committed chunk is measured
    is_long: bool = False


def worker_name(pid: int) -> str:
    """Return the name under which a worker process claims tasks."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"--name" in words:
            return words[words.index(b"--name") + 1].decode()
    return ""


def list_workers(stack: ProcfileStack) -> dict[str, int]:
    """Living worker processes by name."""
    return {name: pid for pid in stack.child_pids("worker") if (name := worker_name(pid))}


def list_busy(stack: ProcfileStack) -> list[int]:
    """Return the worker processes that are running tasks."""
    workers = list_workers(stack)
    held = stack.sql(
        "SELECT DISTINCT worker FROM tasks_app_taskcheckpoint WHERE outcome = '' AND lease_until IS NOT NULL"
    )
    return [workers[name] for (name,) in held if name in workers]


def find_victim(stack: ProcfileStack, dice: random.Random) -> int:
    """Return a worker process that is running a task; another one if there is none."""
    with contextlib.suppress(Exception):
        if busy := list_busy(stack):
            return dice.choice(busy)
    workers = list(list_workers(stack).values())
    return dice.choice(workers) if workers else 0


def kill_worker_child(stack: ProcfileStack, dice: random.Random) -> None:
    pid = find_victim(stack, dice)
    if pid:
        os.kill(pid, signal.SIGKILL)


def kill_worker_parent(stack: ProcfileStack, dice: random.Random) -> None:
    stack.kill_parent("worker")
    stack.start_role("worker")


def kill_worker_both(stack: ProcfileStack, dice: random.Random) -> None:
    stack.kill_role("worker")
    stack.start_role("worker")


def kill_web(stack: ProcfileStack, dice: random.Random) -> None:
    stack.kill_role("web")
    stack.start_role("web")


def kill_mirror(stack: ProcfileStack, dice: random.Random) -> None:
    stack.kill_role("mirror")
    stack.start_role("mirror")


def kill_redis(stack: ProcfileStack, dice: random.Random) -> None:
    stack.redis_server.kill()
    time.sleep(dice.uniform(0, 1.5))
    stack.redis_server.start()


def kill_mariadb(stack: ProcfileStack, dice: random.Random) -> None:
    stack.database.kill()
    time.sleep(dice.uniform(0, 1.5))
    stack.database.start()


def pause_worker(stack: ProcfileStack, dice: random.Random) -> None:
    pid = find_victim(stack, dice)
    if not pid:
        return
    with contextlib.suppress(AssertionError):
        stack.pause_pids([pid])
        time.sleep(dice.choice([1.0, 3.0, 11.0]))
        stack.resume_pids([pid])


def pause_worker_for_long(stack: ProcfileStack, dice: random.Random) -> None:
    pids = [pid for pid in [find_victim(stack, dice)] if pid]
    with contextlib.suppress(AssertionError):
        stack.pause_pids(pids)
        time.sleep(30)
        stack.resume_pids(pids)


def pause_server(name: str, *, seconds: tuple[float, float]) -> Action:
    def pause(stack: ProcfileStack, dice: random.Random) -> None:
        server = stack.redis_server if name == "redis" else stack.database
        server.pause()
        try:
            time.sleep(dice.uniform(*seconds))
        finally:
            server.resume()

    return pause


def flush(stack: ProcfileStack, dice: random.Random) -> None:
    with stack.redis() as client:
        client.flushall()


def crash_at(point: str, *, role: str) -> Action:
    """SIGKILL at a failpoint, repeatedly, until the role is restarted without it."""

    def crash(stack: ProcfileStack, dice: random.Random) -> None:
        stack.environment["CRASH_POINTS"] = f"{point}={dice.randint(1, 4)}"
        try:
            stack.restart_role(role)
            if role == "mirror":
                if point == "in_rescue":
                    victim = find_victim(stack, dice)
                    if victim:
                        os.kill(victim, signal.SIGKILL)
                wait_until(lambda: not stack.is_running(role), deadline_seconds=2 * CRASH_SECONDS)
            else:
                time.sleep(CRASH_SECONDS)
        finally:
            stack.environment.pop("CRASH_POINTS")
        if stack.is_running(role):
            stack.stop_role(role)
        stack.start_role(role)

    return crash


FAULTS = (
    Fault("kill -9 of a worker", kill_worker_child, kills_worker=True),
    Fault("kill -9 of the workers' parent", kill_worker_parent),
    Fault("kill -9 of parent and workers", kill_worker_both, kills_worker=True),
    Fault("kill -9 of web", kill_web),
    Fault("kill -9 of the mirror", kill_mirror),
    Fault("kill -9 of Redis", kill_redis),
    Fault("kill -9 of MariaDB", kill_mariadb),
    Fault("SIGSTOP of a worker", pause_worker),
    Fault("SIGSTOP of a worker for 30 s", pause_worker_for_long, is_long=True),
    Fault("SIGSTOP of Redis", pause_server("redis", seconds=(1, 6))),
    Fault("SIGSTOP of Redis for 20 s", pause_server("redis", seconds=(20, 20)), is_long=True),
    Fault("SIGSTOP of MariaDB", pause_server("mariadb", seconds=(1, 6))),
    Fault("SIGSTOP of MariaDB for 20 s", pause_server("mariadb", seconds=(20, 20)), is_long=True),
    Fault("FLUSHALL", flush),
    Fault("crash after the dequeue", crash_at("after_take", role="worker"), is_long=True),
    Fault("crash before a chunk's COMMIT", crash_at("before_chunk_commit", role="worker"), is_long=True),
    Fault("crash after a chunk's COMMIT", crash_at("after_chunk_commit", role="worker"), is_long=True),
    Fault("crash before the job's finish", crash_at("before_end", role="worker"), is_long=True),
    Fault("crash in the middle of a rescue", crash_at("in_rescue", role="mirror"), is_long=True),
    Fault("crash in the mirror's transaction", crash_at("in_mirror", role="mirror"), is_long=True),
)
