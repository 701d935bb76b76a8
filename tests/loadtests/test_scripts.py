"""The k6 scripts on the stub: their requests, verdicts and output."""

import json
from pathlib import Path

import pytest

from loadtests.plot import plot_rates
from tests.loadtests.conftest import LoadTests
from tests.loadtests.stub_api import StubApi

UPLOAD = {"name": "upload", "description": "user upload"}
# For runs that must meet their thresholds: the speed of the stub on a shared machine is irrelevant.
# Their rates leave time to send the last request before k6 ends the run.
PATIENT = {"MEAN_MS": 2000}


def test_responsiveness_sends_the_documents_request(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.run("responsiveness", RATE=5, DURATION=4, **PATIENT)
    assert run.code == 0, run.stdout
    assert {(received.method, received.path) for received in api.requests} == {("POST", "/tasks")}
    assert all(received.body == UPLOAD for received in api.requests)
    assert 20 <= len(api.requests) <= 21
    assert "all thresholds met" in run.stdout


def test_responsiveness_fails_above_40_ms(load_tests: LoadTests, api: StubApi) -> None:
    api.delay_seconds = 0.08
    run = load_tests.run("responsiveness", RATE=5, DURATION=1)
    assert run.code == 99
    assert run.report["failedThresholds"] == ["http_req_duration: avg<40"]


def test_responsiveness_fails_on_failures_and_dropped_requests(load_tests: LoadTests, api: StubApi) -> None:
    api.delay_seconds = 0.3
    run = load_tests.run("responsiveness", RATE=20, DURATION=1, VUS=1, **PATIENT, TARGET=f"{api.url}/wrong")
    assert run.code == 99
    assert sorted(run.report["failedThresholds"]) == ["dropped_iterations: count==0", "http_req_failed: rate==0"]


def test_status_requests_the_tasks_it_started(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.run("status", RATE=5, DURATION=4, TASKS=3, **PATIENT)
    assert run.code == 0, run.stdout
    assert api.count()["POST"] == len(api.tasks) == 3
    assert api.count()["GET"] >= 20
    assert {received.path.removeprefix("/tasks/") for received in api.requests[3:]} <= set(api.tasks)


def test_mixed_posts_every_tenth_time(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.run("mixed", RATE=7, DURATION=5, TASKS=2, NUM_RECORDS=7, **PATIENT)
    assert run.code == 0, run.stdout
    assert api.count()["POST"] - 2 == 4
    assert api.count()["GET"] in (31, 32)
    assert all(received.body["params"] == {"numRecords": 7} for received in api.requests if received.method == "POST")


def test_critical_measures_with_the_apis_own_timestamps(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.run("critical", RATE=3, DURATION=1, FLOOD_RATE=5, FLOOD_RECORDS=9, HEAD_START=0)
    assert run.code == 0, run.stdout
    high = [
        received.body for received in api.requests if received.method == "POST" and received.body["priority"] == "high"
    ]
    low = [
        received.body for received in api.requests if received.method == "POST" and received.body["priority"] == "low"
    ]
    assert high[0] == {**UPLOAD, "params": {"numRecords": 1}, "priority": "high"}
    assert low[0] == {**UPLOAD, "params": {"numRecords": 9}, "priority": "low"}
    assert run.report["metrics"]["critical_time_to_start"]["med"] == 20
    assert run.report["metrics"]["critical_time_to_end"]["med"] == 50


def test_soak_shows_each_tenth_of_the_run(load_tests: LoadTests) -> None:
    run = load_tests.run("soak", RATE=20, DURATION=5, **PATIENT)
    assert run.code == 0, run.stdout
    assert all(run.report["metrics"][f"http_req_duration{{tenth:{tenth}}}"]["avg"] > 0 for tenth in range(10))


@pytest.mark.slow
def test_max_rate_stops_at_the_step_that_passes_the_mean(load_tests: LoadTests, api: StubApi) -> None:
    api.slow_from_rate = 30
    run = load_tests.run("max-rate", START_RATE=10, STEP_RATE=10, MAX_RATE=80, HOLD=2, REST=2, MEAN_MS=200)
    assert run.code == 0, run.stderr
    rates = [step["rate"] for step in run.report["steps"]]
    assert rates == list(range(10, 10 * len(rates) + 1, 10))
    assert [step["held"] for step in run.report["steps"]] == [True] * (len(rates) - 1) + [False]
    assert run.report["limit"] == rates[-2] < 80
    assert f"limit: {run.report['limit']} requests/s" in run.stdout


def test_max_rate_without_one_held_step_is_a_failure(load_tests: LoadTests, api: StubApi) -> None:
    api.delay_seconds = 0.1
    run = load_tests.run("max-rate", START_RATE=5, STEP_RATE=5, MAX_RATE=5, HOLD=1, REST=0)
    assert run.code == 99
    assert run.report["limit"] == 0


def test_the_dashboard_is_written(load_tests: LoadTests, tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    run = load_tests.run("responsiveness", "--html", html, RATE=10, DURATION=2, **PATIENT)
    assert run.code == 0, run.stderr
    assert "<html" in html.read_text().lower()


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the group bench is not installed")
    figures = {"mean": 5.0, "median": 4.0, "p95": 9.0, "p99": 20.0}
    steps = [{"rate": 100, "held": True, **figures}, {"rate": 200, "held": False, **figures, "mean": 70.0}]
    report = tmp_path / "max_rate.json"
    report.write_text(json.dumps({"meanMs": 40, "limit": 100, "steps": steps}))
    png = tmp_path / "max_rate.png"
    plot_rates(report=report, png=png)
    assert png.read_bytes().startswith(b"\x89PNG")
