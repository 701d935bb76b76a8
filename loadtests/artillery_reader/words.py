"""The supported words of an Artillery file, and the checks of single values.

Owns: the table of words. Any other word stops the run, because an ignored word would make two load generators measure
different things. Must not: implement the words; lib/artillery/*.js does.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from loadtests.artillery_reader.checks import LEGACY_CHECKS
from loadtests.artillery_reader.yaml_text import Path, shown

METHODS = ("get", "post", "put", "patch", "delete", "head")
WORDS: dict[str, tuple[str, ...]] = {
    "file": ("config", "scenarios"),
    "config": (
        "target", "phases", "variables", "defaults", "http", "timeout", "plugins", "mode", "environments", "ensure", "apdex",
    ),
    "http": ("timeout", "pool", "defaults"),
    "defaults": ("headers",),
    "plugins": ("expect", "ensure", "apdex"),
    "plugins.expect": ("reportFailuresAsErrors",),
    "ensure": ("thresholds", "conditions", *LEGACY_CHECKS, "maxErrorRate"),
    "condition": ("expression", "strict"),
    "apdex": ("threshold",),
    "phase": ("name", "duration", "arrivalRate", "rampTo", "arrivalCount", "maxVusers", "pause", "mode"),
    "scenario": ("name", "weight", "flow", "engine"),
    "step": (*METHODS, "loop", "think", "log"),
    "loop": ("loop", "count", "over", "loopValue", "loopElement"),
    "block": ("count", "increment", "holdFor", "flow"),
    "request": (
        "url", "name", "headers", "json", "body", "form", "qs", "capture", "expect", "followRedirect", "gzip",
    ),
    "capture": ("json", "header", "regexp", "group", "flags", "as", "strict"),
    "expect": (
        "statusCode", "notStatusCode", "contentType", "hasProperty", "notHasProperty", "equals", "hasHeader", "headerEquals",
        "matchesRegexp", "json",
    ),
}  # fmt: skip
HINTS = {
    ("http", "maxSockets"): "Artillery itself ignores it; http.pool bounds the connections",
    ("loop", "whileTrue"): "it calls a JavaScript function",
    ("config", "payload"): "write the values into variables",
}
NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,20})?(?:e[+-]?\d{1,3})?", re.ASCII)
SECONDS = re.compile(
    r"(\d+(?:\.\d+)?)\s*(ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)?", re.IGNORECASE | re.ASCII
)
UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
JSON_PATH = re.compile(r"(?:\.\.(?:[\w-]+|\*)|\.(?:[\w$-]+|\*)|\[\s*(?:'[^']*'|\"[^\"]*\"|-?\d+|\*)\s*\])*", re.ASCII)
MOST_SECONDS = 4 * 3600
MOST_RATE = 20_000
MOST_ARRIVALS = 20_000_000
MOST_VUSERS = 5_000
MOST_PHASES = 200
MOST_WEIGHT = 1_000
MOST_COUNT = 1_000_000

Fail = Callable[[Path, str], NoReturn]


def dotted(path: Path) -> str:
    """Return a path as in messages: config.phases[0].duration."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if re.fullmatch(r"[\w$-]+", part) else shown(part))
    return text


def is_template(value: Any) -> bool:
    """Return whether the value depends on a virtual user's variables."""
    return isinstance(value, str) and "{{" in value


class ValueChecker:
    """Checks single values; `fail` receives the path and the rest of the sentence, and raises."""

    def __init__(self, fail: Fail) -> None:
        self.fail = fail

    def words(self, value: Any, kind: str, path: Path) -> dict[str, Any]:
        """Return the mapping, after a check that it has only words of its kind."""
        if not isinstance(value, dict):
            self.fail(path, f"is {shown(value)}: a mapping is needed here")
        for word in value:
            if word not in WORDS[kind]:
                hint = HINTS.get((kind, word), f"supported here: {', '.join(WORDS[kind])}")
                self.fail((*path, word), f"is not supported ({hint})")
        return value

    def entries(self, value: Any, path: Path) -> Sequence[Any]:
        if not isinstance(value, list) or not value:
            self.fail(path, f"is {shown(value)}: a list with at least one entry is needed")
        return value

    def text(self, value: Any, path: Path) -> str:
        if not isinstance(value, str) or value == "":
            self.fail(path, f"is {shown(value)}: a text is needed here")
        return value

    def choice(self, value: Any, path: Path, *choices: Any) -> None:
        if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
            self.fail(path, f"is {shown(value)}: supported is {' or '.join(shown(choice) for choice in choices)}")

    def number(self, value: Any, path: Path, *, least: float = 0, most: float, whole: bool = False) -> float:
        """Return a number; a text is accepted, because it may come from the environment."""
        number = float("nan")
        if not isinstance(value, bool) and NUMBER.fullmatch(str(value).strip()):
            number = float(value)
        if not least <= number <= most or (whole and not number.is_integer()):
            kind = "whole number" if whole else "number"
            self.fail(path, f"is {shown(value)}: give a {kind} from {least:g} to {most:g}")
        return number

    def seconds(self, value: Any, path: Path, *, what: str = "the time", zero: bool = True) -> float:
        match = None if isinstance(value, bool) else SECONDS.fullmatch(str(value).strip())
        if match is None:
            self.fail(path, f'is {shown(value)}: give seconds (3) or a time with its unit ("500ms", "3s", "2m")')
        unit = (match[2] or "s").lower()
        seconds = float(match[1]) * UNIT_SECONDS["ms" if unit == "ms" else unit[0]]
        if seconds > MOST_SECONDS:
            self.fail(path, f"is {shown(value)}: {what} is at most {MOST_SECONDS} seconds")
        if seconds == 0 and not zero:
            self.fail(path, f"is {shown(value)}: give a time above 0")
        return seconds

    def scalars(self, value: Any, path: Path) -> None:
        if not isinstance(value, dict):
            self.fail(path, f"is {shown(value)}: a mapping is needed here")
        for name, item in value.items():
            if item is None or isinstance(item, (dict, list)):
                self.fail((*path, name), f"is {shown(item)}: a text or a number is needed here")
