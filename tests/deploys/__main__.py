"""`python -m tests.deploys [--rate 200]`: a rolling deploy in all six orders. `make rolling-deploy` runs it.

Prints one line for each order, after a line for the same load without a deploy; exits with 1 if anything was lost,
duplicated, failed or late. If the load is late without a deploy, it says so: the machine is too busy to judge.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sys

from loadtests.started.servers import MariaDB, RedisServer
from loadtests.started.stack import ProcfileStack
from tests.deploys.rolling import ROLES, Outcome, deploy, to_table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deploys")
    parser.add_argument("--rate", type=float, default=200, help="POSTs a second (200)")
    parser.add_argument("--order", default="", help="one order instead of all, as web,worker,mirror")
    options = parser.parse_args()
    orders = [tuple(options.order.split(","))] if options.order else list(itertools.permutations(ROLES))
    if any(set(order) - set(ROLES) for order in orders):
        parser.error(f"--order is {options.order!r}: name roles of {', '.join(ROLES)}")
    os.environ["ENV_FILE"] = ""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a terminated run cleans up as an interrupted one does
    servers = (MariaDB(), RedisServer())
    outcomes: list[Outcome] = []
    stack = None
    try:
        for server in servers:
            server.start()
        stack = ProcfileStack(database=servers[0], redis_server=servers[1], environment={"WEB_WORKERS": "2"})
        stack.start()
        for order in [(), *orders]:
            outcomes.append(deploy(stack, order=order, rate=options.rate))
            print(to_table(outcomes[-1:]).splitlines()[-1], outcomes[-1].describe(), flush=True)
    finally:
        if stack is not None:
            stack.close()
        for server in reversed(servers):
            server.stop()
        print(to_table(outcomes))
    if outcomes[0].is_late:
        print(f"late with nothing replaced: this machine is too busy for {options.rate:g} POSTs a second, or too small")
    return 0 if all(outcome.is_whole and not outcome.is_late for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
