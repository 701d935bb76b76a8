"""The report's verdicts on figures: met, not met, not measured; it is written from any part of them."""

from pathlib import Path
from typing import Any

import pytest

from loadtests.bench.__main__ import read_figures, to_text
from loadtests.bench.goals import best_rows_per_second, list_goals
from loadtests.bench.plots import draw_plots
from loadtests.bench.report import report_text
from loadtests.bench.turns import OTHER, OURS, PEER

MACHINE = {
    "cpu": "Some CPU",
    "cores": 2,
    "memoryGiB": 4.0,
    "system": "Debian",
    "kernel": "6",
    "fileSystem": "ext4",
    "fsyncMicroseconds": 100,
    "versions": {"Python": "3.11"},
}


def section(figures: dict[str, Any]) -> dict[str, Any]:
    about = {
        "measuredAt": "2030-01-01T00:00:00+00:00",
        "seconds": 1,
        "commit": "abc",
        "scale": "full",
        "othersCores": 0.0,
    }
    return about | {"figures": figures}


def turn(rate: float, cpu_us: float) -> dict[str, Any]:
    figures = {"rate": rate, "mean_ms": 10.0, "p99_ms": 20.0, "failed": 0, "cpu_us": cpu_us, "calibration_ms": 40.0}
    return figures | {"cpu_us_by_role": {"web": cpu_us, "mirror": 50.0}}


def in_turns(*, ours: float, theirs: float | None, other_cpu_us: float = 1000.0) -> dict[str, Any]:
    made = {OURS: turn(ours, 610.0), OTHER: turn(900.0, other_cpu_us)} | ({PEER: turn(theirs, 900.0)} if theirs else {})
    return section({"post": [made], "get": [made], "drain": [made]})


def sustained(*, end: float, last: float, failed: int = 0) -> dict[str, Any]:
    run = {"rate": 1000.0, "mean_ms": 5.0, "p99_ms": 9.0, "failed": failed, "late": 0, "lag_p99_ms": 50.0}
    run |= {"finished": 60_000, "backlog_max": 50.0, "backlog_end": end, "backlog_first": 10.0, "backlog_last": last}
    run |= {"cpu": {"web": 0.5}}
    return section({"rate": 1000, "seconds": 60, "runs": [run | {"backlog": [[0.0, 1.0], [1.0, 2.0]]}]})


def drain() -> dict[str, Any]:
    def cell(rate: float, **about: Any) -> dict[str, Any]:
        run = {"tasks_per_second": rate, "rows_per_second": rate * 3 * about["records"], "cpu": {"worker": 1.0}}
        return about | {"runs": [run]}

    cells = [cell(3000, writer=w, workers=2, records=1) for w in ("orm", "bulk")]
    cells += [cell(rate, writer="bulk", workers=n, records=100_000) for n, rate in ((1, 0.2), (2, 0.45), (4, 0.4))]
    peer = [cell(250, concurrency=1, records=1), cell(1, concurrency=1, records=1000)]
    load_data = [{"connections": 1, "runs": [{"rows_per_second": 240_000.0}]}]
    return section({"cells": cells, "peer": peer, "loadData": load_data})


def verdicts(sections: dict[str, Any]) -> dict[str, str]:
    return {goal.question: goal.verdict for goal in list_goals(sections)}


def test_without_figures_nothing_is_met() -> None:
    assert set(verdicts({}).values()) == {"not measured"}


@pytest.mark.parametrize(
    ("ours", "theirs", "post", "get"),
    [
        (1800, 1000, "yes", "yes"),
        (1600, 1000, "**no**", "yes"),
        (900, 1000, "**no**", "**no**"),
        (900, None, "not measured", "not measured"),
    ],
)
def test_a_ratio_is_compared_with_its_goal(ours: float, theirs: float | None, post: str, get: str) -> None:
    found = verdicts({"turns": in_turns(ours=ours, theirs=theirs)})
    at = "requests/s, to the peer's"
    assert (found[f"wrk: POST /tasks, {at}"], found[f"wrk: GET /tasks/{{id}}, {at}"]) == (post, get)


@pytest.mark.parametrize(
    ("other_cpu_us", "post", "get"),
    [(1000, "yes", "yes"), (900, "**no**", "yes"), (800, "**no**", "**no**")],
)
def test_the_cpu_of_web_is_compared_with_the_other_commit_s(other_cpu_us: float, post: str, get: str) -> None:
    found = verdicts({"turns": in_turns(ours=1000, theirs=None, other_cpu_us=other_cpu_us)})
    at = "web's CPU, to the other commit's"
    assert (found[f"wrk: POST /tasks, {at}"], found[f"wrk: GET /tasks/{{id}}, {at}"]) == (post, get)


@pytest.mark.parametrize(
    ("end", "last", "failed", "verdict"),
    [(20, 12, 0, "yes"), (20, 200, 0, "**no**"), (5000, 10, 0, "**no**"), (20, 12, 1, "**no**")],
)
def test_a_backlog_must_not_grow(end: float, last: float, failed: int, verdict: str) -> None:
    found = verdicts({"sustained": sustained(end=end, last=last, failed=failed)})
    assert found["Tasks of 1 record, accepted and finished at 1,000/s for a minute"] == verdict


def arrival(*, rate: float, lag_ms: float, cores: float, late: int = 0) -> dict[str, Any]:
    run = {
        "rate": rate,
        "mean_ms": 8.0,
        "median_ms": 7.0,
        "p99_ms": 30.0,
        "max_ms": 90.0,
        "requests": 1000,
        "failed": 0,
    }
    run |= {"late": late, "lag_median_ms": 1.0, "lag_p99_ms": lag_ms, "lag_max_ms": 1900.0, "cpu": {"mirror": cores}}
    return section({"rate": 2000, "seconds": 60, "runs": [run] * 3})


@pytest.mark.parametrize(
    ("rate", "lag_ms", "cores", "lag_verdict", "cpu_verdict"),
    [
        (1999, 400, 0.12, "yes", "yes"),
        (1999, 1600, 0.12, "**no**", "yes"),
        (1999, 400, 0.3, "yes", "**no**"),
        (1250, 400, 0.12, "**no**", "**no**"),
    ],
)
def test_the_mirror_must_have_received_its_rate(
    rate: float, lag_ms: float, cores: float, lag_verdict: str, cpu_verdict: str
) -> None:
    found = verdicts({"arrival": arrival(rate=rate, lag_ms=lag_ms, cores=cores)})
    at = "at 2,000 tasks/s"
    assert (found[f"Mirror's lag {at}, p99"], found[f"Mirror's CPU {at}"]) == (lag_verdict, cpu_verdict)


def test_a_late_post_misses_the_goal() -> None:
    question = "h2load: POST at 2,000/s for a minute, with the mirror"
    for late, verdict in ((0, "yes"), (1, "**no**")):
        assert verdicts({"arrival": arrival(rate=2000, lag_ms=1, cores=0.1, late=late)})[question] == verdict


def test_the_best_number_of_workers_counts() -> None:
    figures = drain()["figures"]
    assert best_rows_per_second(figures, writer="bulk", records=100_000) == (135_000, 2)
    found = {goal.question: goal for goal in list_goals({"drain": drain()})}
    assert found["Tasks of 1 record, 2 workers, to the peer's"].figure.startswith("12 ×")
    assert found["Rows/s of tasks of 100,000 records by the bulk writer, to raw LOAD DATA"].verdict == "yes"
    assert found["Rows/s of tasks of 100,000 records through the ORM, to the peer's"].verdict == "not measured"


def test_the_report_is_written_from_any_part_of_the_figures(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "notes.md").write_text("The disk was slow.\n")
    sections = {"turns": in_turns(ours=1100, theirs=1000), "drain": drain(), "sustained": sustained(end=20, last=10)}
    text = report_text(figures={"machine": MACHINE, "sections": sections}, plots={}, directory=tmp_path)
    assert "Some CPU, 2 cores" in text
    assert "### Where a goal is missed" in text
    assert "The disk was slow." in text
    assert "| 100,000 | – | – | – | 135,000 |" in text
    assert "## Critical tasks" not in text
    sections["arrival"] = arrival(rate=1250, lag_ms=400, cores=0.3)
    text = report_text(figures={"machine": MACHINE, "sections": sections}, plots={}, directory=tmp_path)
    assert "0.3 cores, worst run 0.3; given 1,250/s only | **no** |" in text
    assert "# Benchmarks" in report_text(figures={"sections": {}}, plots={}, directory=tmp_path)


def test_figures_are_kept_from_run_to_run(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert read_figures(path) == {"sections": {}}
    figures = {"machine": MACHINE, "sections": {"turns": in_turns(ours=1, theirs=2), "drain": drain()}}
    path.write_text(to_text(figures))
    assert read_figures(path) == figures


def test_plots_are_drawn_of_the_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the group bench is not installed")
    figures = {"sections": {"drain": drain(), "sustained": sustained(end=20, last=10)}}
    drawn = draw_plots(figures=figures, directory=tmp_path)
    assert sorted(drawn) == ["backlog", "rows_over_size", "tasks_over_size"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn.values())
