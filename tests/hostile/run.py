"""The order of a hostile run, and how its values are divided among the doors."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Callable, Collection
from functools import partial

from loadtests.started.servers import IS_EMBEDDED, Database, RedisServer, create_servers
from tests.hostile import (
    door_acts,
    door_admin,
    door_api,
    door_cli,
    door_errors,
    door_others,
    door_redis,
    door_results,
    door_rows,
    door_webhooks,
)
from tests.hostile.tally import Tally
from tests.hostile.world import LEASE_SECONDS, World, make_world

QUICK = 1_000  # with fewer values, slow parts are skipped


def run_on_own_servers(*, values: int, seed: int, only: Collection[str] = ()) -> Tally:
    """Run on servers of the run's own."""
    servers = create_servers()
    try:
        for server in servers:
            server.start()
        return run(servers=servers, values=values, seed=seed, only=only)
    finally:
        for server in servers:
            server.remove()


def run(*, servers: tuple[Database, RedisServer], values: int, seed: int, only: Collection[str] = ()) -> Tally:
    """Send odd values through every door; return the tally."""
    with make_world(servers=servers, seed=seed) as world:
        for name, door in _list_doors(world, values):
            if only and name not in only:
                continue
            world.tally.say(f"{name}: begins, {world.tally.values:,} values, {len(world.tally.faults):,} faults so far")
            try:
                door()
            except Exception as error:  # the following doors run as well
                where = traceback.format_exc()[-600:]
                world.tally.add_fault(name, f"breaks off: {type(error).__name__}", given=name, seen=where)
        world.finish()
        tally = world.tally
        tally.say(f"the end, {tally.values:,} values")
        if keep := os.environ.get("HOSTILE_LOGS"):
            shutil.copytree(world.stack.directory, keep, dirs_exist_ok=True)
    return tally


def _list_doors(world: World, values: int) -> list[tuple[str, Callable[[], object]]]:
    def share(part: float) -> int:
        return max(5, round(values * part))

    doors: list[tuple[str, Callable[[], object]]] = [
        ("api", partial(door_api.run, world, number=share(0.46))),
        ("others", partial(door_others.run, world, number=share(0.1))),
        ("admin", partial(door_admin.run, world, number=share(0.06))),
        ("cli", partial(door_cli.run, world, number=share(0.03))),
        ("webhooks", partial(door_webhooks.run, world, number=share(0.02))),
        ("redis", partial(door_redis.run, world, number=share(0.03))),
        ("rows", partial(door_rows.run, world, number=share(0.02))),
        ("results", partial(door_results.run, world, number=share(0.16))),
        ("totals", partial(door_results.run_totals, world, number=share(0.04))),
        ("errors", partial(door_errors.run, world, number=share(0.08))),
        ("acts", partial(door_acts.run, world, times=max(1, values // 4_000), canaries=6 if values >= QUICK else 2)),
    ]
    if values >= QUICK:
        doors += [
            ("stock", partial(door_redis.run_stock_worker, world)),
            ("lying", partial(door_errors.run_lying, world)),
            ("slow", partial(door_acts.run_slow, world, seconds=(1.5 if IS_EMBEDDED else 3) * LEASE_SECONDS)),
        ]
    return [*doors, ("deadly", partial(door_acts.run_deadly, world, is_quick=values < QUICK))]
