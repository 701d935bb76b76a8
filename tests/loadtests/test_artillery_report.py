"""The summary: Artillery's own lines, and Artillery itself beside it."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from loadtests.artillery_reader.plan import DEFAULT_SCENARIO, merge, read_file
from loadtests.k6 import SCRIPTS
from tests.loadtests.conftest import CLEAN_ENVIRONMENT, RUN_SECONDS, LoadTests
from tests.loadtests.stub_api import StubApi, running_stub

# The document's sample without its figures.
SAMPLE = """\
http.codes.201: ................................................................ #
http.downloaded_bytes: ......................................................... #
http.request_rate: ............................................................. #/sec
http.requests: ................................................................. #
http.response_time:
  min: ......................................................................... #
  max: ......................................................................... #
  mean: ........................................................................ #
  median: ...................................................................... #
  p95: ......................................................................... #
  p99: ......................................................................... #
http.responses: ................................................................ #
vusers.completed: .............................................................. #
vusers.created: ................................................................ #
vusers.created_by_name.0: ...................................................... #
vusers.failed: ................................................................. #
vusers.session_length:
  min: ......................................................................... #
  max: ......................................................................... #
  mean: ........................................................................ #
  median: ...................................................................... #
  p95: ......................................................................... #
  p99: ......................................................................... #
"""
LOAD = {"config": {"target": "http://localhost:3000", "phases": [{"duration": 2, "arrivalRate": 6}]}}


def test_the_summary_is_the_documents(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.artillery(LOAD)
    head, rule, body = run.stdout.partition("\n\nhttp.codes")
    assert re.fullmatch(
        r"All VUs finished\. Total time: \d+ seconds\n\n(-+)\nSummary report @ \d\d:\d\d:\d\d\([+-]\d{4}\)\n\1", head
    )
    text = (rule + body).lstrip("\n")
    assert re.sub(r"(?<=\. )[\d.]+", "#", text) == SAMPLE
    assert run.counters["http.requests"] == run.counters["http.codes.201"] == len(api.requests) == 12
    seconds = api.requests[-1].at - api.requests[0].at
    assert 1 < seconds < 3
    assert run.rates["http.request_rate"] == pytest.approx(12 / seconds, abs=1.5)
    sizes = [len(json.dumps(task).encode()) for task in api.tasks.values()]
    assert run.counters["http.downloaded_bytes"] == sum(sizes)


def test_a_load_without_scenario_sends_the_documents_request(load_tests: LoadTests, api: StubApi) -> None:
    load_tests.artillery(LOAD)
    assert {(received.method, received.path) for received in api.requests} == {("POST", "/tasks")}
    assert api.requests[0].body == {"name": "upload", "description": "user upload"}


def test_files_are_merged_as_artillery_merges_them() -> None:
    left = {"config": {"target": "a", "phases": [{"duration": 1}, {"pause": 2}]}}
    right = {"config": {"phases": [{"arrivalRate": 3}]}, "scenarios": []}
    assert merge(left, right) == {
        "config": {"target": "a", "phases": [{"duration": 1, "arrivalRate": 3}, {"pause": 2}]},
        "scenarios": [],
    }


def test_a_missing_file_is_named(load_tests: LoadTests, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("config: [")
    run = load_tests.run("artillery", broken)
    assert run.code == 2
    assert str(broken) in run.stderr


def run_artillery(*files: Path, target: str, out: Path) -> dict[str, Any]:
    artillery = shutil.which("artillery")
    if artillery is None:
        pytest.skip("artillery is not on PATH: npm install -g artillery@2.0.21")
    config = ["--config", str(files[0])] if len(files) > 1 else []
    subprocess.run(
        [artillery, "run", "--quiet", "--target", target, "--output", str(out), *config, str(files[-1])],
        env={**CLEAN_ENVIRONMENT, "NODE_OPTIONS": f"--require {SCRIPTS / 'artillery' / 'loopback_only.cjs'}"},
        capture_output=True,
        timeout=RUN_SECONDS,
        check=False,  # 21: expectations failed, which a test may intend
    )
    return json.loads(out.read_text())["aggregate"]["counters"]


def common(counters: dict[str, int]) -> dict[str, int]:
    """Return the common counters: Artillery divides its plugins' figures further, and names a failed expectation's request."""
    return {
        name: value
        for name, value in counters.items()
        if name.startswith(("http.", "vusers.")) or name in ("plugins.expect.ok", "plugins.expect.failed")
    }


@pytest.mark.slow  # Artillery takes seconds to start
@pytest.mark.parametrize(
    "script",
    [
        pytest.param({"phases": [{"duration": 2, "arrivalRate": 6}]}, id="rate"),
        pytest.param(
            {"phases": [{"duration": 1, "arrivalCount": 7}, {"pause": 1}, {"duration": 1, "arrivalRate": 3}]},
            id="count",
        ),
        pytest.param({"phases": [{"duration": 3, "arrivalRate": 2, "rampTo": 11}]}, id="ramp"),
    ],
)
def test_artillery_counts_the_same_arrivals(load_tests: LoadTests, tmp_path: Path, script: dict[str, Any]) -> None:
    load = load_tests.write({"config": {"target": "http://localhost:3000", **script}}, name="load.yaml")
    with running_stub() as other:
        theirs = run_artillery(load, DEFAULT_SCENARIO, target=other.url, out=tmp_path / "artillery.json")
        assert len(other.requests) == theirs["http.requests"]
    ours = load_tests.run("artillery", load, DEFAULT_SCENARIO).counters
    assert common(ours) == common(theirs)


@pytest.mark.slow
def test_artillery_counts_the_same_for_a_flow(load_tests: LoadTests, tmp_path: Path) -> None:
    post = {
        "url": "/tasks",
        "json": {"name": "{{ name }}"},
        "capture": {"json": "$.id", "as": "id"},
        "expect": [{"statusCode": 201}, {"contentType": "json"}, {"hasProperty": "insertedRecords.users"}],
    }
    loop = {"loop": [{"get": {"url": "/tasks/{{ id }}", "expect": {"statusCode": 200}}}], "count": 3}
    flow = [{"post": post}, loop, {"think": 1}, {"get": {"url": "/tasks/none", "expect": {"statusCode": 200}}}, loop]
    script = load_tests.write(
        {
            "config": {
                "target": "http://localhost:3000",
                "variables": {"name": "upload"},
                "phases": [{"duration": 1, "arrivalRate": 5}],
                "plugins": {"expect": {"reportFailuresAsErrors": True}},
            },
            "scenarios": [{"name": "flow", "flow": flow}],
        }
    )
    with running_stub() as other:
        theirs = run_artillery(script, target=other.url, out=tmp_path / "artillery.json")
    ours = load_tests.run("artillery", script).counters
    assert common(ours) == common(theirs)
    assert ours["vusers.failed"] == 5
    assert ours["http.codes.404"] == 5


@pytest.mark.slow
def test_artillery_sends_for_the_native_twin_what_the_documents_loop_sends_here(
    load_tests: LoadTests, tmp_path: Path
) -> None:
    """Artillery cannot run gradual.yaml (it reads a request without URL there); its twin has the same meaning."""
    gradual = read_file(SCRIPTS / "artillery" / "gradual.yaml")
    twin = read_file(SCRIPTS / "artillery" / "gradual_native.yaml")
    for phase in twin["config"]["phases"]:
        assert phase["duration"] == gradual["scenarios"][0]["flow"][0]["loop"][0]["holdFor"]
        phase["duration"] = 1
    gradual["scenarios"][0]["flow"][0]["loop"][0]["holdFor"] = 1
    native = load_tests.write(twin, name="native.yaml")
    with running_stub() as other:
        theirs = run_artillery(native, target=other.url, out=tmp_path / "artillery.json")
    assert common(load_tests.run("artillery", native).counters) == common(theirs)
    ours = load_tests.artillery(gradual).counters
    same = ("http.requests", "http.responses", "http.codes.201")
    assert (
        {name: ours[name] for name in same}
        == {name: theirs[name] for name in same}
        == dict.fromkeys(same, 2 + 4 + 6 + 8)
    )
