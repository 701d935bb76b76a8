"""`python -m loadtests.analysis`: runs the document's loads on a stack of its own and writes docs/load-test.md."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.analysis.loads import FULL, shorten
from loadtests.analysis.measure import ARTILLERY, NO_TELEMETRY, Place, find_artillery, measure
from loadtests.analysis.page import to_page
from loadtests.bench.__main__ import find_commit, prepare_process, say
from loadtests.bench.errors import BenchError
from loadtests.bench.ground import Ground
from loadtests.bench.machine import busy_cores, describe_machine
from loadtests.k6 import K6Missing, find_k6
from loadtests.started.servers import ServerError
from longtasks.local_stack.procfile import PROJECT_DIR

RESULT = PROJECT_DIR / "docs" / "load-test.json"
QUICK_RESULT = PROJECT_DIR / ".data" / "load-test" / "load-test.json"
WORKERS = 2


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.analysis", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"a second of each load; the page goes beside {QUICK_RESULT}"
    )
    parser.add_argument("--page-only", action="store_true", help="write the page again from the stored figures")
    return parser.parse_args(arguments)


def run(*, quick: bool) -> dict[str, Any]:
    """Run everything on a MariaDB and a Redis of its own, and return the figures."""
    find_k6()
    others = busy_cores()
    began_at, started = datetime.now(UTC), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="longtasks-loads-") as name, Ground() as ground, ground.stack() as stack:
        directory = Path(name)
        stack.start_web()
        place = Place(
            stack=stack,
            roles=ground.roles(stack, "web", "worker", "mirror"),
            begin=lambda: stack.restart_empty(workers=WORKERS),
            directory=directory,
            say=say,
        )
        loads = [shorten(load, directory=directory) for load in FULL] if quick else FULL
        figures = measure(place, loads=loads, drain_tasks=100) if quick else measure(place, loads=loads)
    return {
        "measuredAt": began_at.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started),
        "commit": find_commit(),
        "othersCores": round(others, 2),
        "machine": describe_machine(),
        "artillery": find_artillery_version(),
        "severalHosts": read_costs_on_several_hosts(),
        **figures,
    }


def read_costs_on_several_hosts() -> dict[str, int]:
    """Return the cost of a POST in docs/scaling.md, in microseconds of a CPU."""
    posted = json.loads((PROJECT_DIR / "docs" / "scaling.json").read_text(encoding="utf-8"))["posted"]
    return {"web": posted["web"], "redisOfPost": posted["redis"]}


def find_artillery_version() -> str:
    """Return Artillery's version; "" if it is not installed."""
    if not find_artillery():
        return ""
    environment = {**os.environ, "NODE_OPTIONS": f"--require {NO_TELEMETRY}"}
    shown = subprocess.run(
        [find_artillery(), "--version"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    found = re.search(r"\d+\.\d+\.\d+", shown.stdout)
    return found[0] if found else "unknown"


def main(arguments: Sequence[str]) -> int:
    options = parse_arguments(arguments)
    prepare_process()
    result = QUICK_RESULT if options.quick else RESULT
    try:
        if not options.page_only:
            if not find_artillery():
                say(f"{ARTILLERY} is not on PATH: k6 alone runs its files (loadtests/README.md says how to install it)")
            figures = run(quick=options.quick)
            result.parent.mkdir(parents=True, exist_ok=True)
            result.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        page = result.with_suffix(".md")
        page.write_text(to_page(json.loads(result.read_text(encoding="utf-8"))), encoding="utf-8")
    except (BenchError, ServerError, K6Missing, AssertionError, subprocess.TimeoutExpired, OSError) as error:
        sys.stderr.write(f"load test: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("load test: interrupted; nothing is kept\n")
        return 130
    say(f"written: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
