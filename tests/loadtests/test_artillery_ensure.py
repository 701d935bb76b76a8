"""`ensure` decides the exit code, as in Artillery; `apdex` gives it a score."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from loadtests.artillery_reader.checks import CheckError, error_rate_check, figures_of, legacy_check, parse_check
from tests.loadtests.conftest import LoadTests
from tests.loadtests.stub_api import StubApi

SUMMARY = {
    "counters": {"vusers.created": 10, "vusers.completed": 9, "http.codes.200": 5},
    "rates": {"http.request_rate": 3},
    "summaries": {"http.response_time": {"p95": 100, "p99": 120, "median": 50}},
}
# The verdict of artillery-plugin-ensure 1.15.0 on each for this summary.
VERDICTS = {
    "http.codes.500 == 0": False,  # not measured
    "http.codes.500 != 0": True,
    "http.codes.200 == 5": True,
    "vusers.created": False,  # 10 is not 1
    "1 == 1": True,
    "not (1 == 2)": True,
    "not 1 == 2": False,  # (not 1) == 2
    "not 1 == 1 or 1 == 1": True,
    "1 < 2 and 2 < 3": True,
    "1 < 2 < 3": True,
    "2 ^ 3 == 8": True,
    "2 ^ 3 ^ 2 == 512": False,  # (2 ^ 3) ^ 2
    "-2 ^ 2 == -4": False,
    "7 % 4 == 3": True,
    "-7 % 4 == 1": False,
    "1 + 2 * 3 == 7": True,
    "(vusers.created - vusers.completed) * 10 <= 10": True,
    "http.response_time.p95 < 200 or http.codes.500 > 1": True,
    "http.codes.500 > 1 or http.response_time.p95 < 200": True,
    "http.codes.500 < 3 and 1 == 2": False,
    "vusers.created / 0 > 5": True,
    "(1==1)==1": True,
    "1 == 2 or 3": False,
    "0 == 1 and 1 == 1 or 1 == 1": True,
    "1 == 1 or 1 == 1 and 1 == 2": True,
    "http.response_time.median<http.response_time.p95": True,
    "http.request_rate >= 3": True,
}


@pytest.mark.parametrize("expression", VERDICTS)
def test_expressions_mean_what_artillerys_plugin_says(expression: str) -> None:
    assert parse_check(expression).is_met(figures_of(SUMMARY)) is VERDICTS[expression]


def test_short_forms_mean_what_artillerys_plugin_says() -> None:
    figures = figures_of(SUMMARY)
    assert legacy_check(name="p95", most=101).is_met(figures)
    assert not legacy_check(name="p95", most=100.9).is_met(figures)
    assert not legacy_check(name="min", most=1).is_met(figures)
    assert error_rate_check(10).is_met(figures)
    assert not error_rate_check(9.9).is_met(figures)


@pytest.mark.parametrize(
    "expression", ["", "1 ==", "1 = 1", "1 <> 2", "(1 == 1", "1 == 1)", "TRUE", "a.b < 1", "1e3 < 2", "x of y"]
)
def test_expressions_that_are_not_understood_are_refused(expression: str) -> None:
    with pytest.raises(CheckError):
        parse_check(expression)


@pytest.mark.slow
def test_the_table_equals_artillerys_plugin() -> None:
    artillery = shutil.which("artillery")
    if artillery is None:
        pytest.skip("artillery is not on PATH: npm install -g artillery@2.0.21")
    script = (
        "global.artillery = { version: '2.0.21', log() {}, globalEvents: { emit() {} } };"
        "const { Plugin } = require(require.resolve('artillery-plugin-ensure', { paths: [process.argv[1]] }));"
        "const { report, expressions } = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "const conditions = expressions.map((expression) => ({ expression }));"
        "const checks = Plugin.runChecks({ conditions }, Plugin.statsToVars({ report }));"
        "console.log(JSON.stringify(checks.map(({ result }) => result === 1)));"
    )
    done = subprocess.run(
        ["node", "-e", script, str(Path(artillery).resolve().parent)],
        input=json.dumps({"report": SUMMARY, "expressions": list(VERDICTS)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == list(VERDICTS.values())


def script(ensure: dict[str, Any] | None = None, *, url: str = "/echo", **config: Any) -> dict[str, Any]:
    config = config if ensure is None else {**config, "ensure": ensure}
    flow = [{"get": {"url": url, "capture": {"json": "$.method", "as": "method"}}}]
    return {
        "config": {"target": "http://127.0.0.1:1", "phases": [{"duration": 1, "arrivalCount": 4}], **config},
        "scenarios": [{"flow": flow}],
    }


def test_a_run_whose_checks_are_met_succeeds(load_tests: LoadTests) -> None:
    ensure = {
        "thresholds": [{"http.response_time.p99": 60_000}],
        "conditions": [
            {"expression": "http.codes.200 == vusers.created and vusers.failed == 0"},
            {"expression": "vusers.created == 7", "strict": False},
        ],
        "p95": 60_000,
        "maxErrorRate": 0,
    }
    run = load_tests.artillery(script(ensure))
    assert run.code == 0, run.stderr
    assert run.stdout[run.stdout.index("Checks:") :].splitlines() == [
        "Checks:",
        "ok: http.response_time.p99 < 60000",
        "ok: http.codes.200 == vusers.created and vusers.failed == 0",
        "fail: vusers.created == 7 (optional)",
        "ok: p95 < 60000",
        "ok: maxErrorRate < 0",
    ]


@pytest.mark.parametrize(
    ("ensure", "line"),
    [
        ({"thresholds": [{"http.response_time.min": 1}]}, "fail: http.response_time.min < 1"),
        ({"conditions": [{"expression": "http.codes.500 == 0"}]}, "(not measured: http.codes.500)"),
        ({"p99": 1}, "fail: p99 < 1"),
        ({"max": 1}, "fail: max < 1"),
    ],
)
def test_a_check_that_is_not_met_fails_the_run(
    load_tests: LoadTests, api: StubApi, ensure: dict[str, Any], line: str
) -> None:
    api.delay_seconds = 0.02
    run = load_tests.artillery(script(ensure))
    assert run.code == 99
    assert line in run.stdout
    assert run.counters["vusers.completed"] == 4


def test_ensure_limits_failing_virtual_users(load_tests: LoadTests) -> None:
    assert load_tests.artillery(script(url="/none")).code == 99
    assert load_tests.artillery(script({"conditions": [{"expression": "vusers.failed <= 4"}]}, url="/none")).code == 0
    assert load_tests.artillery(script({"maxErrorRate": 99}, url="/none")).code == 99


def test_ensure_may_be_under_plugins(load_tests: LoadTests) -> None:
    assert load_tests.artillery(script(plugins={"ensure": {"min": 0}})).code == 99
    assert load_tests.artillery(script({"min": 60_000}, plugins={"ensure": {}})).code == 0


def test_apdex_counts_and_has_a_score(load_tests: LoadTests, api: StubApi) -> None:
    api.delay_seconds = 0.15
    ensure = {"conditions": [{"expression": "apdex == 0.5"}]}
    run = load_tests.artillery(script(ensure, apdex={"threshold": 100}, plugins={"apdex": {}}))
    assert run.counters["apdex.tolerated"] == 4, run.counters
    assert run.code == 0, run.stdout
    assert "Apdex score: 0.5" in run.stdout
