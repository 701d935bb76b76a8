"""`python -m tests.hostile [--values 10000] [--seed 1] [--stack embedded]`: the hostile run. `make hostile` runs it."""

from __future__ import annotations

import argparse
import os
import signal
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description="Odd values through every door.")
    parser.add_argument("--values", type=int, default=10_000, help="how many odd values (10000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same values (1)")
    parser.add_argument(
        "--stack", choices=("mariadb", "embedded"), default="", help="SQLite and Valkey, or MariaDB and Redis"
    )
    parser.add_argument("--doors", default="", help="only these, comma-separated")
    options = parser.parse_args()
    os.environ["ENV_FILE"] = ""
    if options.stack:
        os.environ["LONGTASKS_TEST_STACK"] = options.stack if options.stack == "embedded" else ""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a terminated run cleans up as an interrupted one does
    # The kind of stack is read at the import.
    from tests.hostile.run import run_on_own_servers

    only = {name for name in options.doors.split(",") if name}
    tally = run_on_own_servers(values=options.values, seed=options.seed, only=only)
    print(tally.to_text())
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
