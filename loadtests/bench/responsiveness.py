"""Measures the document's first two challenges with k6: 2,000 POSTs per second, and the highest rate held.

k6, web, Redis, MariaDB and the mirror share the machine; the workers do not run, or run. The peer is up at the same time,
and its runs alternate with ours.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from loadtests.bench.context import Bench
from loadtests.bench.ground import BenchStack
from loadtests.bench.k6_run import latency_figures, run_script
from loadtests.bench.peer import Peer
from loadtests.bench.watch import CpuWatch, QueueWatch

OURS, BUSY, PEER = "this commit, without workers", "this commit, with workers", "the peer, without workers"
WORKERS = 2
REST_SECONDS = 1  # between two steps


@contextlib.contextmanager
def both_up(bench: Bench) -> Iterator[tuple[BenchStack, Peer | None]]:
    """Yield longtasks with its web, and the peer with its API, if there is one."""
    with contextlib.ExitStack() as exit_stack:
        stack = exit_stack.enter_context(bench.ground.stack())
        stack.start_web()
        peer = None
        if bench.peer_directory is not None:
            peer = exit_stack.enter_context(Peer(directory=bench.peer_directory, ground=bench.ground))
            peer.start_api()
        yield stack, peer


def measure(bench: Bench) -> dict[str, Any]:
    results: dict[str, list[dict[str, Any]]] = {}
    with both_up(bench) as (stack, peer):
        for run in range(bench.scale.runs):
            for name, workers in ((OURS, 0), (BUSY, WORKERS)):
                stack.restart_empty(workers=workers)
                keep(bench, results, name, run, hold_rate(bench, stack))
            stack.restart_empty()
            if peer is not None:
                keep(bench, results, PEER, run, hold_peers_rate(bench, peer))
    return {"rate": bench.scale.k6_rate, "seconds": bench.scale.k6_seconds, "variants": results}


def measure_max_rate(bench: Bench) -> dict[str, Any]:
    """Raise the rate by steps until a mean exceeds 40 ms, or a request fails or is dropped; without workers."""
    results: dict[str, list[dict[str, Any]]] = {}
    with both_up(bench) as (stack, peer):
        for run in range(bench.scale.runs):
            stack.restart_empty()
            addresses = {OURS: stack.address} | ({PEER: peer.address} if peer is not None else {})
            for name, address in addresses.items():
                report = raise_rate(bench, target=address)
                bench.say(f"max rate of {name}, run {run + 1}: {report['limit']}/s")
                results.setdefault(name, []).append(report)
                stack.wait_until_mirrored()
    return {"variants": results}


def raise_rate(bench: Bench, *, target: str) -> dict[str, Any]:
    """Run max_rate.js once."""
    scale = bench.scale
    steps = (scale.last_rate - scale.first_rate) // scale.step_rate + 1
    return run_script(
        script="max_rate.js",
        target=target,
        directory=bench.directory,
        env={
            "START_RATE": scale.first_rate,
            "STEP_RATE": scale.step_rate,
            "MAX_RATE": scale.last_rate,
            "HOLD": scale.hold_seconds,
            "REST": REST_SECONDS,
        },
        deadline_seconds=steps * (scale.hold_seconds + REST_SECONDS + 2) + 60,
    )


def hold_rate(bench: Bench, stack: BenchStack) -> dict[str, Any]:
    """Run responsiveness.js once, with the CPU of every role and the mirror's lag."""
    roles = bench.ground.roles(stack, "web", "mirror", "worker")
    with stack.redis() as client, QueueWatch(client) as queue, CpuWatch(roles) as watch:
        report = run_responsiveness(bench, target=stack.address)
    cpu = watch.shares | {"k6": round(report["cpu_seconds"] / watch.elapsed_seconds, 4)}
    return latency_figures(report) | queue.lag_figures() | {"cpu": cpu}


def hold_peers_rate(bench: Bench, peer: Peer) -> dict[str, Any]:
    ground = bench.ground
    roles = {"peer": peer.pids, "redis": lambda: [ground.redis_server.pid], "mariadb": lambda: [ground.database.pid]}
    with CpuWatch(roles) as watch:
        report = run_responsiveness(bench, target=peer.address)
    cpu = watch.shares | {"k6": round(report["cpu_seconds"] / watch.elapsed_seconds, 4)}
    return latency_figures(report) | {"cpu": cpu}


def run_responsiveness(bench: Bench, *, target: str) -> dict[str, Any]:
    return run_script(
        script="responsiveness.js",
        target=target,
        directory=bench.directory,
        env={"RATE": bench.scale.k6_rate, "DURATION": bench.scale.k6_seconds},
        deadline_seconds=bench.scale.k6_seconds + 90,
    )


def keep(bench: Bench, results: dict[str, list[dict[str, Any]]], name: str, run: int, figures: dict[str, Any]) -> None:
    results.setdefault(name, []).append(figures)
    bench.say(
        f"{bench.scale.k6_rate}/s {name} run {run + 1}: mean {figures['mean_ms']:.1f} ms, "
        f"{figures['failed']} failed, {figures['dropped']} dropped"
    )
