"""`python -m loadtests.bench`: runs the measurements, keeps their figures, writes the report and its plots."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.bench import (
    arrival,
    critical,
    drain,
    memory,
    post_stages,
    profiles,
    redis_hung,
    reload,
    responsiveness,
    sustained,
    turns,
)
from loadtests.bench.context import Bench
from loadtests.bench.errors import BenchError
from loadtests.bench.ground import Ground
from loadtests.bench.machine import QUIET_CORES, busy_cores, describe_machine, require_tools
from loadtests.bench.other_commit import export_commit, install_packages
from loadtests.bench.peer import install_peer
from loadtests.bench.plots import draw_plots
from loadtests.bench.report import write_report
from loadtests.bench.scale import FULL, QUICK, Scale
from loadtests.started.servers import ServerError
from longtasks.local_stack.procfile import PROJECT_DIR
from settings.env import list_variables

MEASUREMENTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "turns": turns.measure,
    "arrival": arrival.measure,
    "sustained": sustained.measure,
    "responsiveness": responsiveness.measure,
    "max-rate": responsiveness.measure_max_rate,
    "redis-hung": redis_hung.measure,
    "reload": reload.measure,
    "drain": drain.measure,
    "critical": critical.measure,
    "stages": post_stages.measure,
    "profiles": profiles.measure,
    "memory": memory.measure,
}
REPORT = PROJECT_DIR / "docs" / "benchmarks.md"
QUICK_REPORT = PROJECT_DIR / ".data" / "bench" / "benchmarks.md"


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench",
        description="Measure longtasks on a MariaDB and a Redis of its own, and write docs/benchmarks.md. "
        "PEER_DIR names the peer to measure beside it.",
    )
    parser.add_argument("--quick", action="store_true", help=f"tiny counts, once; the report goes to {QUICK_REPORT}")
    parser.add_argument(
        "--only", action="append", choices=MEASUREMENTS, metavar="NAME", help=f"of: {', '.join(MEASUREMENTS)}"
    )
    parser.add_argument(
        "--against", metavar="COMMIT", default="", help="a commit to compare with in turns (measurement `turns`)"
    )
    parser.add_argument("--report-only", action="store_true", help="write the report again from the stored figures")
    return parser.parse_args(arguments)


def say(text: str) -> None:
    sys.stdout.write(f"{datetime.now().astimezone():%H:%M:%S}  {text}\n")
    sys.stdout.flush()


def read_figures(path: Path) -> dict[str, Any]:
    """Return the stored figures of earlier runs, of which --only replaces its own part."""
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    sections = figures.get("sections", {})
    return {**figures, "sections": {name: sections[name] for name in MEASUREMENTS if name in sections}}


def to_text(figures: dict[str, Any]) -> str:
    """Return JSON with a line for each measurement: short, and a diff shows the new ones."""
    sections = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in figures["sections"].items())
    return f'{{"machine": {json.dumps(figures["machine"])},\n"sections": {{\n{sections}\n}}}}\n'


def prepare_process() -> None:
    """Measure the defaults, whatever the developer has set; a terminated run cleans up as an interrupted one."""
    for variable in list_variables():
        os.environ.pop(variable.name, None)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def find_commit() -> str:
    shown = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT_DIR, capture_output=True, text=True, check=False
    )
    return shown.stdout.strip() or "unknown"


def run_measurement(
    *, name: str, scale: Scale, peer_directory: Path | None, other_directory: Path | None, against: str
) -> dict[str, Any]:
    """Run one measurement on servers of its own."""
    started = time.monotonic()
    began_at = datetime.now(UTC)
    others = busy_cores()
    if others > QUIET_CORES:
        say(f"{others:.1f} cores are busy with something else: the report will state it")
    with tempfile.TemporaryDirectory(prefix="longtasks-bench-") as directory, Ground() as ground:
        bench = Bench(
            ground=ground,
            scale=scale,
            peer_directory=peer_directory,
            other_directory=other_directory,
            directory=Path(directory),
            say=say,
        )
        figures = MEASUREMENTS[name](bench)
    seconds = time.monotonic() - started
    say(f"{name}: done in {seconds:.0f} s")
    return {
        "measuredAt": began_at.isoformat(timespec="seconds"),
        "seconds": round(seconds),
        "commit": find_commit(),
        "scale": scale.name,
        "othersCores": round(others, 2),
        "against": against,
        "figures": figures,
    }


def measure_all(*, names: Sequence[str], scale: Scale, figures_path: Path, against: str = "") -> bool:
    """Run each measurement by itself: a failure is reported and does not affect the others."""
    require_tools()
    all_made = True
    source = os.environ.get("PEER_DIR", "")
    with tempfile.TemporaryDirectory(prefix="longtasks-peer-") as directory:
        peer_directory = None
        if source:
            say(f"installing the peer of {source}")
            peer_directory = install_peer(source=Path(source), target=Path(directory) / "peer")
        else:
            say("PEER_DIR is not set: no peer is measured, and no ratio to it")
        other_directory = None
        if against:
            other_directory = export_commit(against, target=Path(directory) / "other")
            say(f"installing the packages of {against}")
            install_packages(other_directory)
        kept = read_figures(figures_path)
        for name in names:
            try:
                kept["sections"][name] = run_measurement(
                    name=name,
                    scale=scale,
                    peer_directory=peer_directory,
                    other_directory=other_directory,
                    against=against,
                )
            except (BenchError, ServerError, AssertionError, subprocess.TimeoutExpired) as error:
                sys.stderr.write(f"bench: {name} FAILED: {error}\n")
                all_made = False
                continue
            kept["machine"] = describe_machine()
            figures_path.parent.mkdir(parents=True, exist_ok=True)
            figures_path.write_text(to_text(kept), encoding="utf-8")
    return all_made


def main(arguments: Sequence[str]) -> int:
    options = parse_arguments(arguments)
    prepare_process()
    report = QUICK_REPORT if options.quick else REPORT
    figures_path = report.with_suffix("") / "figures.json"
    all_made = True
    try:
        if not options.report_only:
            names = options.only or list(MEASUREMENTS)
            all_made = measure_all(
                names=names,
                scale=QUICK if options.quick else FULL,
                figures_path=figures_path,
                against=options.against,
            )
        figures = read_figures(figures_path)
        plots = draw_plots(figures=figures, directory=figures_path.parent)
        write_report(figures=figures, plots=plots, path=report)
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("bench: interrupted; what was measured by then is kept\n")
        return 130
    say(f"written: {report}")
    return 0 if all_made else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
