"""Markdown tables of single measurements. Must not: judge figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.bench.figures import MISSING, Run, median_of, number, ratio, with_spread
from loadtests.bench.goals import find_runs, load_data_rows_per_second, peers_rows_per_second
from loadtests.bench.turns import OURS, ratio_of


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def cpu_text(runs: Sequence[Run], *, name: str = "cpu") -> str:
    """Return the cores by role: medians of the runs, the busiest first."""
    roles = {role for run in runs for role in run[name]}
    shares = {role: median_of([run[name] for run in runs], role) or 0.0 for role in roles}
    busiest = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{role} {share:.2f}" for role, share in busiest if share >= 0.005) or MISSING


def turns_table(rounds: Sequence[Mapping[str, Mapping[str, Any]]]) -> str:
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
                with_spread(runs, "mean_ms"),
                with_spread(runs, "p99_ms"),
                number(sum(run["failed"] for run in runs)),
                with_spread(runs, "calibration_ms"),
                _cpu_by_role(runs),
            ]
        )
    header = ["", "a second", "CPU µs each", "rate, ratio", "CPU, ratio", "mean ms", "p99 ms", "failed"]
    return table([*header, "calibration ms", "CPU µs each, all"], rows)


def arrival_table(figures: Mapping[str, Any]) -> str:
    names = ("rate", "mean_ms", "median_ms", "p99_ms", "max_ms", "failed", "late", "lag_median_ms", "lag_p99_ms")
    rows = [
        [str(index), *(number(run[name]) for name in names), calibration_text(run), cpu_text([run])]
        for index, run in enumerate(figures["runs"], start=1)
    ]
    header = ["run", "sent/s", "mean ms", "median ms", "p99 ms", "longest ms", "failed", "late"]
    return table([*header, "mirror's lag median ms", "p99 ms", "calibration ms", "cores used"], rows)


def calibration_text(run: Mapping[str, Any]) -> str:
    """Return the calibrations before and after a run."""
    return " and ".join(number(value) for value in run.get("calibration_ms", ())) or MISSING


def max_rate_table(figures: Mapping[str, Any]) -> str:
    rows = [[name, with_spread(runs, "limit")] for name, runs in figures["variants"].items()]
    return table(["", "requests/s"], rows)


def hung_table(figures: Mapping[str, Any]) -> str:
    rows = [
        [
            str(index),
            number(run["live_p99_ms"]),
            number(run["live_failed"]),
            number(run["posts"]),
            f"{run['share_503']:.1%}",
            number(run["post_max_ms"]),
            number(run["unanswered"]),
            number(run["first_201_ms"]),
            number(run["refused_after"]),
            f"{run['streams_open']} of {figures['streams']}",
        ]
        for index, run in enumerate(figures["runs"], start=1)
    ]
    header = ["run", "probes' p99 ms", "not 200", "POSTs meanwhile", "503", "slowest ms", "unanswered"]
    return table([*header, "first 201 ms", "not 201 afterwards", "streams that continue"], rows)


def reload_table(figures: Mapping[str, Any]) -> str:
    names, times = ("requests", "refused", "reset", "silent", "not_2xx"), ("p99_ms", "max_ms")
    rows = [
        [
            kind,
            *(number(sum(run[name] for run in runs)) for name in names),
            *(with_spread(runs, name) for name in times),
        ]
        for kind, runs in figures["kinds"].items()
    ]
    return table(["", "POSTs", "refused", "reset", "unanswered", "not 2xx", "p99 ms", "longest ms"], rows)


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


def stages_table(figures: Mapping[str, Any], turns: Mapping[str, Any] | None) -> str:
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
    rows.append(["Redis, a POST", number(median_of(runs, "redis_cpu_us"))])
    if turns:
        by_role = [made[OURS]["cpu_us_by_role"] for made in turns["post"]]
        rows.append(["web's process, of a POST under wrk, application included", number(median_of(by_role, "web"))])
        rows.append(["mirror, a POST under wrk", number(median_of(by_role, "mirror"))])
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
    names = ("rate", "mean_ms", "p99_ms", "failed", "late", "finished")
    backlog = ("backlog_first", "backlog_last", "backlog_max", "backlog_end", "lag_p99_ms")
    rows = [
        [str(index), *(number(run[name]) for name in (*names, *backlog)), calibration_text(run), cpu_text([run])]
        for index, run in enumerate(figures["runs"], start=1)
    ]
    header = ["run", "sent/s", "mean ms", "p99 ms", "failed", "late", "finished"]
    header += ["backlog, first third", "last third", "at most", "at the end"]
    return table([*header, "mirror's lag p99 ms", "calibration ms", "cores used"], rows)


def _cpu_by_role(runs: Sequence[Run]) -> str:
    found = [run["cpu_us_by_role"] for run in runs if "cpu_us_by_role" in run]
    medians = {role: median_of(found, role) for role in (found[0] if found else ())}
    return ", ".join(f"{role} {number(value)}" for role, value in medians.items() if value) or MISSING
