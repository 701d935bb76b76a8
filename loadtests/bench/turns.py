"""Compares systems that are all up at once and take turns of seconds: this commit, another one, the peer.

Owns the order of the turns and what is kept of each. Runs of minutes, one after the other, would compare the speed of
the machine at two times, because its cores change it. The ratio of two systems is the median of the ratios of
neighbouring turns. No worker runs beside POST and GET; longtasks' mirror does, because it writes the row that the
peer's POST writes.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from loadtests.bench.calibration import calibrate
from loadtests.bench.context import BODY, Bench
from loadtests.bench.drain import run_cell
from loadtests.bench.ground import BenchStack
from loadtests.bench.other_commit import find_packages
from loadtests.bench.peer import Peer
from loadtests.bench.readable_paths import write_finished_paths, write_peer_paths
from loadtests.bench.watch import CpuWatch
from loadtests.bench.wrk import run_wrk

OURS = "this commit"
AUTHENTICATED = "this commit, with a token"  # as production requires
OTHER = "the other commit"
PEER = "the peer"
Turn = Callable[[], dict[str, Any]]
Roles = Mapping[str, Callable[[], Iterable[int]]]


def measure(bench: Bench) -> dict[str, Any]:
    with contextlib.ExitStack() as exit_stack:
        stacks = {OURS: exit_stack.enter_context(bench.ground.stack())}
        if bench.other_directory is not None:
            other = bench.ground.stack(
                project_directory=bench.other_directory,
                environment={"PYTHONPATH": str(find_packages(bench.other_directory))},
            )
            stacks[OTHER] = exit_stack.enter_context(other)
        peer = None
        if bench.peer_directory is not None:
            peer = exit_stack.enter_context(Peer(directory=bench.peer_directory, ground=bench.ground))
            peer.start_api()
        for stack in stacks.values():
            stack.start_web()
            stack.start_mirror()
        roles = {name: bench.ground.roles(stack, "web", "mirror") for name, stack in stacks.items()}
        posts = {name: post_turn(bench, stack.address, roles[name]) for name, stack in stacks.items()}
        gets = {name: get_turn(bench, stack, roles[name]) for name, stack in stacks.items()}
        if peer is not None:
            peers_roles = bench.ground.roles(stacks[OURS]) | {"web": peer.pids}
            posts[PEER] = post_turn(bench, peer.address, peers_roles)
            gets[PEER] = peer_get_turn(bench, peer, peers_roles)
        token = json.loads(stacks[OURS].run_inside("manage", "token", "create", "bench", "--json"))["token"]
        posts[AUTHENTICATED] = post_turn(bench, stacks[OURS].address, roles[OURS], token=token)
        kinds = {"post": posts, "get": gets}
        kinds["drain"] = {name: drain_turn(bench, stack) for name, stack in stacks.items()}

        def settle() -> None:
            for stack in stacks.values():
                stack.wait_until_mirrored()

        return {kind: take_turns(bench, kind, turns, settle=settle) for kind, turns in kinds.items()}


def take_turns(
    bench: Bench, kind: str, turns: Mapping[str, Turn], *, settle: Callable[[], None]
) -> list[dict[str, dict[str, Any]]]:
    """One turn of each system in each round; the order is reversed in every second round. `settle` runs between turns."""
    for turn in turns.values():
        turn()  # fills caches and connections; not counted
        settle()
    rounds: list[dict[str, dict[str, Any]]] = []
    for number in range(bench.scale.turn_rounds):
        names = list(turns)[:: 1 if number % 2 == 0 else -1]
        made = {}
        for name in names:
            made[name] = {"calibration_ms": calibrate()} | turns[name]()
            settle()
        rounds.append(made)
        shown = ", ".join(f"{name} {figures['rate']:.0f}/s" for name, figures in made.items())
        bench.say(f"{kind}, round {number + 1}: {shown}")
    return rounds


def post_turn(bench: Bench, address: str, roles: Roles, *, token: str = "") -> Turn:
    return lambda: wrk_turn(f"{address}/tasks", roles, seconds=bench.scale.turn_seconds, body=BODY, token=token)


def get_turn(bench: Bench, stack: BenchStack, roles: Roles) -> Turn:
    paths = bench.directory / f"turns-{stack.port}.txt"
    write_finished_paths(bench, stack, paths)
    return lambda: wrk_turn(f"{stack.address}/tasks", roles, seconds=bench.scale.turn_seconds, paths=paths)


def peer_get_turn(bench: Bench, peer: Peer, roles: Roles) -> Turn:
    paths = bench.directory / "turns-peer.txt"
    write_peer_paths(bench, peer, paths)
    return lambda: wrk_turn(f"{peer.address}/tasks", roles, seconds=bench.scale.turn_seconds, paths=paths)


def wrk_turn(url: str, roles: Roles, *, seconds: int, **what: Any) -> dict[str, Any]:
    """One turn of wrk, and the CPU for each request: `cpu_us` of web alone, `cpu_us_by_role` of all."""
    with CpuWatch(roles) as watch:
        figures = run_wrk(url=url, seconds=seconds, **what)
    requests = max(1, figures["requests"])
    by_role = {role: used / requests * 1e6 for role, used in watch.seconds.items()}
    return {name: figures[name] for name in ("rate", "mean_ms", "p99_ms", "failed")} | {
        "cpu_us": by_role["web"],
        "cpu_us_by_role": by_role,
    }


def drain_turn(bench: Bench, stack: BenchStack) -> Turn:
    """Small tasks that wait already, run by two workers; their rows are counted."""

    def turn() -> dict[str, Any]:
        stack.empty()
        stack.start_workers(2)
        try:
            figures = run_cell(bench, stack, tasks=bench.scale.turn_tasks, records=10, workers=2)
        finally:
            stack.stop_role("worker")
        cpu = figures["cpu"]
        used = (cpu["worker"] + cpu["mirror"]) * figures["seconds"]
        return {"rate": figures["tasks_per_second"], "failed": 0, "cpu_us": used / figures["tasks"] * 1e6}

    return turn


def ratio_of(rounds: Sequence[Mapping[str, Mapping[str, Any]]], name: str, figure: str, *, to: str) -> float | None:
    """The median of the ratios of neighbouring turns: `name` over `to`."""
    ratios = [made[name][figure] / made[to][figure] for made in rounds if made[to][figure]]
    return median(ratios) if ratios else None
