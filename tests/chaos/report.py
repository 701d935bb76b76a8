"""The report of a chaos run: its actions and findings in figures, as text, Markdown and JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.oracle import Verdict

SHOWN = 20


@dataclass(slots=True)
class Report:
    """Figures of one run. Durations in seconds."""

    began_at: str = ""
    minutes: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    odd: dict[str, int] = field(default_factory=dict)  # odd tasks among them, by kind
    wiped_within_lag: int = 0
    wiped_window_seconds: list[float] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    recovery_seconds: list[float] = field(default_factory=list)
    not_recovered: int = 0
    preemption_seconds: list[float] = field(default_factory=list)
    sigterm_seconds: list[float] = field(default_factory=list)
    hung_sigterm_seconds: list[float] = field(default_factory=list)
    hung_answer_seconds: dict[str, list[float]] = field(default_factory=dict)
    hung_answers: dict[str, list[int]] = field(default_factory=dict)
    lag_seconds: list[float] = field(default_factory=list)
    load_average: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "began_at": self.began_at,
            "soak_minutes": self.minutes,
            "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "load_average_at_the_end": round(self.load_average, 2),
            "faults": self.faults,
            "tasks_accepted": self.accepted,
            "tasks_by_status": self.statuses,
            "odd_tasks": self.odd,
            "lost": len(self.verdict.lost),
            "duplicated": len(self.verdict.duplicated),
            "disagreeing": len(self.verdict.disagreeing),
            "leftovers_in_redis": len(self.verdict.leftovers),
            "what_was_found": (
                self.verdict.lost + self.verdict.duplicated + self.verdict.disagreeing + self.verdict.leftovers
            )[:SHOWN],
            "wiped_by_flush_within_the_lag": self.wiped_within_lag,
            "wiped_were_accepted_before_the_flush_seconds": summary(self.wiped_window_seconds),
            "recovery_after_kill_seconds": summary(self.recovery_seconds) | {"not_seen": self.not_recovered},
            "preemption_seconds": summary(self.preemption_seconds),
            "sigterm_to_exit_seconds": summary(self.sigterm_seconds),
            "sigterm_to_exit_while_a_server_hangs_seconds": summary(self.hung_sigterm_seconds),
            "answers_while_a_server_hangs": {
                name: summary(values) | {"statuses": sorted(set(self.hung_answers.get(name, [])))}
                for name, values in self.hung_answer_seconds.items()
            },
            "mirror_lag_seconds": summary(self.lag_seconds),
        }

    def to_markdown(self) -> str:
        data = self.to_json()
        rows = [
            ("tasks accepted (201 seen by a client)", f"{data['tasks_accepted']:,}"),
            ("… ended as", ", ".join(f"{name} {number:,}" for name, number in sorted(self.statuses.items()))),
            ("odd tasks among them (see below)", f"{sum(self.odd.values()):,}"),
            ("**lost**", f"**{data['lost']}**"),
            ("**duplicated**", f"**{data['duplicated']}**"),
            ("TaskRecord and checkpoint disagree", str(data["disagreeing"])),
            ("left over in Redis", str(data["leftovers_in_redis"])),
            ("wiped by FLUSHALL before the mirror had read them (counted separately)", str(self.wiped_within_lag)),
            ("kill -9 to the next committed chunk", _words(self.recovery_seconds)),
            ("preemption: POST of a high task to its start", _words(self.preemption_seconds)),
            ("SIGTERM to exit", _words(self.sigterm_seconds)),
            ("… while MariaDB or Redis hangs", _words(self.hung_sigterm_seconds)),
            ("lag of the mirror, faults included", _words(self.lag_seconds)),
        ]
        rows += [
            (
                f"answer of {name}",
                f"{_words(values)} (status {', '.join(map(str, sorted(set(self.hung_answers[name]))))})",
            )
            for name, values in self.hung_answer_seconds.items()
        ]
        lines = [
            "# Chaos",
            "",
            "Written by `make chaos`, which runs the real Procfile stack on MariaDB and Redis, under load from clients",
            "that repeat requests with their Idempotency-Key. The oracle checks all tasks after every fault and after the soak.",
            f"Began {self.began_at}, soak {self.minutes:g} min, {data['machine']}, load average at the end",
            f"{self.load_average:.1f}.",
            "",
            "| figure | value |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows),
            "",
            "| fault | times |",
            "|---|---|",
            *(f"| {name} | {number} |" for name, number in self.faults.items()),
            "",
            "| odd task (each ended with its own error, or finished with exactly its rows) | times |",
            "|---|---|",
            *(f"| {name} | {number} |" for name, number in self.odd.items()),
            "",
        ]
        if data["what_was_found"]:
            lines += ["What was found:", "", *(f"- {line}" for line in data["what_was_found"]), ""]
        return "\n".join(lines)

    def write(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "chaos.json").write_text(json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n")
        (directory / "chaos.md").write_text(self.to_markdown())


def summary(values: Sequence[float]) -> dict[str, float | int]:
    """Return n, p50, p99 and max."""
    if not values:
        return {"n": 0}
    return {
        "n": len(values),
        "p50": round(statistics.median(values), 3),
        "p99": round(percentile(values, 99), 3),
        "max": round(max(values), 3),
    }


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)]


def _words(values: Sequence[float]) -> str:
    if not values:
        return "not measured"
    figures = summary(values)
    return f"p50 {figures['p50']:.2f} s, p99 {figures['p99']:.2f} s, max {figures['max']:.2f} s (n = {figures['n']})"
