"""The document's load test: runs against a real stack, the arithmetic for another machine, and the page that tells of it."""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtests.analysis import measure as measuring
from loadtests.analysis.arithmetic import BUSY, Costs, find_costs
from loadtests.analysis.loads import FULL, shorten
from loadtests.analysis.page import to_page
from loadtests.analysis.terms import TERMS
from loadtests.artillery_reader.plan import read_plan
from loadtests.bench.errors import BenchError
from settings.env import ROOT
from tests.support.servers import IS_EMBEDDED
from tests.support.stack import ProcfileStack

KEPT = json.loads((ROOT / "docs" / "load-test.json").read_text(encoding="utf-8"))


def row(page: str, name: str, *, table: int) -> str:
    """The row of a figure in the table of that number, by its cells."""
    return [line for line in page.splitlines() if line.startswith(f"| `{name}` |")][table]


def unfolded(figures: dict[str, Any]) -> str:
    """The page's text without line breaks."""
    return " ".join(to_page(figures).split())


@pytest.fixture
def figures() -> dict[str, Any]:
    return copy.deepcopy(KEPT)


def test_the_page_is_what_the_figures_kept_say() -> None:
    assert (ROOT / "docs" / "load-test.md").read_text(encoding="utf-8") == to_page(KEPT), (
        "run `make load-test ARGS=--page-only`"
    )


def test_the_documents_figures_stand_beside_ours(figures: dict[str, Any]) -> None:
    page = to_page(figures)
    for name, theirs in (
        ("http.codes.201", "9"),
        ("http.request_rate", "6/s"),
        ("http.response_time: mean", "182.6 ms"),
        ("http.response_time: p99", "183.1 ms"),
        ("vusers.session_length: mean", "198.9 ms"),
    ):
        assert row(page, name, table=0).startswith(f"| `{name}` | {theirs} |")
    for term in TERMS:
        assert page.count(term.meaning) == 1


def test_a_mean_is_judged_by_the_goal(figures: dict[str, Any]) -> None:
    six = next(run for run in figures["runs"] if run["load"] == "six" and run["tool"] == "k6")
    six["summaries"]["http.response_time"]["mean"] = 40.0
    assert "Here the mean is 40.0 ms at 6 a second: the goal of 40 ms is met." in unfolded(figures)
    six["summaries"]["http.response_time"]["mean"] = 182.6
    assert "Here the mean is 182.6 ms at 6 a second: the goal of 40 ms is missed, by a factor of 4.6." in unfolded(
        figures
    )


def test_what_went_wrong_is_on_the_page(figures: dict[str, Any]) -> None:
    goal = next(run for run in figures["runs"] if run["load"] == "responsiveness" and run["tool"] == "k6")
    goal["counters"] |= {"http.codes.201": 5, "http.requests": 12, "http.codes.503": 4, "errors.ETIMEDOUT": 3}
    figures["othersCores"], figures["artillery"] = 0.0, ""
    for run in figures["runs"]:
        run["othersCores"] = 0.1
    assert "Nothing else was at work." in unfolded(figures)
    goal["othersCores"] = 1.4
    figures["runs"] = [run for run in figures["runs"] if run["tool"] == "k6"]
    page = to_page(figures)
    assert "to 5 of 12 at 2,000 a second" in unfolded(figures)
    assert "| `http.codes.503` | 4 |" in page
    assert "| `errors.ETIMEDOUT` | 3 |" in page
    assert "Something else kept up to 1.4 cores busy meanwhile" in unfolded(figures)
    assert "Artillery was not installed" in page


def test_the_arithmetic_of_another_machine() -> None:
    run = {"counters": {"http.responses": 1000}, "cpuSeconds": {"web": 0.8, "redis": 0.2, "worker": 5}}
    drain = {"cpuMicrosecondsPerTask": {"worker": 2000, "mirror": 200, "redis": 100, "mariadb": 700, "web": 9}}
    costs = find_costs(run, drain)
    assert costs.cores(rate=2000, with_tasks=False) == pytest.approx(2.0)
    assert costs.cores(rate=2000, with_tasks=True) == pytest.approx(8.0)
    assert costs.rate(with_tasks=False, cores=4) == pytest.approx(4 * BUSY / 0.001)
    assert isinstance(costs, Costs)


def test_a_try_is_short_and_the_full_loads_are_the_documents() -> None:
    six, gradual, goal = (read_plan([load.k6_file]).script for load in FULL)
    assert goal["config"]["phases"] == [{"duration": 60, "arrivalRate": 2000}]
    assert six["config"]["phases"] == [{"duration": 10, "arrivalRate": 6}]
    assert {key: gradual["scenarios"][0]["flow"][0]["loop"][0][key] for key in ("count", "increment", "holdFor")} == {
        "count": 4, "increment": 2, "holdFor": 10,
    }  # fmt: skip


PERIOD = """
--------------------------------------
Metrics for period to: 19:36:00(-0300) (width: 2.295s)
--------------------------------------

http.codes.201: ................................................................ 9
errors.ETIMEDOUT: .............................................................. 2
http.request_rate: ............................................................. 6/sec
http.response_time:
  max: ......................................................................... 231
vusers.created: ................................................................ 11
"""


def test_a_generator_that_does_not_end_is_interrupted_and_its_counts_are_kept(tmp_path: Path) -> None:
    """Artillery, where its one core is too slow for the load: it writes its figures at the end only."""
    out = tmp_path / "report.json"
    script = f"import signal\nprint({2 * PERIOD!r}, flush=True)\nsignal.pause()"
    report = measuring._run_tool([sys.executable, "-c", script], environment={}, out=out, deadline_seconds=1)
    assert report["counters"] == {"http.codes.201": 18, "errors.ETIMEDOUT": 4, "vusers.created": 22}
    assert report["rates"] == report["summaries"] == {}


def test_a_generator_that_fails_ends_the_run_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"status 3:\nno such file"):
        measuring._run_tool(
            [sys.executable, "-c", "import sys; print('no such file'); sys.exit(3)"],
            environment={},
            out=tmp_path / "report.json",
            deadline_seconds=10,
        )


def test_a_run_that_did_not_end_is_told_as_one(figures: dict[str, Any]) -> None:
    goal = next(run for run in figures["runs"] if run["load"] == "responsiveness" and run["tool"] == "k6")
    figures["runs"] = [run for run in figures["runs"] if run["tool"] == "k6"]
    late = {
        "tool": "Artillery",
        "ended": False,
        "seconds": 92.3,
        "summaries": {},
        "rates": {},
        "counters": {"vusers.created": 7},
    }
    figures["runs"].append(goal | late)
    assert "Artillery had not ended after 92 s and was interrupted" in unfolded(figures)
    assert row(to_page(figures), "http.response_time: mean", table=2).endswith("| – |")


@pytest.mark.skipif(IS_EMBEDDED, reason="the roles of the stack are those of MariaDB and Redis")
def test_the_loads_run_against_a_stack(
    stack: ProcfileStack, servers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "find_artillery", lambda: "")
    roles: dict[str, Any] = {name: lambda name=name: stack.pids(name) for name in ("web", "worker", "mirror")}
    roles |= {"redis": lambda: [servers[1].pid], "mariadb": lambda: [servers[0].pid]}
    place = measuring.Place(stack=stack, roles=roles, begin=lambda: None, directory=tmp_path, say=lambda _: None)
    before = stack.sql("SELECT COUNT(*) FROM users")[0][0]

    measured = measuring.measure(place, loads=[shorten(load, directory=tmp_path) for load in FULL], drain_tasks=10)

    assert [(run["load"], run["tool"]) for run in measured["runs"]] == [(load.key, "k6") for load in FULL]
    for run in measured["runs"]:
        assert run["counters"]["http.codes.201"] == run["counters"]["http.requests"] > 0
        assert run["summaries"]["http.response_time"]["mean"] > 0
        assert run["cpuSeconds"].keys() == {*roles, "client"}
        assert all(mib > 1 for mib in run["memoryMib"].values())
    assert measured["drain"]["cpuMicrosecondsPerTask"]["worker"] > 0
    accepted = sum(run["counters"]["http.codes.201"] for run in measured["runs"])
    stack.wait_for(
        lambda: stack.sql("SELECT COUNT(*) FROM users")[0][0] == before + 100 * (accepted + 10),
        deadline_seconds=60,
        what="every task that was accepted has written its rows",
    )
    to_page(KEPT | measured)
