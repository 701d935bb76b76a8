"""Reads one YAML text as Artillery's js-yaml 3 does, and stores the line of every value.

Owns: the meaning of scalars, keys, merge keys and aliases, and the limits of a text. Must not: know words of Artillery.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import yaml

Path = tuple[str | int, ...]

MOST_BYTES = 256 * 1024
MOST_DEPTH = 40
MOST_VALUES = 20_000  # an alias counts each time it is used
TAG = "tag:yaml.org,2002:"

# js-yaml 3: `no`, `on` and `0o17` are strings; 017 is octal, 1_000 a thousand and 1:30 ninety.
_NULL = re.compile(r"|~|null|Null|NULL")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(
    r"[-+]?(?:0b[01_]*[01]|0x[0-9a-fA-F_]*[0-9a-fA-F]|0(?:[0-7_]*[0-7])?"
    r"|[1-9][0-9_]*(?::[0-5]?[0-9])+|[1-9](?:[0-9_]*[0-9])?)"
)
_FLOAT = re.compile(
    r"(?:[-+]?(?:0|[1-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9_]*[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))(?<!_)"
)
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"|([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]*))?"
    r"(?:[ \t]*(?:Z|([-+])([0-9]{1,2})(?::([0-9]{2}))?))?"
)
# Line breaks in YAML 1.1, by which PyYAML splits lines, but not in YAML 1.2.
_OLD_LINE_BREAKS = re.compile("[\x85\u2028\u2029]")


class YamlError(Exception):
    """The text cannot be read; `line` is the place."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    content: Any
    lines: dict[Path, int]


@dataclass(frozen=True, slots=True)
class _Built:
    value: Any
    size: int = 1
    depth: int = 0
    is_merge_key: bool = False


def read_yaml(text: str) -> Document:
    """Return the text's only document as values that JSON can represent. Raises YamlError."""
    found = _OLD_LINE_BREAKS.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise YamlError(f'the text contains U+{ord(found.group()):04X}: write it as an escape in "…"', line=line)
    reader = _Reader(events=yaml.parse(text, Loader=yaml.SafeLoader))
    try:
        return Document(content=reader.read_document(), lines=reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(f"not valid YAML: {error.problem}", line=mark.line + 1 if mark else 1) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(f"not valid YAML: the character U+{_code_of(error.character):04X}", line=line) from error


def _line_of(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _code_of(character: int | str) -> int:
    return character if isinstance(character, int) else ord(character)


@dataclass(slots=True)
class _Reader:
    events: Iterator[yaml.Event]
    lines: dict[Path, int] = field(default_factory=dict)
    anchors: dict[str, _Built | None] = field(default_factory=dict)  # None: not complete yet
    size: int = 0

    def read_document(self) -> Any:
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        content = self.build(event=next(self.events), path=()).value
        next(self.events)  # the document's end
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self.error("a second document starts here: an Artillery file has one", event=event)
        return content

    @staticmethod
    def error(message: str, *, event: yaml.Event) -> YamlError:
        return YamlError(message, line=_line_of(event))

    def build(self, *, event: Any, path: Path) -> _Built:
        self.lines[path] = _line_of(event)
        self.check_depth(len(path), event=event)
        if isinstance(event, yaml.AliasEvent):
            built = self.resolve_alias(event, depth=len(path))
        else:
            if event.anchor is not None:
                self.anchors[event.anchor] = None
            if isinstance(event, yaml.ScalarEvent):
                built = self.build_scalar(event)
            elif isinstance(event, yaml.SequenceStartEvent):
                built = self.build_list(event=event, path=path)
            else:
                built = self.build_mapping(event=event, path=path)
            if event.anchor is not None:
                self.anchors[event.anchor] = built
        return built

    def check_depth(self, depth: int, *, event: yaml.Event) -> None:
        if depth > MOST_DEPTH:
            raise self.error(f"values are nested deeper than {MOST_DEPTH} levels", event=event)

    def add(self, size: int, *, event: yaml.Event) -> None:
        self.size += size
        if self.size > MOST_VALUES:
            raise self.error(f"the file has more than {MOST_VALUES} values, aliases included", event=event)

    def resolve_alias(self, event: yaml.AliasEvent, *, depth: int) -> _Built:
        if event.anchor not in self.anchors:
            raise self.error(f"*{event.anchor} names no anchor above it", event=event)
        built = self.anchors[event.anchor]
        if built is None:
            raise self.error(f"*{event.anchor} contains itself", event=event)
        self.add(built.size, event=event)
        self.check_depth(depth + built.depth, event=event)
        return _Built(value=built.value, size=built.size, depth=built.depth)

    def check_tag(self, event: Any, *, kind: str) -> None:
        if event.tag not in (None, "!", TAG + kind):
            raise self.error(f"the tag {event.tag.replace(TAG, '!!')} is not supported", event=event)

    def build_list(self, *, event: yaml.SequenceStartEvent, path: Path) -> _Built:
        self.check_tag(event, kind="seq")
        start = self.size
        self.add(1, event=event)
        values: list[Any] = []
        depth = 0
        while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
            built = self.build(event=item, path=(*path, len(values)))
            values.append(built.value)
            depth = max(depth, built.depth + 1)
        return _Built(value=values, size=self.size - start, depth=depth)

    def build_mapping(self, *, event: yaml.MappingStartEvent, path: Path) -> _Built:
        self.check_tag(event, kind="map")
        start = self.size
        self.add(1, event=event)
        values: dict[str, Any] = {}
        inherited: set[str] = set()
        depth = 0
        while not isinstance(item := next(self.events), yaml.MappingEndEvent):
            built = self.build(event=item, path=(*path, ""))
            if built.is_merge_key:
                value_event = next(self.events)
                source = self.build(event=value_event, path=(*path, "<<"))
                depth = max(depth, source.depth)
                self.merge(source, into=values, inherited=inherited, event=value_event)
                continue
            key = self.key_of(built, event=item)
            if key in values and key not in inherited:
                first = self.lines.get((*path, key), self.lines[path])
                raise self.error(f"the key {shown(key)} is written twice, first in line {first}", event=item)
            built = self.build(event=next(self.events), path=(*path, key))
            values[key] = built.value
            depth = max(depth, built.depth + 1)
            self.lines[(*path, key)] = _line_of(item)
            inherited.discard(key)
        return _Built(value=values, size=self.size - start, depth=depth)

    def merge(self, source: _Built, *, into: dict[str, Any], inherited: set[str], event: yaml.Event) -> None:
        for mapping in source.value if isinstance(source.value, list) else [source.value]:
            if not isinstance(mapping, dict):
                raise self.error(f"<< merges {shown(mapping)}: a mapping or a list of mappings is needed", event=event)
            for key, value in mapping.items():
                if key not in into:
                    into[key] = value
                    inherited.add(key)

    def key_of(self, built: _Built, *, event: yaml.Event) -> str:
        """Return the key as a string, as JavaScript's objects have: 1 and "1" are the same key."""
        key = built.value
        if isinstance(key, str):
            return key
        if isinstance(key, (dict, list, float)):
            raise self.error(f'{shown(key)} cannot be a key: write a string, in "…" if need be', event=event)
        return json.dumps(key)

    def build_scalar(self, event: yaml.ScalarEvent) -> _Built:
        self.add(1, event=event)
        tag, text = event.tag, event.value
        if tag == "!" or (tag is None and event.style is not None) or tag == TAG + "str":
            return _Built(value=text)
        if tag is None and text == "<<":
            return _Built(value=text, is_merge_key=True)
        for name, pattern, construct in _TYPES:
            if tag in (None, TAG + name) and pattern.fullmatch(text):
                try:
                    return _Built(value=construct(text))
                except (ValueError, OverflowError) as error:
                    raise self.error(f"{shown(text)} is not a {name} that can be sent: {error}", event=event) from error
        if tag is not None:
            raise self.error(f"{shown(text)} with the tag {tag.replace(TAG, '!!')} is not supported", event=event)
        return _Built(value=text)


def _integer(text: str) -> int:
    digits = text.replace("_", "").lstrip("+-")
    if len(digits) > 300:
        raise ValueError("it is too long")
    if ":" in digits:
        value = _sexagesimal(digits, int)
    elif digits[:2] in ("0b", "0x"):
        value = int(digits, 0)
    else:
        value = int(digits, 8 if digits[0] == "0" else 10)
    return -value if text.startswith("-") else value


def _number(text: str) -> float:
    digits = text.replace("_", "").lower().lstrip("+-")
    if digits in (".inf", ".nan"):
        raise ValueError("a number must be finite")
    value = _sexagesimal(digits, float) if ":" in digits else float(digits)
    if not math.isfinite(value):
        raise ValueError("a number must be finite")
    return -value if text.startswith("-") else value


def _sexagesimal(digits: str, read: Callable[[str], Any]) -> Any:
    value = read("0")
    for part in digits.split(":"):
        value = value * 60 + read(part)
    return value


def _timestamp(text: str) -> str:
    """Return the time as JavaScript's JSON writes a Date."""
    match = _TIMESTAMP.fullmatch(text)
    groups = match.groups() if match else ()
    if groups[0] is not None:
        moment = datetime(int(groups[0]), int(groups[1]), int(groups[2]), tzinfo=UTC)
    else:
        year, month, day, hour, minute, second = (int(group) for group in groups[3:9])
        microsecond = int((groups[9] or "").ljust(3, "0")[:3]) * 1000
        offset = timedelta(hours=int(groups[11] or 0), minutes=int(groups[12] or 0))
        zone = timezone(-offset if groups[10] == "-" else offset)
        moment = datetime(year, month, day, hour, minute, second, microsecond, zone).astimezone(UTC)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


_TYPES: tuple[tuple[str, re.Pattern[str], Callable[[str], Any]], ...] = (
    ("null", _NULL, lambda _: None),
    ("bool", _BOOL, lambda text: text.lower() == "true"),
    ("int", _INT, _integer),
    ("float", _FLOAT, _number),
    ("timestamp", _TIMESTAMP, _timestamp),
)


def shown(value: Any) -> str:
    """Return a value of the file for a message: one line, at most 80 characters."""
    text = json.dumps(value, ensure_ascii=False)
    text = text if text.isprintable() else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
