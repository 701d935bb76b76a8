"""The world of a hostile run: its own servers, stack, ordinary client, watch and inside process.

Owns their lifetimes. The doors own what is done to them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass

from loadtests.started.servers import IS_EMBEDDED, Database, RedisServer
from loadtests.started.stack import ProcfileStack
from tests.hostile.insider import Insider
from tests.hostile.ordinary import Ordinary
from tests.hostile.tally import Tally
from tests.hostile.watch import Watch

ROLES = ("web", "worker", "mirror", "webhooks")
LEASE_SECONDS = 2.0
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "tests.hostile.settings",
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "RESCUE_SECONDS": "0.5",
    "RETRY_ATTEMPTS": "2",
    "RETRY_FIRST_SECONDS": "0.05",
    "JOB_TIMEOUT_SECONDS": "20",
    "SHARD_RECORDS": "1000",
    "WEBHOOK_SECRET": "s" * 32,
    "WEBHOOK_ALLOW_PRIVATE": "1",
    "WEBHOOK_ATTEMPTS": "2",
    "WEBHOOK_FIRST_SECONDS": "0.1",
    "WEBHOOK_TIMEOUT_SECONDS": "1.5",
    "RATE_LIMIT_PER_ADDRESS": "0",
    "REDIS_TIMEOUT_SECONDS": "10",  # a stalling disk is not one of these values
}
TABLES = ("hostile_rows", "hostile_rows_empty")


@dataclass(slots=True)
class World:
    """The arguments of the doors."""

    stack: ProcfileStack
    tally: Tally
    watch: Watch
    ordinary: Ordinary
    insider: Insider
    seed: int

    def finish(self) -> None:
        """Wait for all ends, and judge the ordinary tasks and the processes."""
        self.ordinary.finish()
        self.watch.finish()
        ended = {f"{role} processes ended, not killed": float(number) for role, number in self.watch.ended.items()}
        self.tally.ordinary = {
            **self.tally.ordinary,
            "processes ended, not killed": sum(ended.values()),
            **ended,
            "workers retired after a task that left threads behind": self.watch.retired,
        }


@contextlib.contextmanager
def make_world(*, servers: tuple[Database, RedisServer], seed: int) -> Generator[World, None, None]:
    """Run everything for the duration of the block."""
    database, redis_server = servers
    stack = ProcfileStack(database=database, redis_server=redis_server, environment=ENVIRONMENT, workers=2, roles=ROLES)
    tally = Tally()
    insider = None
    try:
        stack.start()
        make_tables(stack)
        insider = Insider(stack)
        world = World(stack, tally, Watch(stack, tally), Ordinary(stack, tally, seed=seed), insider, seed)
        world.watch.start()
        world.ordinary.start()
        yield world
    finally:
        if insider:
            insider.close()
        stack.close()


def make_tables(stack: ProcfileStack, *, rows: int = 0) -> None:
    """Create the tables of the odd task types, with rows 0 to `rows`."""
    engine = "" if IS_EMBEDDED else " ENGINE=InnoDB"
    for table in TABLES:
        stack.sql(f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, n INTEGER NOT NULL){engine}")
    for start in range(0, rows, 1000):
        values = ", ".join(f"({number}, 0)" for number in range(start, min(rows, start + 1000)))
        stack.sql(f"INSERT INTO {TABLES[0]} (id, n) VALUES {values}")
