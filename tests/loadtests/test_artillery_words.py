"""The words of an Artillery file: each is obeyed, or stops the run by file, line and key."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from loadtests.__main__ import main
from loadtests.artillery_reader.plan import DEFAULT_SCENARIO, UnreadableFile, read_plan
from loadtests.artillery_reader.words import WORDS
from loadtests.artillery_reader.yaml_text import MOST_BYTES
from loadtests.k6 import SCRIPTS, find_k6
from tests.loadtests.conftest import CLEAN_ENVIRONMENT, RUN_SECONDS, LoadTests
from tests.loadtests.stub_api import StubApi

GET = {"get": {"url": "/echo"}}
TARGET = "http://127.0.0.1:1"


def script(*flow: Any, scenario: dict[str, Any] | None = None, top: dict[str, Any] | None = None, **config: Any) -> Any:
    return {
        "config": {"target": TARGET, **config},
        "scenarios": [{"flow": list(flow) or [GET], **(scenario or {})}],
        **(top or {}),
    }


def request(**words: Any) -> dict[str, Any]:
    return {"get": {"url": "/", **words}}


PHASE = {"duration": 1, "arrivalRate": 1}
REFUSED: list[tuple[Any, str]] = [
    (script(top={"before": {"flow": [GET]}}), "before"),
    (script(top={"after": {"flow": [GET]}}), "after"),
    (script(payload={"path": "x.csv"}), "config.payload"),
    (script(processor="x.js"), "config.processor"),
    (script(tls={"rejectUnauthorized": False}), "config.tls"),
    (script(statsInterval=5), "config.statsInterval"),
    (script(maxSockets=5), "config.maxSockets"),
    (script(http={"maxSockets": 5}), "config.http.maxSockets"),
    (script(http={"extendedMetrics": True}), "config.http.extendedMetrics"),
    (script(http={"timeout": "soon"}), "config.http.timeout"),
    (script(http={"pool": 0}), "config.http.pool"),
    (script(http=[]), "config.http"),
    (script(http={"defaults": {"cookie": {"a": "b"}}}), "config.http.defaults.cookie"),
    (script(defaults={"think": {"jitter": 3}}), "config.defaults.think"),
    (script(defaults={"headers": {"a": ["b"]}}), "config.defaults.headers.a"),
    (script(defaults={"headers": "a: b"}), "config.defaults.headers"),
    (script(plugins={"publish-metrics": []}), "config.plugins.publish-metrics"),
    (script(plugins=["expect"]), "config.plugins"),
    (script(plugins={"expect": {"expectDefault200": True}}), "config.plugins.expect.expectDefault200"),
    (script(plugins={"expect": {"reportFailuresAsErrors": "no"}}), "config.plugins.expect.reportFailuresAsErrors"),
    (script(variables=["a"]), "config.variables"),
    (script(environments=["a"]), "config.environments"),
    (script(mode="poisson"), "config.mode"),
    (script(phases=PHASE), "config.phases"),
    (script(phases=[]), "config.phases"),
    (script(phases=[None]), "config.phases[0]"),
    (script(phases=[PHASE, {**PHASE, "arrivals": 3}]), "config.phases[1].arrivals"),
    (script(phases=[{**PHASE, "mode": "poisson"}]), "config.phases[0].mode"),
    (script(phases=[{**PHASE, "arrivalRate": True}]), "config.phases[0].arrivalRate"),
    (script(phases=[{**PHASE, "rampTo": "x"}]), "config.phases[0].rampTo"),
    (script(phases=[{**PHASE, "rampTo": 9, "duration": 10**12}]), "config.phases[0].duration"),
    (script(phases=[{**PHASE, "duration": 0}]), "config.phases[0].duration"),
    (script(phases=[{**PHASE, "maxVusers": 9}], http={"pool": 3}), "config.phases[0].maxVusers"),
    (script(phases=[{"arrivalRate": 1}]), "config.phases[0]"),
    (script(apdex={"limit": 3}), "config.apdex.limit"),
    (script(apdex={"threshold": "x"}), "config.apdex.threshold"),
    (script(ensure={}), "config.ensure"),
    (script(ensure=[]), "config.ensure"),
    (script(ensure={"p42": 3}), "config.ensure.p42"),
    (script(ensure={"p95": "fast"}), "config.ensure.p95"),
    (script(ensure={"maxErrorRate": 101}), "config.ensure.maxErrorRate"),
    (script(ensure={"thresholds": {"http.response_time.p95": 3}}), "config.ensure.thresholds"),
    (script(ensure={"thresholds": [{"browser.page": 3}]}), 'config.ensure.thresholds[0]."browser.page"'),
    (script(ensure={"conditions": [{"expression": "1 <"}]}), "config.ensure.conditions[0].expression"),
    (script(ensure={"conditions": [{"expression": "nope < 1"}]}), "config.ensure.conditions[0].expression"),
    (script(ensure={"conditions": [{"expression": "max(1, 2) < 1"}]}), "config.ensure.conditions[0].expression"),
    (script(ensure={"conditions": [{"expression": "(" * 150}]}), "config.ensure.conditions[0].expression"),
    (script(ensure={"conditions": [{"expression": "not " * 190 + "1"}]}), "config.ensure.conditions[0].expression"),
    (script(ensure={"p95": 1}, plugins={"ensure": {"p95": 2}}), "config.plugins.ensure"),
    (script(scenario={"beforeScenario": "hook"}), "scenarios[0].beforeScenario"),
    (script(scenario={"afterResponse": "hook"}), "scenarios[0].afterResponse"),
    (script(scenario={"engine": "ws"}), "scenarios[0].engine"),
    (script(scenario={"name": 5}), "scenarios[0].name"),
    (script(scenario={"weight": -1}), "scenarios[0].weight"),
    (script(scenario={"weight": 10**9}), "scenarios[0].weight"),
    (script(scenario={"flow": []}), "scenarios[0].flow"),
    (script(scenario={"flow": GET}), "scenarios[0].flow"),
    ({"config": {"target": TARGET}, "scenarios": []}, "scenarios"),
    ({"config": {"target": TARGET}, "scenarios": {"flow": [GET]}}, "scenarios"),
    ({"config": [], "scenarios": [{"flow": [GET]}]}, "config"),
    (script("get"), "scenarios[0].flow[0]"),
    (script(None), "scenarios[0].flow[0]"),
    (script({"function": "hook"}), "scenarios[0].flow[0].function"),
    (script({"parallel": [GET]}), "scenarios[0].flow[0].parallel"),
    (script({"think": 1, "jitter": 2}), "scenarios[0].flow[0].jitter"),
    (script({"think": "soon"}), "scenarios[0].flow[0].think"),
    (script({"log": {"a": 1}}), "scenarios[0].flow[0].log"),
    (script({"loop": [GET], "whileTrue": "hook"}), "scenarios[0].flow[0].whileTrue"),
    (script({"loop": [GET], "count": 0}), "scenarios[0].flow[0].count"),
    (script({"loop": [GET], "count": [1]}), "scenarios[0].flow[0].count"),
    (script({"loop": [], "count": 1}), "scenarios[0].flow[0].loop"),
    (script({"loop": [{"count": 2, "flow": [GET], "increment": "x"}]}), "scenarios[0].flow[0].loop[0].increment"),
    (script({"loop": [{"count": True, "flow": [GET]}]}), "scenarios[0].flow[0].loop[0].count"),
    (script({"loop": [{"count": 2, "flow": [GET], "increment": 2}]}, http={"pool": 9}), "scenarios[0].flow[0].loop[0].increment"),
    (script({"get": None}), "scenarios[0].flow[0].get"),
    (script({"get": {"url": 5}}), "scenarios[0].flow[0].get"),
    (script(request(ifTrue="1 == 1")), "scenarios[0].flow[0].get.ifTrue"),
    (script(request(beforeRequest="hook")), "scenarios[0].flow[0].get.beforeRequest"),
    (script(request(auth={"user": "a"})), "scenarios[0].flow[0].get.auth"),
    (script(request(match={"json": "$.a"})), "scenarios[0].flow[0].get.match"),
    (script(request(headers=None)), "scenarios[0].flow[0].get.headers"),
    (script(request(qs={"a": [1]})), "scenarios[0].flow[0].get.qs.a"),
    (script(request(json={}, body="x")), "scenarios[0].flow[0].get.body"),
    (script(request(body={})), "scenarios[0].flow[0].get.body"),
    (script(request(gzip="yes")), "scenarios[0].flow[0].get.gzip"),
    (script(request(capture="x")), "scenarios[0].flow[0].get.capture"),
    (script(request(capture=[{"as": "a", "xpath": "//a"}])), "scenarios[0].flow[0].get.capture[0].xpath"),
    (script(request(capture={"json": "$.a"})), "scenarios[0].flow[0].get.capture"),
    (script(request(capture={"json": "$.a[?(@.b)]", "as": "a"})), "scenarios[0].flow[0].get.capture.json"),
    (script(request(capture={"json": "$.a", "header": "b", "as": "a"})), "scenarios[0].flow[0].get.capture"),
    (script(request(expect=[{"cdnHit": True}])), "scenarios[0].flow[0].get.expect[0].cdnHit"),
    (script(request(expect=["statusCode"])), "scenarios[0].flow[0].get.expect[0]"),
    (script(request(expect={"statusCode": "2xx"})), "scenarios[0].flow[0].get.expect.statusCode"),
    (script(request(expect={"headerEquals": "a"})), "scenarios[0].flow[0].get.expect.headerEquals"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "key"), REFUSED, ids=[key for _, key in REFUSED])
def test_what_is_not_obeyed_stops_the_run_by_file_line_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, key: str
) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    assert main(["artillery", str(path)]) == 2
    stderr = capsys.readouterr().err
    assert re.fullmatch(rf"{re.escape(str(path))}:\d+: {re.escape(key)} .*\n", stderr)


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
def test_a_file_that_is_no_artillery_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    path = tmp_path / "script.yaml"
    path.write_bytes(content)
    assert main(["artillery", str(path)]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith(str(path))
    assert message in stderr
    assert stderr.count("\n") == 1


def test_a_missing_file_and_a_directory_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_what_only_javascript_can_refuse_is_one_line_too(load_tests: LoadTests, api: StubApi) -> None:
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


def test_gzip_and_pool_are_obeyed(load_tests: LoadTests, api: StubApi) -> None:
    phases = [{"duration": 2, "arrivalRate": 4}]
    run = load_tests.artillery(script(request(gzip=True), {"think": 3}, http={"pool": 3}, phases=phases))
    assert run.code == 99  # four a second for three seconds need more than three connections
    assert run.counters["vusers.created"] == len(api.requests) == 3
    assert all("gzip" in received.headers["accept-encoding"] for received in api.requests)


def test_the_readme_names_every_word() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (`.*?`) \| .*\|$", (SCRIPTS / "README.md").read_text(), re.MULTILINE)
    assert {place: tuple(re.findall(r"`([^`]+)`", words)) for place, words in rows if place in WORDS} == WORDS


# Valid documents: every word with the values that it may have.
TEXT = st.text(alphabet="ab é{}'\"\\:#-$.\n", min_size=1, max_size=8).filter(lambda text: "{{" not in text)
SCALAR = st.one_of(st.integers(-5, 5), st.booleans(), st.floats(-1, 1), TEXT)
SCALARS = st.dictionaries(st.sampled_from(["x-a", "x-b", "no"]), SCALAR, max_size=2)
JSON = st.recursive(
    SCALAR | st.none(), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner), max_leaves=5
)
URL = st.sampled_from(["/", "/tasks?a=1", "{{ target }}/x", "http://127.0.0.1:1/"])
SECONDS = st.sampled_from([1, 2.5, "3", "500ms", "2s", "1 minute"])
BOOLEAN = st.booleans()


def mapping(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


CAPTURE = st.one_of(
    mapping({"json": st.sampled_from(["$.a", "a[0]", "$..b"]), "as": TEXT}, {"strict": BOOLEAN}),
    mapping({"header": TEXT, "as": TEXT}, {"strict": BOOLEAN}),
    mapping({"regexp": st.just("(a)"), "as": TEXT}, {"group": st.integers(0, 1), "flags": st.just("i")}),
)
EXPECT = mapping(
    {},
    {
        "statusCode": st.sampled_from([200, "201", [200, 201], "{{ code }}"]),
        "contentType": TEXT,
        "hasProperty": TEXT,
        "equals": st.lists(SCALAR, min_size=1, max_size=2),
        "headerEquals": st.tuples(TEXT, SCALAR).map(list),
        "matchesRegexp": st.just("a+"),
        "json": JSON,
    },
)
REQUEST = mapping(
    {"url": URL},
    {
        "name": TEXT,
        "headers": SCALARS,
        "qs": SCALARS,
        "capture": CAPTURE | st.lists(CAPTURE, max_size=2),
        "expect": EXPECT | st.lists(EXPECT, max_size=2),
        "followRedirect": BOOLEAN,
        "gzip": BOOLEAN,
    },
).flatmap(lambda base: st.one_of(st.just({}), *(st.builds(lambda v, n=name: {n: v}, strategy) for name, strategy in
          (("json", JSON), ("body", TEXT), ("form", SCALARS)))).map(lambda body: {**base, **body}))  # fmt: skip
STEP = st.recursive(
    st.one_of(
        *(mapping({method: REQUEST}, {}) for method in ("get", "post")),
        mapping({"think": SECONDS}, {}),
        mapping({"log": TEXT}, {}),
    ),
    lambda step: st.one_of(
        mapping({"loop": st.lists(step, min_size=1, max_size=2), "count": st.sampled_from([1, 3, "2", "1-3"])}, {}),
        mapping(
            {"loop": st.lists(step, min_size=1, max_size=2), "over": st.lists(SCALAR, max_size=2)},
            {"loopElement": TEXT},
        ),
    ),
    max_leaves=4,
)
PHASES = st.one_of(
    mapping(
        {"duration": SECONDS, "arrivalRate": st.sampled_from([1, "2"])}, {"rampTo": st.integers(0, 9), "name": TEXT}
    ),
    mapping({"duration": SECONDS, "arrivalCount": st.integers(1, 5)}, {"maxVusers": st.integers(1, 5)}),
)
CONFIG = mapping(
    {"target": st.just(TARGET), "phases": st.lists(PHASES, min_size=1, max_size=2)},
    {
        "variables": st.dictionaries(TEXT, JSON, max_size=2),
        "defaults": mapping({}, {"headers": SCALARS}),
        "http": mapping({}, {"timeout": st.sampled_from([1, "30"]), "pool": st.integers(5, 9)}),
        "apdex": mapping({}, {"threshold": st.integers(1, 500)}),
        "ensure": mapping({"maxErrorRate": st.integers(0, 100)}, {"p95": st.integers(1, 500)}),
        "plugins": mapping({}, {"expect": mapping({}, {"reportFailuresAsErrors": BOOLEAN}), "apdex": st.just({})}),
        "environments": st.dictionaries(TEXT, mapping({}, {"target": URL}), max_size=1),
    },
)
SCENARIO = mapping({"flow": st.lists(STEP, min_size=1, max_size=3)}, {"name": TEXT, "weight": st.integers(1, 9)})
DOCUMENT = mapping({"config": CONFIG, "scenarios": st.lists(SCENARIO, min_size=1, max_size=2)}, {})


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=DOCUMENT)
def test_valid_documents_are_planned_by_k6(tmp_path: Path, document: dict[str, Any]) -> None:
    path, plan = tmp_path / "script.yaml", tmp_path / "plan.json"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    plan.write_text(json.dumps(read_plan([path]).script))
    done = subprocess.run(
        [find_k6(), "inspect", "--include-system-env-vars", str(SCRIPTS / "artillery.js")],
        env={**CLEAN_ENVIRONMENT, "PLAN": str(plan)},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assume("the number of arrivals is 0" not in done.stderr)  # half a second of one a second: refused, as it should be
    assert done.returncode == 0, done.stderr


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=DOCUMENT, data=st.data())
def test_a_document_with_one_value_changed_is_planned_or_refused_in_one_line(
    tmp_path: Path, document: dict[str, Any], data: st.DataObject
) -> None:
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in list(value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()):
            places.append((value, key))
            walk(value[key])

    walk(document)
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(st.one_of(JSON, st.sampled_from([[], {}, -1, 10**30, 1e300, "{{ x }}", "\n\u202e"])))
    path = tmp_path / "script.yaml"
    path.write_text(json.dumps(document))
    try:
        json.dumps(read_plan([path]).script, allow_nan=False)
    except UnreadableFile as refusal:
        assert str(refusal).isprintable()  # noqa: PT017
        assert str(refusal).startswith(f"{path}:")  # noqa: PT017


def test_the_shipped_files_are_read() -> None:
    for path in sorted(DEFAULT_SCENARIO.parent.glob("*.yaml")):
        if path != DEFAULT_SCENARIO:
            assert read_plan([path]).script["scenarios"]
