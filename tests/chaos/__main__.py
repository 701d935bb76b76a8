"""`python -m tests.chaos [--minutes 10] [--times 3]`: the chaos run, its report in docs/. `make chaos` runs it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from tests.chaos.harness import PREEMPTION_TRIES, Chaos

RECOVERY_P99_SECONDS = 10.0
PREEMPTION_P99_SECONDS = 1.0
SIGTERM_P99_SECONDS = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the soak takes")
    parser.add_argument("--times", type=int, default=3, help="how often each fault comes before it")
    parser.add_argument("--tries", type=int, default=PREEMPTION_TRIES, help="of preemption; a third of it SIGTERM")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, default=Path(__file__).resolve().parents[2] / "docs")
    options = parser.parse_args()
    os.environ["ENV_FILE"] = ""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a terminated run cleans up as an interrupted one does
    chaos = Chaos(seed=options.seed)
    try:
        with chaos.running():
            chaos.clients.start()
            chaos.every_fault(times=options.times)
            chaos.soak(minutes=options.minutes)
            chaos.preemption(tries=options.tries)
            chaos.sigterm(tries=max(3, options.tries // 3))
            chaos.hung(tries=max(1, options.tries // 20))
    finally:
        # An aborted run is reported as well, with what was measured until then.
        report = chaos.finish()
        report.write(options.directory)
        print(report.to_markdown())
    data = report.to_json()
    bounds = {
        "recovery_after_kill_seconds": RECOVERY_P99_SECONDS,
        "preemption_seconds": PREEMPTION_P99_SECONDS,
        "sigterm_to_exit_seconds": SIGTERM_P99_SECONDS,
    }
    missed = [
        f"{name}: p99 {data[name]['p99']} s > {bound} s"
        for name, bound in bounds.items()
        if data[name].get("p99", 0) > bound
    ]
    for line in missed:
        print(f"missed: {line}")
    return 0 if report.verdict.is_well and not missed and not report.not_recovered else 1


if __name__ == "__main__":
    sys.exit(main())
