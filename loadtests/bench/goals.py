"""The goals, the figures measured for them, and whether they are met. Must not: measure or print."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadtests.bench import responsiveness, turns
from loadtests.bench.figures import Run, median_of, number, ratio, values_of, worst_of

MEAN_MS = 40.0
POST_RATIO, GET_RATIO, ONE_RECORD_RATIO, ORM_RATIO, BULK_SHARE = 1.7, 1.5, 10.0, 15.0, 0.5
POST_CPU, GET_CPU = 0.62, 0.7  # of the commit before web ran on one event loop
MAX_RATE_RATIO = 1.5
LIVE_MS, TIMEOUT_MARGIN_MS, AGAIN_MS = 50.0, 100.0, 1000.0
BIG_TASK = 100_000  # records of the task whose rows/s are compared
TASK_BYTES = 1024
LAG_MS = 1000.0
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
        *_turn_goals(figures.get("turns")),
        _arrival_goal(figures.get("arrival")),
        *_mirror_goals(figures.get("arrival")),
        _sustained_goal(figures.get("sustained")),
        *_responsiveness_goals(figures.get("responsiveness")),
        _max_rate_goal(figures.get("max-rate")),
        *_hung_goals(figures.get("redis-hung")),
        _reload_goal(figures.get("reload")),
        *_drain_goals(figures.get("drain")),
        _critical_goal(figures.get("critical")),
        _memory_goal(figures.get("memory")),
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
    """Return whether the backlog's median grew by less than a tenth of a second's arrivals from first to last third."""
    return bool(run["backlog_end"] < rate and run["backlog_last"] - run["backlog_first"] < rate / 10)


def max_rate_ratio(figures: Mapping[str, Any]) -> float | None:
    """Return the median of the ratios of neighbouring runs: our highest rate over the peer's."""
    ours, theirs = (figures["variants"].get(name, []) for name in (responsiveness.OURS, responsiveness.PEER))
    ratios = [{"ratio": ratio(our["limit"], their["limit"])} for our, their in zip(ours, theirs, strict=False)]
    return median_of(ratios, "ratio")


def _turn_goals(figures: Mapping[str, Any] | None) -> list[Goal]:
    goals = []
    for kind, path, rate_least, cpu_most in (
        ("post", "POST /tasks", POST_RATIO, POST_CPU),
        ("get", "GET /tasks/{id}", GET_RATIO, GET_CPU),
    ):
        rounds = figures[kind] if figures else []
        for name, told, figure, limit, is_at_most in (
            (turns.PEER, "requests/s, to the peer's", "rate", rate_least, False),
            (turns.OTHER, "web's CPU, to the other commit's", "cpu_us", cpu_most, True),
        ):
            is_measured = bool(rounds) and name in rounds[0]
            found = turns.ratio_of(rounds, turns.OURS, figure, to=name) if is_measured else None
            shown = "median of the turns"
            goals.append(_ratio_goal(f"wrk: {path}, {told}", found, limit, shown, "turns", is_at_most=is_at_most))
    return goals


def _arrival_goal(figures: Mapping[str, Any] | None) -> Goal:
    rate = figures["rate"] if figures else 2000
    question = f"h2load: POST at {number(rate)}/s for a minute, with the mirror"
    wanted = f"mean ≤ {MEAN_MS:.0f} ms, 0 failed, 0 late"
    if not figures:
        return Goal(question=question, wanted=wanted, figure="–", is_met=None, section="arrival")
    runs = figures["runs"]
    failed, late = sum(values_of(runs, "failed")), sum(values_of(runs, "late"))
    mean_ms = median_of(runs, "mean_ms") or 0.0
    return Goal(
        question=question,
        wanted=wanted,
        figure=f"mean {number(mean_ms)} ms, worst run {number(worst_of(runs, 'mean_ms'))} ms; "
        f"of {number(sum(values_of(runs, 'requests')))} failed {failed:.0f}, late {late:.0f}",
        is_met=mean_ms <= MEAN_MS and not failed and not late,
        section="arrival",
    )


def _max_rate_goal(figures: Mapping[str, Any] | None) -> Goal:
    found = max_rate_ratio(figures) if figures else None
    question = "k6: the highest rate with a mean of 40 ms, to the peer's"
    return _ratio_goal(question, found, MAX_RATE_RATIO, "median of the runs", "max-rate")


def _hung_goals(figures: Mapping[str, Any] | None) -> list[Goal]:
    runs = figures["runs"] if figures else []
    timeout_ms = figures["timeout_ms"] if figures else 1500.0
    streams = figures["streams"] if figures else 20
    limit_ms = timeout_ms + TIMEOUT_MARGIN_MS
    at = "Redis hung"

    def exact(question: str, name: str, wanted: float, shown: str) -> Goal:
        values = values_of(runs, name)
        is_met = all(value == wanted for value in values) if values else None
        worst = number(min(values)) if values else "–"
        return Goal(question=question, wanted=shown, figure=worst, is_met=is_met, section="redis-hung")

    return [
        _most_goal(f"{at}: /health/live, p99", runs, "live_p99_ms", LIVE_MS, "ms", "redis-hung"),
        exact(f"{at}: share of the POSTs answered 503, worst run", "share_503", 1.0, "1"),
        _most_goal(f"{at}: slowest POST", runs, "post_max_ms", limit_ms, "ms", "redis-hung", is_of_each=True),
        exact(f"{at}: streams that continue, worst run", "streams_open", streams, str(streams)),
        _most_goal(f"{at}: first 201 after it continued", runs, "first_201_ms", AGAIN_MS, "ms", "redis-hung"),
    ]


def _reload_goal(figures: Mapping[str, Any] | None) -> Goal:
    question = f"Reload under {number(figures['rate'] if figures else 500)} POSTs a second"
    wanted = "0 refused, 0 reset, 0 not 2xx"
    runs = [run for runs in figures["kinds"].values() for run in runs] if figures else []
    sums = {name: sum(values_of(runs, name)) for name in ("refused", "reset", "silent", "not_2xx")}
    shown = ", ".join(f"{name.replace('_', ' ')} {value:.0f}" for name, value in sums.items())
    figure = f"{shown}, of {number(sum(values_of(runs, 'requests')))}" if runs else "–"
    is_met = not any(sums.values()) if runs else None
    return Goal(question=question, wanted=wanted, figure=figure, is_met=is_met, section="reload")


def _responsiveness_goals(figures: Mapping[str, Any] | None) -> list[Goal]:
    goals = []
    for variant, told in (
        (responsiveness.OURS, "workers stopped meanwhile"),
        (responsiveness.BUSY, "two workers busy with tasks of 100 records meanwhile"),
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
    wanted = "none failed, no growing backlog"
    if not figures:
        return Goal(question=question, wanted=wanted, figure="–", is_met=None, section="sustained")
    runs = figures["runs"]
    failed = sum(values_of(runs, "failed"))
    is_given = all(run["rate"] >= figures["rate"] * GIVEN_SHARE for run in runs)
    is_met = not failed and is_given and all(is_steady(run, rate=figures["rate"]) for run in runs)
    figure = (
        f"{number(median_of(runs, 'rate'))}/s; backlog, median: {number(median_of(runs, 'backlog_first'))} in the first "
        f"third, {number(median_of(runs, 'backlog_last'))} in the last; failed {failed:.0f}"
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
        _most_goal(f"Mirror's lag {at}, p99", runs, "lag_p99_ms", LAG_MS, "ms", "arrival"),
        _most_goal(f"Mirror's CPU {at}", shares, "cores", MIRROR_CORES, "cores", "arrival"),
    ]
    if any(run["rate"] < rate * GIVEN_SHARE for run in runs):
        # It received less: its result is not relevant for the goal.
        slowest = number(min(values_of(runs, "rate")))
        return [replace(goal, figure=f"{goal.figure}; given {slowest}/s only", is_met=False) for goal in goals]
    return goals


def _ratio_goal(
    question: str, found: float | None, limit: float, shown: str, section: str, *, is_at_most: bool = False
) -> Goal:
    return Goal(
        question=question,
        wanted=f"{'≤' if is_at_most else '≥'} {limit:g} ×",
        figure="–" if found is None else f"{number(found)} × ({shown})",
        is_met=None if found is None else (found <= limit if is_at_most else found >= limit),
        section=section,
    )


def _most_goal(
    question: str, runs: Sequence[Run], name: str, most: float, unit: str, section: str, *, is_of_each: bool = False
) -> Goal:
    """Return a goal for the median of the runs, or, `is_of_each`, for every run."""
    found, worst = median_of(runs, name), worst_of(runs, name)
    judged = worst if is_of_each else found
    return Goal(
        question=question,
        wanted=f"≤ {most:,.0f} {unit}" if most != MIRROR_CORES else "about 0.1 cores",
        figure="–" if found is None else f"{number(found)} {unit}, worst run {number(worst)}",
        is_met=None if judged is None else judged <= most,
        section=section,
    )
