"""A stack survives outages of its stores: correct answers meanwhile, no process dies, and every task finishes."""

import os
from collections.abc import Generator

import pytest

from loadtests.started.servers import IS_EMBEDDED, create_servers
from loadtests.started.stack import ProcfileStack
from tests.outages import OUTAGES, ROLES, Outage, run_outage

# `OUTAGE_SECONDS=25` for the long version; `python -m tests.outages --seconds 25` is the same without pytest.
SECONDS = float(os.environ.get("OUTAGE_SECONDS", "3"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(IS_EMBEDDED, reason="changes MariaDB and Redis; `make test` runs it"),
]


@pytest.fixture(scope="module")
def stack() -> Generator[ProcfileStack, None, None]:
    """A stack on servers of its own: an outage affects all users of a server."""
    database, redis_server = create_servers()
    stack = ProcfileStack(database=database, redis_server=redis_server, roles=ROLES)
    try:
        database.start()
        redis_server.start()
        stack.start()
        yield stack
    finally:
        stack.close()
        redis_server.remove()
        database.remove()


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.name)
def test_the_stack_survives_an_outage(stack: ProcfileStack, outage: Outage) -> None:
    run_outage(stack, outage, seconds=SECONDS)
