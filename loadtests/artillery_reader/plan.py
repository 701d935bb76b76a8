"""Makes one plan of Artillery files: reads and merges them, and refuses unsupported values with file, line and key.

Owns: the files and their order. Must not: interpret YAML (yaml_text.py) or list words (words.py).
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from loadtests.artillery_reader.checks import Check
from loadtests.artillery_reader.config import ConfigChecker
from loadtests.artillery_reader.flow import FlowChecker
from loadtests.artillery_reader.words import Fail, ValueChecker, dotted
from loadtests.artillery_reader.yaml_text import MOST_BYTES, Document, YamlError, read_yaml, shown
from loadtests.artillery_reader.yaml_text import Path as KeyPath

DEFAULT_SCENARIO = Path(__file__).parent.parent / "artillery" / "create_task.yaml"
ENVIRONMENT_VARIABLE = re.compile(r"\{\{\s*\$(?:env|processEnvironment)\.(\w+)\s*\}\}")


class UnreadableFile(Exception):
    """A file cannot be run; the message says in one line which, where and why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The script that lib/artillery/*.js runs, and the checks of its summary."""

    script: dict[str, Any]
    checks: tuple[Check, ...]


def merge(left: Any, right: Any) -> Any:
    """Merge as Artillery does: mappings by key, lists by position; the later value wins."""
    if isinstance(left, dict) and isinstance(right, dict):
        return {key: merge(left.get(key), right.get(key)) if key in right else left[key] for key in {**left, **right}}
    if isinstance(left, list) and isinstance(right, list):
        longer = left if len(left) > len(right) else right
        return [merge(*pair) for pair in zip(left, right, strict=False)] + longer[min(len(left), len(right)) :]
    return left if right is None else right


def read_file(path: Path) -> dict[str, Any]:
    """Return the content of one file. Raises UnreadableFile."""
    content: dict[str, Any] = _read(path).content
    return content


def _read(path: Path) -> Document:
    name = _printable(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(f"{name}: {error.strerror}") from error
    except ValueError as error:  # a null byte in the name
        raise UnreadableFile(f"{name}: {error}") from error
    if len(content) > MOST_BYTES:
        raise UnreadableFile(f"{name}: the file is longer than {MOST_BYTES // 1024} KiB")
    try:
        document = read_yaml(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(f"{name}:{line}: not UTF-8 text") from error
    except YamlError as error:
        raise UnreadableFile(f"{name}:{error.line}: {error}") from error
    if document.content is None:
        raise UnreadableFile(f"{name}: the file is empty: an Artillery file is a mapping with config and scenarios")
    if not isinstance(document.content, dict):
        kind = "a list" if isinstance(document.content, list) else "a single value"
        raise UnreadableFile(f"{name}: the file is {kind}: an Artillery file is a mapping with config and scenarios")
    return document


def _printable(path: Path) -> str:
    name = str(path)
    return name if name.isprintable() else ascii(name)


def read_plan(paths: Sequence[Path], *, environment: str | None = None) -> Plan:
    """Merge the files into one plan. A load without a scenario gets the original's request. Raises UnreadableFile."""
    sources = [(path, _read(path)) for path in paths]
    script: dict[str, Any] = {}
    for _, document in sources:
        script = merge(script, document.content)
    if script.get("scenarios") is None:
        script = merge(script, read_file(DEFAULT_SCENARIO))
    script["config"] = {} if script.get("config") is None else script["config"]

    def fail(path: KeyPath, message: str) -> NoReturn:
        in_environment = ("config", "environments", environment or "", *path[1:])
        if path[:1] == ("config",) and any(in_environment in document.lines for _, document in sources):
            path = in_environment
        raise UnreadableFile(f"{_locate(path, sources)}: {dotted(path) or 'the file'} {message}")

    values = ValueChecker(fail)
    config = values.words(values.words(script, "file", ())["config"], "config", ("config",))
    config = _with_environment(config, environment, fail=values.fail)
    script["config"] = config = _expanded(config, ("config",), fail=values.fail)
    checks = ConfigChecker(values).config(config, ("config",))
    if "target" not in config and not os.environ.get("TARGET"):
        fail(("config",), "has no target: name the server there or in TARGET")
    FlowChecker(values, has_pool="pool" in config.get("http", {})).scenarios(script["scenarios"])
    return Plan(script=script, checks=tuple(checks))


def _with_environment(config: dict[str, Any], name: str | None, *, fail: Fail) -> dict[str, Any]:
    """Return the config with the chosen environment merged; the other environments are not checked."""
    environments = config.get("environments", {})
    if not isinstance(environments, dict):
        fail(("config", "environments"), f"is {shown(environments)}: a mapping of names to configs is needed here")
    config = {word: value for word, value in config.items() if word != "environments"}
    if name is None:
        return config
    if name not in environments:
        known = list(environments)
        fail(("config", "environments"), f"has no {shown(name)}; it has: {', '.join(map(shown, known)) or 'none'}")
    merged = merge(config, environments[name])
    if not isinstance(merged, dict):
        fail(("config", "environments", name), "is not a mapping")
    return merged


def _expanded(value: Any, path: KeyPath, *, fail: Fail) -> Any:
    """Return the value with {{ $env.NAME }} replaced; the result may be a number to check."""
    if isinstance(value, dict):
        return {key: _expanded(item, (*path, key), fail=fail) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, (*path, index), fail=fail) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            fail(path, f"uses the environment's {match[1]}, which is not set")
        return os.environ[match[1]]

    return ENVIRONMENT_VARIABLE.sub(replace, value)


def _locate(path: KeyPath, sources: Sequence[tuple[Path, Document]]) -> str:
    """Return the file and the line of a value: of several files the last one that has it."""
    best: tuple[int, str] = (-1, _printable(sources[-1][0]))
    for file, document in sources:
        lines: Mapping[KeyPath, int] = document.lines
        known = next(length for length in range(len(path), -1, -1) if path[:length] in lines)
        if known >= best[0]:
            best = (known, f"{_printable(file)}:{lines[path[:known]]}")
    return best[1]
