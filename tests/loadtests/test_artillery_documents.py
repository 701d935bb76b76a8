"""Random Artillery documents: a valid one is planned by k6, another is planned or refused in one line."""

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from loadtests.artillery_reader.plan import UnreadableFile, read_plan
from tests.loadtests.conftest import inspect_plan
from tests.loadtests.scripts import TARGET

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
    path = tmp_path / "script.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    done = inspect_plan(path, directory=tmp_path)
    assume("the number of arrivals is 0" not in done.stderr)  # half a second of one a second: rightly refused
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
