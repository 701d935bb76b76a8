"""The goals, the figures measured for them, and whether they are met. Must not: measure or print."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadtests.bench.figures import Run, median_of, number, ratio, values_of, worst_of

MEAN_MS = 40.0
POST_RATIO, GET_RATIO, ONE_RECORD_RATIO, ORM_RATIO, BULK_SHARE = 1.2, 1.0, 10.0, 15.0, 0.5
BIG_TASK = 100_000  # records of the task whose rows/s are compared
TASK_BYTES = 1024
LAG_MS = 500.0
MIRROR_CORES = 0.15  # a tenth of a core or little more
GIVEN_SHARE = 0.99  # share of the rate; below it the generator was too slow
START_MS = 1000.0
WORKERS = 2  # as many as the peer has worker processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    question: str
    wanted: str
    figure: str
    is_met: bool | None  # None: not measured
    section: str  # the measurement it comes from

    @property
    def verdict(self) -> str:
        return {True: "yes", False: "**no**", None: "not measured"}[self.is_met]


def list_goals(sections: Mapping[str, Any]) -> list[Goal]:
    """Return all goals in the order of the report; one without its measurement is `not measured`."""
    figures = {name: section["figures"] for name, section in sections.items()}
    return [
        *_responsiveness_goals(figures.get("responsiveness")),
        *_http_goals(figures.get("http")),
        *_drain_goals(figures.get("drain")),
        _sustained_goal(figures.get("sustained")),
        _critical_goal(figures.get("critical")),
        _memory_goal(figures.get("memory")),
        *_mirror_goals(figures.get("mirror")),
    ]


def find_runs(cells: Sequence[Mapping[str, Any]], **wanted: Any) -> list[Run]:
    """Return the runs of the cell with these values; [] if it was not measured."""
    for cell in cells:
        if all(cell.get(name) == value for name, value in wanted.items()):
            return list(cell["runs"])
    return []


def peers_rows_per_second(drain: Mapping[str, Any], *, concurrency: int = 1) -> float | None:
    """Return the peer's best rate at any size: it writes row by row, so a bigger task is not faster."""
    rates = [median_of(cell["runs"], "rows_per_second") for cell in drain["peer"] if cell["concurrency"] == concurrency]
    return max((rate for rate in rates if rate is not None), default=None)


def load_data_rows_per_second(drain: Mapping[str, Any]) -> float | None:
    return median_of(find_runs(drain["loadData"], connections=1), "rows_per_second")


def best_rows_per_second(drain: Mapping[str, Any], *, writer: str, records: int) -> tuple[float, int] | None:
    """Return the best median over the numbers of workers, and that number."""
    rates = [
        (rate, cell["workers"])
        for cell in drain["cells"]
        if cell["writer"] == writer
        and cell["records"] == records
        and (rate := median_of(cell["runs"], "rows_per_second")) is not None
    ]
    return max(rates, default=None)


def is_steady(run: Run, *, rate: float) -> bool:
    """Return whether less than one second's arrivals wait at the end, and the second half added less than 1 %."""
    return bool(run["backlog_end"] < rate and run["backlog_growth"] < rate / 100)


def _responsiveness_goals(figures: Mapping[str, Any] | None) -> list[Goal]:
    goals = []
    for variant, told in (
        ("gunicorn, without workers", "workers stopped meanwhile"),
        ("gunicorn, with workers", "two workers busy with tasks of 100 records meanwhile"),
    ):
        question = f"k6: POST at {number(figures['rate']) if figures else '2,000'}/s, {told}"
        runs = figures["variants"].get(variant, []) if figures else []
        is_met = None
        figure = "–"
        if runs:
            failed, dropped = sum(values_of(runs, "failed")), sum(values_of(runs, "dropped"))
            mean_ms = median_of(runs, "mean_ms") or 0.0
            is_met = mean_ms <= MEAN_MS and not failed and not dropped
            figure = (
                f"mean {number(mean_ms)} ms, worst run {number(worst_of(runs, 'mean_ms'))} ms; "
                f"of {number(sum(values_of(runs, 'requests')))} failed {failed:.0f}, dropped {dropped:.0f}"
            )
        wanted = f"mean ≤ {MEAN_MS:.0f} ms, 0 failed, 0 dropped"
        goals.append(Goal(question=question, wanted=wanted, figure=figure, is_met=is_met, section="responsiveness"))
    return goals


def _http_goals(figures: Mapping[str, Any] | None) -> list[Goal]:
    goals = []
    for method, path, least in (("post", "POST /tasks", POST_RATIO), ("get", "GET /tasks/{id}", GET_RATIO)):
        runs = figures[method] if figures else {}
        ours, theirs = median_of(runs.get("gunicorn", []), "rate"), median_of(runs.get("peer", []), "rate")
        shown = f"{number(ours)}/s to {number(theirs)}/s"
        goals.append(_ratio_goal(f"wrk: {path}, to the peer's", ratio(ours, theirs), least, shown, "http"))
    return goals


def _drain_goals(drain: Mapping[str, Any] | None) -> list[Goal]:
    cells = drain["cells"] if drain else []
    peer = drain["peer"] if drain else []
    ours = median_of(find_runs(cells, writer="orm", workers=WORKERS, records=1), "tasks_per_second")
    theirs = median_of(find_runs(peer, concurrency=1, records=1), "tasks_per_second")
    shown = f"{number(ours)} to {number(theirs)} tasks/s"
    goals = [
        _ratio_goal(
            "Tasks of 1 record, 2 workers, to the peer's", ratio(ours, theirs), ONE_RECORD_RATIO, shown, "drain"
        )
    ]
    limits = (
        ("orm", "through the ORM, to the peer's", ORM_RATIO, peers_rows_per_second(drain) if drain else None),
        (
            "bulk",
            "by the bulk writer, to raw LOAD DATA",
            BULK_SHARE,
            load_data_rows_per_second(drain) if drain else None,
        ),
    )
    for writer, told, least, limit in limits:
        best = best_rows_per_second(drain, writer=writer, records=BIG_TASK) if drain else None
        shown = f"{number(best[0])} ({best[1]} workers) to {number(limit)} rows/s" if best else "–"
        question = f"Rows/s of tasks of 100,000 records {told}"
        goals.append(_ratio_goal(question, ratio(best[0] if best else None, limit), least, shown, "drain"))
    return goals


def _sustained_goal(figures: Mapping[str, Any] | None) -> Goal:
    question = "Tasks of 1 record, accepted and finished at 1,000/s for a minute"
    wanted = "none failed or dropped, no growing backlog"
    if not figures:
        return Goal(question=question, wanted=wanted, figure="–", is_met=None, section="sustained")
    runs = figures["runs"]
    failed, dropped = sum(values_of(runs, "failed")), sum(values_of(runs, "dropped"))
    is_met = not failed and not dropped and all(is_steady(run, rate=figures["rate"]) for run in runs)
    figure = (
        f"{number(median_of(runs, 'rate'))}/s; backlog at most {number(worst_of(runs, 'backlog_max'))}, "
        f"at the end {number(worst_of(runs, 'backlog_end'))}; failed {failed:.0f}, dropped {dropped:.0f}"
    )
    return Goal(question=question, wanted=wanted, figure=figure, is_met=is_met, section="sustained")


def _critical_goal(figures: Mapping[str, Any] | None) -> Goal:
    runs = figures["runs"] if figures else []
    return _most_goal("Start of a high task under a flood of low ones, p99", runs, "p99_ms", START_MS, "ms", "critical")


def _memory_goal(figures: Mapping[str, Any] | None) -> Goal:
    runs = figures["runs"] if figures else []
    return _most_goal("Redis's memory of a waiting task", runs, "bytes_per_task", TASK_BYTES, "bytes", "memory")


def _mirror_goals(figures: Mapping[str, Any] | None) -> list[Goal]:
    runs = figures["runs"] if figures else []
    rate = figures["rate"] if figures else 2000
    shares = [{"cores": run["cpu"]["mirror"]} for run in runs]
    at = f"at {number(rate)} tasks/s"
    goals = [
        _most_goal(f"Mirror's lag {at}, p99", runs, "lag_p99_ms", LAG_MS, "ms", "mirror"),
        _most_goal(f"Mirror's CPU {at}", shares, "cores", MIRROR_CORES, "cores", "mirror"),
    ]
    if any(run["rate"] < rate * GIVEN_SHARE for run in runs):
        # It received less: its result is not relevant for the goal.
        slowest = number(min(values_of(runs, "rate")))
        return [replace(goal, figure=f"{goal.figure}; given {slowest}/s only", is_met=False) for goal in goals]
    return goals


def _ratio_goal(question: str, found: float | None, least: float, shown: str, section: str) -> Goal:
    return Goal(
        question=question,
        wanted=f"≥ {least:g} ×",
        figure="–" if found is None else f"{number(found)} × ({shown})",
        is_met=None if found is None else found >= least,
        section=section,
    )


def _most_goal(question: str, runs: Sequence[Run], name: str, most: float, unit: str, section: str) -> Goal:
    found = median_of(runs, name)
    worst = worst_of(runs, name)
    return Goal(
        question=question,
        wanted=f"≤ {most:,.0f} {unit}" if most != MIRROR_CORES else "about 0.1 cores",
        figure="–" if found is None else f"{number(found)} {unit}, worst run {number(worst)}",
        is_met=None if found is None else found <= most,
        section=section,
    )
