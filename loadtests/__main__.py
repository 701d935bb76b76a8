"""`python -m loadtests NAME`: the command line of the load tests. Figures come from the environment, see README.md."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loadtests.artillery_files import UnreadableFile, read_plan
from loadtests.k6 import K6Missing, run_k6
from loadtests.plot import plot_rates

SCRIPTS = {
    "responsiveness": "POST at 2,000/s for a minute, mean below 40 ms",
    "max-rate": "the highest rate whose mean stays below 40 ms",
    "status": "GET of tasks made beforehand",
    "mixed": "nine GETs to one POST",
    "critical": "time to start of high tasks under a flood of low ones",
    "soak": "half an hour of even load",
}
THRESHOLD_NOT_MET = 99


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, text in SCRIPTS.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--html", type=Path, metavar="FILE", help="write k6's dashboard there")
        command.add_argument("--out", type=Path, metavar="FILE", help="write the figures there as JSON")
        if name == "max-rate":
            command.add_argument("--png", type=Path, metavar="FILE", help="draw latency over rate there")
    command = commands.add_parser("artillery", help="run Artillery files")
    command.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="YAML; several are merged, as Artillery does"
    )
    command.add_argument("--html", type=Path, metavar="FILE", help="write k6's dashboard there")
    command.add_argument("--out", type=Path, metavar="FILE", help="write the summary there as JSON")
    command = commands.add_parser("plot", help="draw what max-rate wrote with --out")
    command.add_argument("report", type=Path)
    command.add_argument("png", type=Path)
    return parser.parse_args(arguments)


def run_artillery(*, files: Sequence[Path], html: Path | None, out: Path | None) -> int:
    with tempfile.TemporaryDirectory() as directory:
        plan = Path(directory) / "plan.json"
        plan.write_text(json.dumps(read_plan(files)), encoding="utf-8")
        return run_k6(script="artillery.js", html=html, env={"PLAN": str(plan), **output_variable(out)})


def run_max_rate(*, html: Path | None, out: Path | None, png: Path | None) -> int:
    """A step that is not held is what this test looks for, so that is no failure, unless it is the first one."""
    with tempfile.TemporaryDirectory() as directory:
        report = out or Path(directory) / "max_rate.json"
        code = run_k6(script="max_rate.js", html=html, env=output_variable(report))
        if code not in (0, THRESHOLD_NOT_MET):
            return code
        if png is not None:
            plot_rates(report=report, png=png)
        return 0 if json.loads(report.read_text(encoding="utf-8"))["limit"] > 0 else THRESHOLD_NOT_MET


def output_variable(out: Path | None) -> dict[str, str]:
    return {} if out is None else {"OUT": str(out.absolute())}


def main(arguments: Sequence[str]) -> int:
    options = parse_arguments(arguments)
    try:
        if options.name == "plot":
            plot_rates(report=options.report, png=options.png)
            return 0
        if options.name == "artillery":
            return run_artillery(files=options.files, html=options.html, out=options.out)
        if options.name == "max-rate":
            return run_max_rate(html=options.html, out=options.out, png=options.png)
        return run_k6(script=f"{options.name}.js", html=options.html, env=output_variable(options.out))
    except (K6Missing, UnreadableFile) as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
