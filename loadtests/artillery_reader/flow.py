"""Checks `scenarios` of an Artillery file: their flows, requests, loops, captures and expectations."""

import re
from typing import Any

from loadtests.artillery_reader.words import (
    JSON_PATH,
    METHODS,
    MOST_ARRIVALS,
    MOST_COUNT,
    MOST_RATE,
    MOST_WEIGHT,
    ValueChecker,
    is_template,
)
from loadtests.artillery_reader.yaml_text import Path, shown

BODIES = ("json", "body", "form")
CAPTURES = ("json", "header", "regexp")
TEXT_EXPECTATIONS = ("contentType", "hasProperty", "notHasProperty", "hasHeader", "matchesRegexp")


class FlowChecker:
    """Calls the checker's `fail` for the first unsupported value."""

    def __init__(self, values: ValueChecker, *, has_pool: bool) -> None:
        self.values = values
        self.fail = values.fail
        self.has_pool = has_pool

    def scenarios(self, value: Any) -> None:
        for index, entry in enumerate(self.values.entries(value, ("scenarios",))):
            path: Path = ("scenarios", index)
            scenario = self.values.words(entry, "scenario", path)
            if "name" in scenario:
                self.values.text(scenario["name"], (*path, "name"))
            if "engine" in scenario:
                self.values.choice(scenario["engine"], (*path, "engine"), "http")
            if "weight" in scenario and not is_template(scenario["weight"]):
                self.values.number(scenario["weight"], (*path, "weight"), most=MOST_WEIGHT, whole=True)
            self.flow(scenario.get("flow"), (*path, "flow"))

    def flow(self, value: Any, path: Path) -> None:
        for index, step in enumerate(self.values.entries(value, path)):
            self.step(step, (*path, index))

    def step(self, value: Any, path: Path) -> None:
        if isinstance(value, dict) and "flow" in value:
            self.block(value, path)
            return
        if isinstance(value, dict) and "loop" in value:
            self.loop(value, path)
            return
        step = self.values.words(value, "step", path)
        if len(step) != 1:
            self.fail(path, f"is {shown(step)}: a step says one thing")
        ((word, content),) = step.items()
        if word in METHODS:
            self.request(content, (*path, word))
        elif word == "log":
            self.values.text(content, (*path, word))
        elif not is_template(content):
            self.values.seconds(content, (*path, word))

    def block(self, value: dict[str, Any], path: Path) -> None:
        """Check the loop of the original: each block has its own count, rate and flow."""
        block = self.values.words(value, "block", path)
        count = self.values.number(block.get("count"), (*path, "count"), least=1, most=MOST_COUNT, whole=True)
        hold = self.values.seconds(block["holdFor"], (*path, "holdFor")) if "holdFor" in block else 1
        if "increment" in block:
            if self.has_pool:
                self.fail((*path, "increment"), "opens connections as it needs them: leave out config.http.pool")
            rate = self.values.number(block["increment"], (*path, "increment"), least=0.001, most=MOST_RATE)
            if rate * hold * count * (count + 1) / 2 > MOST_ARRIVALS:
                self.fail(path, f"sends more than {MOST_ARRIVALS} requests")
        elif "holdFor" in block:
            self.fail((*path, "holdFor"), "holdFor without increment: how many requests per second does a step add?")
        self.flow(block["flow"], (*path, "flow"))

    def loop(self, value: dict[str, Any], path: Path) -> None:
        loop = self.values.words(value, "loop", path)
        steps = self.values.entries(loop["loop"], (*path, "loop"))
        for name in ("loopValue", "loopElement"):
            if name in loop:
                self.values.text(loop[name], (*path, name))
        if "over" in loop and not isinstance(loop["over"], list):
            self.values.text(loop["over"], (*path, "over"))
        if "count" in loop:
            self.loop_count(loop["count"], (*path, "count"))
        elif "over" not in loop and not all(isinstance(step, dict) and "flow" in step for step in steps):
            self.fail(path, "has neither count nor over and would never end: give it a count")
        self.flow(steps, (*path, "loop"))

    def loop_count(self, count: Any, path: Path) -> None:
        if is_template(count):
            return
        if isinstance(count, str) and re.fullmatch(r"\d{1,9}-\d{1,9}", count, re.ASCII):
            return
        if count == 0 or (isinstance(count, (int, float)) and count < 0):
            self.fail(path, f"is {shown(count)} and would never end: give a count from 1")
        self.values.number(count, path, least=0, most=MOST_COUNT, whole=True)

    def request(self, value: Any, path: Path) -> None:
        request = self.values.words(value, "request", path)
        if not isinstance(request.get("url"), str) or request["url"] == "":
            self.fail(path, "has no url: an URL must be specified")
        if "name" in request:
            self.values.text(request["name"], (*path, "name"))
        for name in ("headers", "qs", "form"):
            if name in request:
                self.values.scalars(request[name], (*path, name))
        for name in ("followRedirect", "gzip"):
            if name in request:
                self.values.choice(request[name], (*path, name), True, False)
        bodies = [name for name in BODIES if name in request]
        if len(bodies) > 1:
            self.fail((*path, bodies[1]), f"is a second body beside {bodies[0]}: write one of them")
        if "body" in request:
            self.values.text(request["body"], (*path, "body"))
        for capture, where in self.one_or_more(request, "capture", path):
            self.capture(capture, where)
        for expectations, where in self.one_or_more(request, "expect", path):
            self.expect(expectations, where)

    @staticmethod
    def one_or_more(request: dict[str, Any], name: str, path: Path) -> list[tuple[Any, Path]]:
        """Return the entries of a list, or the value itself, each with its path."""
        if name not in request:
            return []
        value = request[name]
        if isinstance(value, list):
            return [(entry, (*path, name, index)) for index, entry in enumerate(value)]
        return [(value, (*path, name))]

    def capture(self, value: Any, path: Path) -> None:
        capture = self.values.words(value, "capture", path)
        if not isinstance(capture.get("as"), str) or capture["as"] == "":
            self.fail(path, 'has no "as": name the variable that takes the value')
        sources = [name for name in CAPTURES if name in capture]
        if len(sources) != 1:
            self.fail(path, f"needs exactly one of {', '.join(CAPTURES)}")
        source = self.values.text(capture[sources[0]], (*path, sources[0]))
        if sources[0] == "json" and not is_template(source):
            text = source[1:] if source.startswith("$") else f".{source}"
            if JSON_PATH.fullmatch(text) is None:
                self.fail((*path, "json"), f"is {shown(source)}: filters and scripts of JSONPath are not supported")
        for name in ("group", "flags"):
            if name in capture and sources[0] != "regexp":
                self.fail((*path, name), "belongs to a regexp")
        if "flags" in capture:
            self.values.text(capture["flags"], (*path, "flags"))
        if "group" in capture and not isinstance(capture["group"], str):
            self.values.number(capture["group"], (*path, "group"), most=100, whole=True)
        if "strict" in capture:
            self.values.choice(capture["strict"], (*path, "strict"), True, False)

    def expect(self, value: Any, path: Path) -> None:
        for word, wanted in self.values.words(value, "expect", path).items():
            where = (*path, word)
            if word in ("statusCode", "notStatusCode"):
                for code in wanted if isinstance(wanted, list) else [wanted]:
                    if not is_template(code):
                        self.values.number(code, where, least=100, most=999, whole=True)
            elif word in TEXT_EXPECTATIONS:
                self.values.text(wanted, where)
            elif word == "equals":
                self.values.entries(wanted, where)
            elif word == "headerEquals" and (
                not isinstance(wanted, list) or len(wanted) != 2 or not isinstance(wanted[0], str)
            ):
                self.fail(where, f"is {shown(wanted)}: a list of the header's name and its value is needed")
