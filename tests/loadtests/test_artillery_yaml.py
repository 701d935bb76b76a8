"""YAML as Artillery reads it: the values of js-yaml 3, and one line for each refusal."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtests.artillery_reader.yaml_text import MOST_DEPTH, MOST_VALUES, YamlError, read_yaml

# The value of `k: TEXT` in js-yaml 3.15.2, the version in artillery 2.0.21, as JSON.
VALUES: dict[str, Any] = {
    **{
        text: text for text in ("no", "on", "yes", "off", "y", "Yes", "tRUE", "nULL", "0o17", "08", "01:30", "1_", "_1")
    },
    **{text: text for text in ("-.5", "+.5", "2020-1-2", "0x", "=", "1,000", "1e", ".", "._", "0b", "1.2.3", "007a")},
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "~": None,
    "null": None,
    "Null": None,
    "": None,
    "1_000": 1000,
    "017": 15,
    "0x1F": 31,
    "0b101": 5,
    "1:30": 90,
    "0_7": 7,
    "+12": 12,
    "-0": 0,
    "00": 0,
    "1__0": 10,
    "190:20:30": 685230,
    "-1:30": -90,
    "1:30.5": 90.5,
    "1.5": 1.5,
    ".5": 0.5,
    "1.": 1,
    "0.": 0,
    "1e3": 1000,
    "1.5e3": 1500,
    "1e+3": 1000,
    "12e03": 12000,
    "0.1_0": 0.1,
    "2020-01-02": "2020-01-02T00:00:00.000Z",
    "2020-01-02T03:04:05Z": "2020-01-02T03:04:05.000Z",
    "2020-01-02 03:04:05.5 +01:00": "2020-01-02T02:04:05.500Z",
    "2001-12-14t21:59:43.10-05:00": "2001-12-15T02:59:43.100Z",
    '"no"': "no",
    "'12'": "12",
    "! 12": "12",
    "!!str 12": "12",
    '!!int "12"': 12,
    "!!float 1": 1,
    "!!str": "",
    "{1: a, b: 2}": {"1": "a", "b": 2},
    "{~: 1, true: 2}": {"null": 1, "true": 2},
    "{<<: {a: 1}, a: 2}": {"a": 2},
    "{a: 2, <<: {a: 1, b: 3}}": {"a": 2, "b": 3},
    "{<<: [{a: 1}, {a: 2, b: 2}]}": {"a": 1, "b": 2},
    "{<<: {a: 1}, <<: {a: 2, b: 2}}": {"a": 1, "b": 2},
    '{"<<": 1}': {"<<": 1},
    "[&x {a: 1}, *x, {<<: *x, b: 2}]": [{"a": 1}, {"a": 1}, {"a": 1, "b": 2}],
}


@pytest.mark.parametrize("text", VALUES)
def test_values_equal_js_yamls(text: str) -> None:
    value = read_yaml(f"k: {text}\n").content["k"]
    assert value == VALUES[text]
    assert isinstance(value, bool) == isinstance(VALUES[text], bool)


@pytest.mark.slow  # Artillery's own js-yaml, where Artillery is installed
def test_the_table_equals_artillerys_js_yaml() -> None:
    artillery = shutil.which("artillery")
    if artillery is None:
        pytest.skip("artillery is not on PATH: npm install -g artillery@2.0.21")
    script = (
        "const yaml = require(require.resolve('js-yaml', { paths: [process.argv[1]] }));"
        "const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(texts.map((text) => yaml.safeLoad(`k: ${text}\\n`).k)));"
    )
    done = subprocess.run(
        ["node", "-e", script, str(Path(artillery).resolve().parent)],
        input=json.dumps(list(VALUES)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == list(VALUES.values())


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 'the key "a" is written twice, first in line 1'),
        ("a:\n  1: x\n  b: y\n  '1': z\n", 4, 'the key "1" is written twice, first in line 2'),
        ("a: [\n", 2, "not valid YAML"),
        ("a: b\nc: d: e\n", 2, "not valid YAML"),
        ("a: \x00\n", 1, "U+0000"),
        ("a: b\nc: \u2028\n", 2, "U+2028"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("a: *x\n", 1, "*x names no anchor"),
        ("a: &x [*x]\n", 1, "*x contains itself"),
        ("a: &x 1\nb: &x {c: *x}\n", 2, "*x contains itself"),
        ("a: !!binary aGk=\n", 1, "!!binary"),
        ("a: !!set {b}\n", 1, "!!set"),
        ("a: !!bool yes\n", 1, "!!bool"),
        ("a: !!python/object/apply:os.getcwd []\n", 1, "!!python"),
        ("a: .inf\n", 1, "finite"),
        ("a: 1e999\n", 1, "finite"),
        (f"a: {'9' * 5000}\n", 1, "too long"),
        ("a: 2020-02-30\n", 1, "not a timestamp"),
        ("a: 1\n<<: 3\n", 2, "a mapping or a list of mappings is needed"),
        ("1.5: a\n", 1, "cannot be a key"),
        ("? [a]\n: b\n", 1, "cannot be a key"),
        (f"a: {'[' * (MOST_DEPTH + 1)}", 1, "nested deeper"),
        (f"a: {'[' * 50000}", 1, "nested deeper"),
        ("a: &x " + "[" * 30 + "]" * 30 + "\nb: [[[[[[[[[[[[*x]]]]]]]]]]]]\n", 2, "nested deeper"),
        (BOMB, 5, f"more than {MOST_VALUES} values"),
    ],
)
def test_invalid_yaml_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(YamlError) as refused:
        read_yaml(text)
    assert message in str(refused.value)
    assert refused.value.line == line
    assert "\n" not in str(refused.value)


YAML_PIECES = st.one_of(
    st.sampled_from(
        ["a", ": ", "- ", "\n", "  ", "[", "]", "{", "}", ", ", "&x ", "*x", "<<: ", "? ", '"', "'", "|\n", ">-\n"]
    ),
    st.sampled_from(
        ["!", "!!int ", "!!timestamp ", "#", "---\n", "...\n", "%YAML 1.1\n", "1", "0x", "_", "~", "2020-01-02"]
    ),
    st.sampled_from(["\t", "\\", "\ufeff", "é"]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.lists(YAML_PIECES, max_size=30).map("".join), st.text(max_size=60)))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        content = read_yaml(text).content
    except YamlError:
        return
    json.dumps(content, allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    )
)  # fmt: skip
def test_json_is_read_as_json(content: Any) -> None:
    text = json.dumps({"k": content})
    assert json.dumps(read_yaml(text).content) == text  # as text: there a surrogate pair is one character
