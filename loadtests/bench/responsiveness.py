"""Measures the document's first two challenges with k6: 2,000 POSTs per second for a minute, and the highest rate held.

k6, web, Redis, MariaDB and the mirror share the machine; the workers do not run, or run at the lowest priority, or run.
"""

from collections.abc import Mapping
from typing import Any

from loadtests.bench.context import Bench
from loadtests.bench.ground import BenchStack
from loadtests.bench.k6_run import latency_figures, run_script
from loadtests.bench.peer import Peer
from loadtests.bench.watch import CpuWatch, QueueWatch

WORKERS = 2
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "without workers": {},
    "workers at nice 19": {"workers": WORKERS, "nice": True},
    "with workers": {"workers": WORKERS},
}


def measure(bench: Bench) -> dict[str, Any]:
    results: dict[str, list[dict[str, Any]]] = {}
    with bench.ground.stack() as stack:
        stack.start_web()
        for run in range(bench.scale.runs):
            for name, workers in VARIANTS.items():
                stack.restart_empty(**workers)
                keep(bench, results, f"gunicorn, {name}", run, hold_rate(bench, stack, role="web"))
        stack.restart_empty()
        stack.stop_role("mirror")
    if bench.peer_directory is not None:
        with Peer(directory=bench.peer_directory, ground=bench.ground) as peer:
            peer.start_api()
            for run in range(bench.scale.runs):
                keep(bench, results, "peer, without workers", run, hold_peers_rate(bench, peer))
    return {"rate": bench.scale.k6_rate, "seconds": bench.scale.k6_seconds, "variants": results}


def measure_max_rate(bench: Bench) -> dict[str, Any]:
    """Raise the rate by steps until a mean exceeds 40 ms, or a request fails or is dropped; without workers."""
    scale = bench.scale
    steps = (scale.last_rate - scale.first_rate) // scale.step_rate + 1
    env = {
        "START_RATE": scale.first_rate,
        "STEP_RATE": scale.step_rate,
        "MAX_RATE": scale.last_rate,
        "HOLD": scale.hold_seconds,
    }
    deadline_seconds = steps * (scale.hold_seconds + 5) + 60
    reports = []
    with bench.ground.stack() as stack:
        stack.start_web()
        for run in range(scale.runs):
            stack.restart_empty()
            report = run_script(
                script="max_rate.js",
                target=stack.address,
                directory=bench.directory,
                env=env,
                deadline_seconds=deadline_seconds,
            )
            bench.say(f"max rate run {run + 1}: {report['limit']}/s")
            reports.append(report)
    return {"limits": [report["limit"] for report in reports], "reports": reports}


def hold_rate(bench: Bench, stack: BenchStack, *, role: str, address: str = "") -> dict[str, Any]:
    """Run responsiveness.js once, with the CPU of every role and the mirror's lag."""
    roles = bench.ground.roles(stack, role, "mirror", "worker")
    with stack.redis() as client, QueueWatch(client) as queue, CpuWatch(roles) as watch:
        report = run_responsiveness(bench, target=address or stack.address)
    shares = watch.shares
    shares["web"] = shares.pop(role)
    return (
        latency_figures(report)
        | queue.lag_figures()
        | {
            "backlog_end": queue.backlog[-1][1] if queue.backlog else None,
            "cpu": shares | {"k6": round(report["cpu_seconds"] / watch.elapsed_seconds, 4)},
        }
    )


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
