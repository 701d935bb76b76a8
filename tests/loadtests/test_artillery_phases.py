"""Phases: how many virtual users arrive, and when."""

import hashlib
import itertools

import pytest

from loadtests.artillery_reader.plan import DEFAULT_SCENARIO
from loadtests.k6 import SCRIPTS
from tests.loadtests.conftest import LoadTests
from tests.loadtests.stub_api import StubApi

ARTILLERY = SCRIPTS / "artillery"
GET = [{"flow": [{"get": {"url": "/echo"}}]}]


def with_phases(*phases: dict[str, object], **config: object) -> dict[str, object]:
    return {"config": {"target": "http://127.0.0.1:1", "phases": list(phases), **config}, "scenarios": GET}


@pytest.mark.parametrize(
    ("phase", "count"),
    [
        ({"duration": 1, "arrivalRate": 7}, 7),
        ({"duration": "500ms", "arrivalRate": 20}, 10),
        ({"duration": 1, "arrivalCount": 5}, 5),
        ({"duration": 3, "arrivalRate": 2, "rampTo": 11}, 2 + 7 + 11),  # Artillery: second i has 2 + 9/2 * i, rounded
        ({"duration": 1, "arrivalRate": 4, "rampTo": 8}, 6),
        ({"duration": 2, "rampTo": 5}, 0 + 5),
    ],
)
def test_a_phase_starts_its_number_of_virtual_users(
    load_tests: LoadTests, api: StubApi, phase: dict[str, object], count: int
) -> None:
    run = load_tests.artillery(with_phases(phase))
    assert run.code == 0, run.stderr
    assert run.counters["vusers.created"] == run.counters["vusers.completed"] == len(api.requests) == count
    assert "vusers.skipped" not in run.counters


def test_phases_follow_each_other_and_pause_sends_nothing(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.artillery(
        with_phases({"duration": 0.5, "arrivalRate": 10}, {"pause": 3}, {"duration": 0.5, "arrivalCount": 4})
    )
    assert run.counters["vusers.created"] == 5 + 4
    moments = sorted(received.at for received in api.requests)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert max(gaps) == gaps[4]
    assert gaps[4] > 2.5  # the pause, and the rest of the first phase, less the delay of the fifth


def test_no_phases_is_one_virtual_user(load_tests: LoadTests, api: StubApi) -> None:
    run = load_tests.artillery({"config": {"target": "http://127.0.0.1:1"}, "scenarios": GET})
    assert run.counters["vusers.created"] == len(api.requests) == 1


def test_max_vusers_turns_arrivals_away(load_tests: LoadTests, api: StubApi) -> None:
    script = with_phases({"duration": 1, "arrivalRate": 10, "maxVusers": 2})
    script["scenarios"] = [{"flow": [{"get": {"url": "/echo"}}, {"think": 5}]}]
    run = load_tests.artillery(script)
    assert run.code == 0, run.stderr
    assert run.counters["vusers.created"] == run.counters["vusers.completed"] == len(api.requests) == 2
    assert run.counters["vusers.skipped"] == 8


def test_too_few_virtual_users_is_a_failure_and_not_a_smaller_load(load_tests: LoadTests) -> None:
    script = with_phases({"duration": 1, "arrivalRate": 10})
    script["scenarios"] = [{"flow": [{"think": 2}]}]
    run = load_tests.artillery(script, MAX_VUS=2)
    assert run.code != 0
    assert run.counters["vusers.skipped"] == 8


def test_weights_are_kept_exactly(load_tests: LoadTests, api: StubApi) -> None:
    script = with_phases({"duration": 1, "arrivalCount": 8})
    script["scenarios"] = [
        {"name": "often", "weight": 3, "flow": [{"get": {"url": "/echo?often"}}]},
        {"weight": 1, "flow": [{"get": {"url": "/echo?seldom"}}]},
        {"name": "never", "weight": 0, "flow": [{"get": {"url": "/echo?never"}}]},
    ]
    run = load_tests.artillery(script)
    assert run.counters["vusers.created_by_name.often"] == 6
    assert run.counters["vusers.created_by_name.1"] == 2
    assert "vusers.created_by_name.never" not in run.counters
    assert sorted(received.path for received in api.requests) == ["/echo?often"] * 6 + ["/echo?seldom"] * 2


# The two files of the document, character for character, a trailing blank included.
@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("responsiveness.yaml", "b5ff32d2a80518fb61be3eb11095fdb48e6a52cca5d162da290272379525a40f"),
        ("gradual.yaml", "3201e32585bbc692611018724302d62df74eab94da49b8b73b09c0e7f74c679f"),
    ],
)
def test_the_documents_files_are_unchanged(name: str, digest: str) -> None:
    assert hashlib.sha256((ARTILLERY / name).read_bytes()).hexdigest() == digest


def test_the_documents_responsiveness_is_2000_a_second_for_a_minute(load_tests: LoadTests) -> None:
    scenarios = load_tests.plan(ARTILLERY / "responsiveness.yaml")
    assert scenarios == load_tests.plan(ARTILLERY / "responsiveness.yaml", DEFAULT_SCENARIO)
    (phase,) = scenarios.values()
    assert (phase["executor"], phase["rate"], phase["timeUnit"]) == ("constant-arrival-rate", 120_000, "1m0s")


def test_the_documents_gradual_load_and_its_native_twin_are_planned(load_tests: LoadTests) -> None:
    (only,) = load_tests.plan(ARTILLERY / "gradual.yaml").values()
    assert (only["executor"], only["iterations"]) == ("per-vu-iterations", 1)
    native = load_tests.plan(ARTILLERY / "gradual_native.yaml").values()
    assert [phase["rate"] for phase in native] == [20, 40, 60, 80]
