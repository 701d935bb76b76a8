"""The faults of the cluster under load. Each is made, lasts for a while, and is repaired."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.cluster.cluster import DB, MIRRORS, REDIS, SPARE, WEB, WORKERS, Cluster

HOLD_SECONDS = 10.0


@dataclass(slots=True)
class Fault:
    """What is broken, for how long, and how it is repaired."""

    name: str
    break_: Callable[[Cluster], None]
    mend: Callable[[Cluster], None]
    hold_seconds: float = HOLD_SECONDS
    may_lose: bool = False  # a failover of Redis: its replication does not wait


@contextmanager
def broken(cluster: Cluster, fault: Fault) -> Iterator[None]:
    """Break it, and always repair it."""
    fault.break_(cluster)
    try:
        yield
    finally:
        fault.mend(cluster)


def list_faults() -> list[Fault]:
    """List the faults: each host killed and isolated in turn, then partial partitions."""
    return [
        Fault("nothing: for comparison", lambda c: None, lambda c: None),
        *(killed(host) for host in (WEB[0], WORKERS[0], MIRRORS[0])),
        *(cut_off(host) for host in (WEB[1], WORKERS[1], MIRRORS[1])),
        Fault(
            "the balancer killed, started again after 2 s",
            lambda c: c.balancer.kill(),
            lambda c: c.balancer.start(),
            hold_seconds=2,
        ),
        Fault(f"{SPARE} added, {WORKERS[0]} removed by SIGTERM, then added again", _exchange, _exchange_back),
        Fault(
            f"{WORKERS[2]} reaches Redis, but not the database",
            lambda c: c.network.part(WORKERS[2], DB),
            lambda c: c.network.rejoin(),
        ),
        Fault(
            f"{WORKERS[0]} reaches the database, but not Redis",
            lambda c: c.network.part(WORKERS[0], REDIS),
            lambda c: c.network.rejoin(),
        ),
        Fault("a Redis replica killed", _kill_replica, _start_redis, hold_seconds=5),
        Fault("the Redis primary killed", _kill_primary, _start_redis, hold_seconds=12, may_lose=True),
        Fault("the Redis primary cut off", _cut_primary, _mend_redis, hold_seconds=12, may_lose=True),
        Fault(
            "the Redis primary cut off from its replicas and Sentinels, but not from web and workers",
            _isolate_primary,
            lambda c: c.network.rejoin(),
            hold_seconds=20,
            may_lose=True,
        ),
        Fault("a Galera node killed", lambda c: c.databases[DB[1]].kill(), lambda c: c.databases[DB[1]].start()),
        Fault(
            "a Galera node cut off", lambda c: c.network.cut(DB[2]), lambda c: c.network.mend(DB[2]), hold_seconds=15
        ),
        Fault(
            "a Galera node stopped (SIGSTOP)",
            lambda c: c.databases[DB[0]].pause(),
            lambda c: c.databases[DB[0]].resume(),
        ),
    ]


def killed(host: str) -> Fault:
    return Fault(
        f"{host} killed (kill -9 of all its processes)", lambda c: c.kill_host(host), lambda c: c.start_host(host)
    )


def cut_off(host: str) -> Fault:
    return Fault(f"{host} cut off", lambda c: c.network.cut(host), lambda c: c.network.mend(host))


_cut: list[str] = []


def _exchange(cluster: Cluster) -> None:
    cluster.start_host(SPARE)
    cluster.stop_host(WORKERS[0])


def _exchange_back(cluster: Cluster) -> None:
    cluster.start_host(WORKERS[0])
    cluster.stop_host(SPARE)


def _primary(cluster: Cluster) -> str:
    cluster.wait_for(cluster.primary, what="there is a Redis primary", seconds=30)
    return cluster.primary()


def _kill_replica(cluster: Cluster) -> None:
    primary = _primary(cluster)
    cluster.redis[next(host for host in reversed(REDIS) if host != primary)].kill()


def _kill_primary(cluster: Cluster) -> None:
    cluster.redis[_primary(cluster)].kill()


def _start_redis(cluster: Cluster) -> None:
    for node in cluster.redis.values():
        node.start()


def _cut_primary(cluster: Cluster) -> None:
    _cut.append(_primary(cluster))
    cluster.network.cut(_cut[-1])


def _mend_redis(cluster: Cluster) -> None:
    cluster.network.mend(_cut.pop())


def _isolate_primary(cluster: Cluster) -> None:
    # The host's Sentinel is isolated as well, because the host is cut off from all other Redis hosts.
    primary = _primary(cluster)
    cluster.network.part(primary, [host for host in REDIS if host != primary])


def hold(seconds: float) -> None:
    """Let a fault last. The only wait for time instead of a condition, because the duration is the fault."""
    time.sleep(seconds)
