"""Measures POST /tasks and GET /tasks/{id} with wrk: longtasks and the peer.

No worker runs meanwhile on either side; longtasks' mirror does, because it writes the row that the peer's POST writes.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.bench.context import BODY, Bench
from loadtests.bench.ground import BenchStack
from loadtests.bench.peer import Peer
from loadtests.bench.watch import CpuWatch
from loadtests.bench.wrk import run_wrk


def measure(bench: Bench) -> dict[str, Any]:
    with contextlib.ExitStack() as exit_stack:
        stack = exit_stack.enter_context(bench.ground.stack())
        stack.start_web()
        stack.start_mirror()
        addresses, roles = {"gunicorn": stack.address}, {"gunicorn": ("web", "mirror")}
        peer = None
        if bench.peer_directory is not None:
            peer = exit_stack.enter_context(Peer(directory=bench.peer_directory, ground=bench.ground))
            peer.start_api()
            addresses["peer"] = peer.address
        watched = {name: bench.ground.roles(stack, *of) for name, of in roles.items()}
        if peer is not None:
            watched["peer"] = bench.ground.roles(stack) | {"peer": peer.pids}
        paths = write_paths(bench, stack, peer)
        post = {name: Case(address, watched[name], {"body": BODY}) for name, address in addresses.items()}
        get = {
            name: Case(address, watched[name], {"paths": paths["peer" if name == "peer" else "ours"]})
            for name, address in addresses.items()
        }
        token = json.loads(stack.run_inside("manage", "token", "create", "bench", "--json"))["token"]
        post["gunicorn, token"] = Case(stack.address, watched["gunicorn"], {"body": BODY, "token": token})
        results: dict[str, dict[str, list[dict[str, Any]]]] = {"post": {}, "get": {}}
        for run in range(bench.scale.runs):
            for method, cases in (("post", post), ("get", get)):
                for name, case in cases.items():
                    figures = measure_one(bench, case)
                    bench.say(
                        f"{method.upper()} {name} run {run + 1}: {figures['rate']:.0f}/s, "
                        f"mean {figures['mean_ms']:.1f} ms, {figures['failed']} failed"
                    )
                    results[method].setdefault(name, []).append(figures)
                    stack.wait_until_mirrored()
        return results


class Case(NamedTuple):
    """A system and one kind of request to it."""

    address: str
    watched: Mapping[str, Callable[[], Iterable[int]]]
    what: dict[str, Any]  # the body, paths and token for run_wrk


def measure_one(bench: Bench, case: Case) -> dict[str, Any]:
    """Run wrk once, after a shorter run that fills caches and connections."""
    run_wrk(url=f"{case.address}/tasks", seconds=bench.scale.warm_seconds, **case.what)
    with CpuWatch(case.watched) as watch:
        figures = run_wrk(url=f"{case.address}/tasks", seconds=bench.scale.wrk_seconds, **case.what)
    per_request = {role: round(seconds / figures["requests"] * 1e6, 1) for role, seconds in watch.seconds.items()}
    return figures | {"cpu_us_per_request": per_request}


def write_paths(bench: Bench, stack: BenchStack, peer: Peer | None) -> dict[str, Path]:
    """The paths that the GETs request: as many tasks on each side, ended and mirrored on ours."""
    paths = {"ours": bench.directory / "ours.txt"}
    write_finished_paths(bench, stack, paths["ours"])
    if peer is not None:
        paths["peer"] = bench.directory / "peer.txt"
        write_peer_paths(bench, peer, paths["peer"])
    return paths


def write_finished_paths(bench: Bench, stack: BenchStack, path: Path) -> None:
    """Run small tasks to their end and write their paths."""
    stack.start_workers(2)
    stack.fill(tasks=bench.scale.readable_tasks, records=1)
    stack.wait_until_idle(deadline_seconds=120)
    stack.stop_role("worker")
    ids = [row[0] for row in stack.sql("SELECT id FROM tasks_app_taskrecord WHERE status = 'finished'")]
    path.write_text("".join(f"/tasks/{task_id}\n" for task_id in ids))


def write_peer_paths(bench: Bench, peer: Peer, path: Path) -> None:
    """Start as many tasks at the peer and write their paths."""
    path.write_text("".join(f"/tasks/{peer.post(records=1)}\n" for _ in range(bench.scale.readable_tasks)))
