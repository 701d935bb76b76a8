"""`python -m loadtests NAME`: the command line of the load tests. Figures come from the environment, see README.md."""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from loadtests.artillery_reader.checks import Check, figures_of
from loadtests.artillery_reader.plan import UnreadableFile, read_plan
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
        "files", type=Path, nargs="+", metavar="FILE", help="YAML; several files are merged as Artillery merges them"
    )
    command.add_argument("--environment", metavar="NAME", help="the entry of config.environments to use")
    command.add_argument("--html", type=Path, metavar="FILE", help="write k6's dashboard there")
    command.add_argument("--out", type=Path, metavar="FILE", help="write the summary there as JSON")
    command = commands.add_parser("plot", help="draw the figures that max-rate wrote with --out")
    command.add_argument("report", type=Path)
    command.add_argument("png", type=Path)
    return parser.parse_args(arguments)


def run_artillery(*, files: Sequence[Path], environment: str | None, html: Path | None, out: Path | None) -> int:
    """Run Artillery files; if they have `ensure`, its checks decide about failed virtual users."""
    plan = read_plan(files, environment=environment)
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "plan.json"
        script.write_text(json.dumps(plan.script), encoding="utf-8")
        report = Path(directory) / "report.json"
        env = {"PLAN": str(script), **output_variable(report)}
        if plan.checks:
            env["JUDGED_BY_CHECKS"] = "true"
        code = run_k6(script="artillery.js", html=html, env=env)
        if code not in (0, THRESHOLD_NOT_MET):
            return code
        text = report.read_text(encoding="utf-8")
    if out is not None:
        out.write_text(text, encoding="utf-8")
    figures = figures_of(json.loads(text)["aggregate"])
    if "apdex" in figures:
        sys.stdout.write(f"\nApdex score: {figures['apdex']:g}\n")
    if plan.checks and not are_met(checks=plan.checks, figures=figures):
        return THRESHOLD_NOT_MET
    return code


def are_met(*, checks: Sequence[Check], figures: Mapping[str, float]) -> bool:
    """Print each check as Artillery does, with the reason if a figure is missing; return whether all strict ones are met."""
    sys.stdout.write("\nChecks:\n")
    for check in checks:
        missing = [name for name in check.figures if name not in figures]
        notes = ("" if check.strict else " (optional)") + (f" (not measured: {', '.join(missing)})" if missing else "")
        verdict = "ok" if check.is_met(figures) else "fail"
        sys.stdout.write(f"{verdict}: {check.text}{notes}\n")
    return all(check.is_met(figures) for check in checks if check.strict)


def run_max_rate(*, html: Path | None, out: Path | None, png: Path | None) -> int:
    """Run max_rate.js: a step that is not held is the expected result, and a failure only if it is the first one."""
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
            return run_artillery(
                files=options.files, environment=options.environment, html=options.html, out=options.out
            )
        if options.name == "max-rate":
            return run_max_rate(html=options.html, out=options.out, png=options.png)
        return run_k6(script=f"{options.name}.js", html=options.html, env=output_variable(options.out))
    except (K6Missing, UnreadableFile) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
