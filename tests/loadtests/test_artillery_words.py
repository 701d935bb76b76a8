"""The words of an Artillery file: one that is not supported stops the run, by file, line and key."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtests.__main__ import main
from loadtests.artillery_reader.words import WORDS
from loadtests.k6 import SCRIPTS
from tests.loadtests.scripts import GET, TARGET, request, script

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
def test_an_unsupported_word_stops_the_run_with_file_line_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, key: str
) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    assert main(["artillery", str(path)]) == 2
    stderr = capsys.readouterr().err
    assert re.fullmatch(rf"{re.escape(str(path))}:\d+: {re.escape(key)} .*\n", stderr)


def test_the_readme_names_every_word() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (`.*?`) \| .*\|$", (SCRIPTS / "README.md").read_text(), re.MULTILINE)
    assert {place: tuple(re.findall(r"`([^`]+)`", words)) for place, words in rows if place in WORDS} == WORDS
