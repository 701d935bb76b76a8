"""The tally of the odd values: counts by door and outcome, and the faults with their inputs.

Owns the arithmetic and the text of the report. Must not know a door.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SHOWN_CHARACTERS = 600
SHOWN_PER_KIND = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """An input with a forbidden effect."""

    door: str
    kind: str  # the fault in a few words, the same for similar faults
    given: str  # the input
    seen: str


@dataclass(slots=True)
class Tally:
    """Thread-safe."""

    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ordinary: Mapping[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, door: str, outcome: str, *, number: int = 1) -> None:
        """Count values with an allowed effect."""
        with self._lock:
            self.outcomes[door][outcome] += number

    def fault(self, door: str, kind: str, *, given: object, seen: object) -> None:
        """Count a value with a forbidden effect."""
        shown = given if isinstance(given, str) else repr(given)
        with self._lock:
            self.outcomes[door]["FAULT"] += 1
            self.faults.append(Fault(door, kind, _cut(shown), _cut(str(seen))))

    def add_fault(self, door: str, kind: str, *, given: object, seen: object) -> None:
        """Record a fault that belongs to no single value: an ended process, a late task."""
        with self._lock:
            self.faults.append(Fault(door, kind, _cut(str(given)), _cut(str(seen))))

    def say(self, words: str) -> None:
        with self._lock:
            self.notes.append(words)
        print(f"{time.monotonic() - self.began:6.1f} s  {words}", flush=True)

    @property
    def values(self) -> int:
        return sum(sum(counts.values()) for counts in self.outcomes.values())

    def to_text(self) -> str:
        """Return the report as Markdown."""
        lines = ["| door | values | outcomes |", "|---|---|---|"]
        for door, counts in sorted(self.outcomes.items()):
            words = ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))
            lines.append(f"| {door} | {sum(counts.values()):,} | {words} |")
        lines.append(f"| all | {self.values:,} | faults {len(self.faults):,} |")
        lines += ["", "| ordinary tasks | |", "|---|---|"]
        lines += [f"| {name} | {number:,.1f} |" for name, number in self.ordinary.items()]
        if self.faults:
            lines += ["", "Faults, the smallest inputs of each kind:", ""]
            lines += list(_describe(self.faults))
        return "\n".join(lines)


def _describe(faults: Sequence[Fault]) -> Sequence[str]:
    kinds: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        kinds[fault.door, fault.kind].append(fault)
    lines = []
    for (door, kind), found in sorted(kinds.items(), key=lambda item: (item[0][0], -len(item[1]))):
        lines.append(f"- {door}: {kind} ({len(found):,} times)")
        for fault in sorted(found, key=lambda fault: len(fault.given))[:SHOWN_PER_KIND]:
            lines += [f"  - given {fault.given}", f"    seen  {fault.seen}"]
    return lines


def _cut(text: str) -> str:
    safe = text.encode("ascii", "backslashreplace").decode()
    return safe if len(safe) <= SHOWN_CHARACTERS else f"{safe[:SHOWN_CHARACTERS]}… ({len(safe):,} characters)"
