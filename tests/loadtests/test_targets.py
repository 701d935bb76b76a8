"""Load is sent to this machine only, unless another host is allowed by name."""

import pytest

from tests.loadtests.conftest import LoadTests
from tests.loadtests.stub_api import StubApi

SCRIPTS = ["responsiveness", "max-rate", "status", "mixed", "critical", "soak"]
FOREIGN = "http://load.example.com"


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_refuses_a_foreign_target(load_tests: LoadTests, script: str) -> None:
    run = load_tests.run(script, TARGET=FOREIGN)
    assert run.code not in (0, 99)
    assert "set LOADTESTS_ALLOW_HOST=load.example.com" in run.stderr


@pytest.mark.parametrize(
    "url",
    [
        FOREIGN,
        "http://10.0.0.1:3000",
        "http://127.0.0.1.example.com",
        "http://localhost@load.example.com/",
        "http://load.example.com\\@localhost/",
        "//load.example.com/",
        "file:///etc/passwd",
        "http://[2001:db8::1]/",
    ],
)
def test_artillery_files_are_refused_by_target_and_by_url(load_tests: LoadTests, api: StubApi, url: str) -> None:
    flow = [{"get": {"url": "/echo"}}]
    by_target = load_tests.artillery({"config": {"target": url}, "scenarios": [{"flow": flow}]}, TARGET="")
    assert by_target.code not in (0, 99)
    assert "LOADTESTS_ALLOW_HOST" in by_target.stderr or "not an http(s) URL" in by_target.stderr
    assert api.requests == []


def test_a_flow_cannot_leave_the_target(load_tests: LoadTests, api: StubApi) -> None:
    flow = [{"get": {"url": FOREIGN}}, {"get": {"url": "/echo"}}]
    run = load_tests.artillery({"config": {"target": api.url}, "scenarios": [{"flow": flow}]})
    assert run.code != 0
    assert "LOADTESTS_ALLOW_HOST" in run.stderr
    assert run.counters["vusers.failed"] == 1
    assert api.requests == []


def test_a_redirect_cannot_leave_the_target(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.artillery({"config": {"target": api.url}, "scenarios": [{"flow": [{"get": {"url": "/away"}}]}]})
    assert run.code != 0
    assert run.counters["errors.EBLOCKED"] == run.counters["vusers.failed"] == 1


def test_a_host_can_be_allowed_by_name(load_tests: LoadTests) -> None:
    # .invalid never resolves: an attempt to resolve it shows that the guard allowed the host.
    run = load_tests.artillery(
        {"config": {"target": "http://load.invalid"}, "scenarios": [{"flow": [{"get": {"url": "/"}}]}]},
        TARGET="",
        LOADTESTS_ALLOW_HOST="other.example.com, load.invalid",
    )
    assert run.counters["http.requests"] == run.counters["vusers.failed"] == 1
    assert "LOADTESTS_ALLOW_HOST" not in run.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("RATE", "1000000"), ("DURATION", "0"), ("DURATION", "86400"), ("VUS", "x")]
)
def test_rates_and_lengths_are_bounded(load_tests: LoadTests, api: StubApi, name: str, value: str) -> None:
    run = load_tests.run("responsiveness", **{name: value})
    assert run.code not in (0, 99)
    assert f"{name} is" in run.stderr
    assert api.requests == []
