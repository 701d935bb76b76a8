"""Artillery files: merged, chosen by environment, and refused in one line where they cannot be read."""

import re
from pathlib import Path

import pytest
import yaml

from loadtests.__main__ import main
from loadtests.artillery_reader.plan import DEFAULT_SCENARIO, UnreadableFile, read_plan
from loadtests.artillery_reader.yaml_text import MOST_BYTES
from tests.loadtests.conftest import LoadTests
from tests.loadtests.scripts import GET, TARGET, request, script
from tests.loadtests.stub_api import StubApi


def test_the_line_is_that_of_the_key_in_the_last_file_that_has_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(
        f"config:\n  target: {TARGET}\n  http:\n    pool: 3\nscenarios:\n  - flow: [{{get: {{url: /}}}}]\n"
    )
    second.write_text("config:\n  http:\n    timeout: 5\n    pool: none\n")
    with pytest.raises(
        UnreadableFile, match=rf"^{re.escape(str(second))}:4: config.http.pool is \"none\": give a whole"
    ):
        read_plan([first, second])
    with pytest.raises(UnreadableFile, match=rf"^{re.escape(str(second))}:4: config.http.pool"):
        read_plan([second, first, second])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"# nothing\n", "the file is empty"),
        (b"- a\n", "the file is a list"),
        (b"text\n", "the file is a single value"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
        (b"\x00\x01\x02", "U+0000"),
        (b"config: {}\n" + b"#" * MOST_BYTES, "longer than"),
        (b"config: &a {b: *a}\n", "contains itself"),
        (b"config: {target: x}\nconfig: {}\n", "written twice"),
        (b"[" * 100_000, "nested deeper"),
    ],
)
def test_an_invalid_artillery_file_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    path = tmp_path / "script.yaml"
    path.write_bytes(content)
    assert main(["artillery", str(path)]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith(str(path))
    assert message in stderr
    assert stderr.count("\n") == 1


def test_a_missing_file_and_a_directory_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path, tmp_path / "none.yaml", tmp_path / "two\nlines"):
        assert main(["artillery", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_an_environment_is_chosen_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "script.yaml"
    phase = {"duration": 1, "arrivalRate": "{{ $env.LOAD_RATE }}"}
    path.write_text(yaml.safe_dump(script(environments={"big": {"phases": [phase], "timeout": 3}})))
    assert "phases" not in read_plan([path]).script["config"]
    with pytest.raises(UnreadableFile, match=r"config.environments has no .small.; it has: .big."):
        read_plan([path], environment="small")
    with pytest.raises(
        UnreadableFile, match=r":5: config.environments.big.phases\[0\].arrivalRate uses the environment's LOAD_RATE"
    ):
        read_plan([path], environment="big")
    monkeypatch.setenv("LOAD_RATE", "7")
    config = read_plan([path], environment="big").script["config"]
    assert (config["phases"][0]["arrivalRate"], config["timeout"], config["target"]) == ("7", 3, TARGET)


def test_words_of_yaml_1_1_are_sent_as_artillery_sends_them(
    load_tests: LoadTests, api: StubApi, tmp_path: Path
) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(
        f"config: {{target: '{TARGET}'}}\n"
        "scenarios: [{flow: [{post: {url: /echo, json: {no: no, on: on, day: 2020-01-02, n: 1_000, o: 0o17, m: ~}}}]}]\n"
    )
    run = load_tests.run("artillery", path)
    assert run.code == 0, run.stderr
    assert api.requests[0].body == {
        "no": "no",
        "on": "on",
        "day": "2020-01-02T00:00:00.000Z",
        "n": 1000,
        "o": "0o17",
        "m": None,
    }


def test_a_refusal_by_javascript_is_one_line(load_tests: LoadTests, api: StubApi) -> None:
    for content, message in (
        (script(request(capture={"regexp": "(", "as": "a"})), "is not a regular expression"),
        (script(request(expect={"matchesRegexp": "("})), "is not a regular expression"),
        (script({"loop": [GET], "count": 1_000_000}), "length of the run"),
        (script(scenario={"weight": "{{ w }}"}, variables={"w": 0}), "weights"),
    ):
        run = load_tests.artillery(content)
        assert run.code not in (0, 99)
        assert message in run.stderr
        assert "\tat " not in run.stderr.replace("\\t", "\t")
        assert run.stderr.count("\n") == 1
    assert api.requests == []


def test_gzip_and_pool_take_effect(load_tests: LoadTests, api: StubApi) -> None:
    phases = [{"duration": 2, "arrivalRate": 4}]
    run = load_tests.artillery(script(request(gzip=True), {"think": 3}, http={"pool": 3}, phases=phases))
    assert run.code == 99  # four a second for three seconds need more than three connections
    assert run.counters["vusers.created"] == len(api.requests) == 3
    assert all("gzip" in received.headers["accept-encoding"] for received in api.requests)


def test_the_shipped_files_are_read() -> None:
    for path in sorted(DEFAULT_SCENARIO.parent.glob("*.yaml")):
        if path != DEFAULT_SCENARIO:
            assert read_plan([path]).script["scenarios"]
