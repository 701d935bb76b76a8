"""Markdown tables of single measurements. Must not: judge figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.bench.figures import MISSING, Run, median_of, number, ratio, with_spread
from loadtests.bench.goals import find_runs, load_data_rows_per_second, peers_rows_per_second
from loadtests.bench.turns import OURS, ratio_of

CPU_ROLES = ("web", "peer", "worker", "mirror", "redis", "mariadb", "k6")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def cpu_text(runs: Sequence[Run], *, name: str = "cpu") -> str:
    """Return the cores by role: medians of the runs, the busiest first."""
    roles = {role for run in runs for role in run[name]}
    shares = {role: median_of([run[name] for run in runs], role) or 0.0 for role in roles}
    busiest = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{role} {share:.2f}" for role, share in busiest if share >= 0.005) or MISSING


def http_table(figures: Mapping[str, Any], method: str) -> str:
    theirs = median_of(figures[method].get("peer", []), "rate")
    rows = [
        [
            name,
            with_spread(runs, "rate"),
            "1" if name == "peer" else number(ratio(median_of(runs, "rate"), theirs)),
            with_spread(runs, "mean_ms"),
            with_spread(runs, "p99_ms"),
            number(sum(run["failed"] for run in runs)),
            _cpu_per_request(runs),
        ]
        for name, runs in figures[method].items()
    ]
    header = ["", "requests/s", "× peer", "mean ms", "p99 ms", "failed", "CPU µs a request"]
    return table(header, rows)


def turns_table(rounds: Sequence[Mapping[str, Mapping[str, float]]]) -> str:
    """A line for each system; the ratios are of this commit over the system, the medians of neighbouring turns."""
    rows = []
    for name in rounds[0]:
        runs = [made[name] for made in rounds]
        rows.append(
            [
                name,
                with_spread(runs, "rate"),
                with_spread(runs, "cpu_us"),
                number(ratio_of(rounds, OURS, "rate", to=name)),
                number(ratio_of(rounds, OURS, "cpu_us", to=name)),
                number(sum(run["failed"] for run in runs)),
                with_spread(runs, "calibration_ms"),
            ]
        )
    header = ["", "a second", "CPU µs each", "rate, ratio", "CPU, ratio", "failed", "calibration ms"]
    return table(header, rows)


def responsiveness_table(figures: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            with_spread(runs, "mean_ms"),
            with_spread(runs, "p95_ms"),
            with_spread(runs, "p99_ms"),
            number(sum(run["failed"] for run in runs)),
            number(sum(run["dropped"] for run in runs)),
            with_spread(runs, "lag_p99_ms"),
            cpu_text(runs),
        ]
        for name, runs in figures["variants"].items()
    ]
    header = ["", "mean ms", "p95 ms", "p99 ms", "failed", "dropped", "mirror's lag p99 ms", "cores used"]
    return table(header, rows)


def drain_tables(drain: Mapping[str, Any]) -> str:
    """Return tasks and rows per second by size, writer and number of workers; then the ratios."""
    cells, peer = drain["cells"], drain["peer"]
    sizes = sorted({cell["records"] for cell in cells})
    columns = sorted(
        {(cell["writer"], cell["workers"]) for cell in cells}, key=lambda column: (column[0] != "orm", column)
    )
    concurrencies = sorted({cell["concurrency"] for cell in peer})
    header = ["records a task", *(f"{writer} {workers}" for writer, workers in columns)]
    header += [f"peer 2 × {concurrency}" for concurrency in concurrencies]
    shown = []
    for name, title in (("tasks_per_second", "Tasks per second"), ("rows_per_second", "Rows per second")):
        rows = []
        for size in sizes:
            ours = [find_runs(cells, writer=writer, workers=workers, records=size) for writer, workers in columns]
            theirs = [find_runs(peer, concurrency=concurrency, records=size) for concurrency in concurrencies]
            rows.append([f"{size:,}", *(number(median_of(runs, name)) for runs in (*ours, *theirs))])
        shown.append(
            f"{title} (`orm 2`: through the ORM with two workers; `bulk`: `BULK_WRITER=1`):\n\n{table(header, rows)}"
        )
    return "\n".join(shown)


def ratio_table(drain: Mapping[str, Any], *, workers: int) -> str:
    """Return the ratios of two workers, with their spread, to the peer's two processes at the same size and to LOAD DATA."""
    limit, peers_best = load_data_rows_per_second(drain), peers_rows_per_second(drain)
    rows = []
    for size in sorted({cell["records"] for cell in drain["cells"]}):
        theirs = median_of(find_runs(drain["peer"], concurrency=1, records=size), "rows_per_second") or peers_best
        row = [f"{size:,}"]
        for writer in ("orm", "bulk"):
            runs = find_runs(drain["cells"], writer=writer, workers=workers, records=size)
            rate = median_of(runs, "rows_per_second")
            row += [with_spread(runs, "rows_per_second"), number(ratio(rate, theirs)), number(ratio(rate, limit))]
        rows.append(row)
    header = ["records a task", "ORM rows/s", "× peer", "× LOAD DATA", "bulk rows/s", "× peer", "× LOAD DATA"]
    return table(header, rows)


def drain_cpu_table(drain: Mapping[str, Any], *, workers: int) -> str:
    rows = []
    for cell in drain["cells"]:
        if cell["workers"] == workers:
            rows.append([f"{cell['writer']}, {cell['records']:,} records", cpu_text(cell["runs"])])
    return table(["two workers", "cores used"], rows)


def stages_table(figures: Mapping[str, Any], http: Mapping[str, Any] | None) -> str:
    """Return the microseconds of CPU of one POST. Web's time outside the application belongs to the HTTP server."""
    runs = figures["runs"]

    def cpu(stage: str) -> float:
        return median_of([run[stage] for run in runs], "cpu_us") or 0.0

    waited = (median_of([run["start"] for run in runs], "wall_us") or 0.0) - cpu("start")
    rows = [
        ["parse JSON", number(cpu("parse"))],
        ["validate (DRF's serializer)", number(cpu("validate"))],
        ["start the task: snapshot, script, its answer", number(cpu("start"))],
        ["– of which the snapshot's JSON", number(cpu("encode"))],
        ["– waiting for Redis and its fsync, no CPU", number(waited)],
        ["answer (serializer, JSON, headers)", number(cpu("answer"))],
        ["middleware, routing, request, DRF's dispatch", number(cpu("dispatch"))],
        ["**the whole application**", f"**{number(cpu('whole'))}**"],
    ]
    under_load = _per_request(http, "gunicorn", "web") if http else None
    if under_load is not None:
        rows.append(["gunicorn's process, of a POST under wrk, application included", number(under_load)])
    rows.append(["Redis, a POST", number(median_of(runs, "redis_cpu_us"))])
    mirrors = _per_request(http, "gunicorn", "mirror") if http else None
    rows.append(["mirror, a POST under wrk", number(mirrors)])
    return table(["stage", "µs CPU"], rows)


def profile_tables(figures: Mapping[str, Any]) -> str:
    shown = []
    for profile in figures["profiles"]:
        rows = [
            [f"`{found['function']}`", f"{found['calls']:,}", f"{found['share']:.1%}"] for found in profile["functions"]
        ]
        what = f"{profile['tasks']:,} tasks of {profile['records']:,} records, {profile['writer']}"
        shown.append(table([what, "calls", "of the time"], rows))
    return "\n".join(shown)


def critical_table(figures: Mapping[str, Any]) -> str:
    runs = figures["runs"]
    names = ("mean_ms", "median_ms", "p95_ms", "p99_ms", "max_ms")
    header = ["", "mean ms", "median ms", "p95 ms", "p99 ms", "longest ms", "never started", "low tasks left"]
    row = ["accepted to started", *(with_spread(runs, name) for name in names)]
    return table(header, [[*row, number(sum(run["never_started"] for run in runs)), with_spread(runs, "low_left")]])


def sustained_table(figures: Mapping[str, Any]) -> str:
    names = (
        "rate",
        "mean_ms",
        "p99_ms",
        "failed",
        "dropped",
        "backlog_max",
        "backlog_end",
        "backlog_growth",
        "lag_p99_ms",
    )
    rows = [
        [str(index), *(number(run[name]) for name in names), cpu_text([run])]
        for index, run in enumerate(figures["runs"], start=1)
    ]
    header = [
        "run",
        "accepted/s",
        "mean ms",
        "p99 ms",
        "failed",
        "dropped",
        "backlog at most",
        "at the end",
        "growth/s",
    ]
    return table([*header, "mirror's lag p99 ms", "cores used"], rows)


def mirror_table(figures: Mapping[str, Any]) -> str:
    rows = [
        [str(index), *(number(run[name]) for name in ("rate", "lag_median_ms", "lag_p99_ms")), cpu_text([run])]
        for index, run in enumerate(figures["runs"], start=1)
    ]
    return table(["run", "accepted/s", "lag median ms", "lag p99 ms", "cores used"], rows)


def _cpu_per_request(runs: Sequence[Run]) -> str:
    roles = list(runs[0]["cpu_us_per_request"])
    medians = {role: median_of([run["cpu_us_per_request"] for run in runs], role) for role in roles}
    return ", ".join(f"{role} {number(value)}" for role, value in medians.items() if value)


def _per_request(http: Mapping[str, Any], name: str, role: str) -> float | None:
    return median_of([run["cpu_us_per_request"] for run in http["post"].get(name, [])], role)
