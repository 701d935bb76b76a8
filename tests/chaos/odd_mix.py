"""The odd tasks of the chaos run: a few per cent of the load, each with its required end under any fault.

Owns the list. Their types are those of the hostile run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHARE = 0.04  # of all tasks
DEADLOCK_ROWS = 12
DEADLOCK_TABLE_ROWS = 100
# The possible error of the last attempt if the worker was killed and the task did not fail itself.
DEATH_WORDS = ("The worker that ran this task",)


@dataclass(frozen=True, slots=True)
class Odd:
    """A kind of odd task."""

    kind: str  # for the report
    name: str  # of the type
    params: Mapping[str, Any]
    records: int
    words: tuple[str, ...] = ()  # words of its error if it must fail; empty: it must finish
    is_long: bool = False  # its one chunk takes longer than a lease

    @property
    def must_fail(self) -> bool:
        return bool(self.words)


def _error(kind: str, recipe: list[Any], word: str) -> Odd:
    return Odd(kind, "odd_error", {"recipe": json.dumps(recipe)}, 1, (word,))


def _result(kind: str, recipe: dict[str, Any]) -> Odd:
    return Odd(kind, "odd_result", {"recipe": json.dumps(recipe)}, 1, ("odd_result",))


def _act(kind: str, recipe: list[Any], *, is_long: bool = False) -> Odd:
    return Odd(kind, "odd_act", {"recipe": json.dumps(recipe)}, 3, is_long=is_long)


def _skipping(way: str, *, backwards: bool) -> Odd:
    params = {"base": 0, "rows": DEADLOCK_ROWS, "way": way, "rowMs": 5, "backwards": backwards}
    return Odd("swallows deadlocks", "odd_skip_bad_rows", params, DEADLOCK_ROWS)


KINDS = (
    _error("raises SystemExit", ["SystemExit", 0], "SystemExit"),
    _error("raises KeyboardInterrupt", ["KeyboardInterrupt"], "KeyboardInterrupt"),
    _error("an error of 5 MB", ["long", "x", 5_000_000], "ValueError"),
    _error("an error with a lone surrogate", ["ValueError", "caf\udce9.csv"], "ValueError"),
    _result("returns None", {"whole": ["none"]}),
    _result("counts 2**64", {"counts": ["dict", [[["text", "users"], ["int", str(2**64)]]]]}),
    _result("a state of NaN", {"state": ["dict", [[["text", "a"], ["float", "nan"]]]]}),
    _act("sleeps longer than its lease", ["sleep", 8], is_long=True),
    _act("leaves behind: directory", ["directory"]),
    _act("leaves behind: environment", ["environment"]),
    _act("leaves behind: locale", ["locale"]),
    _act("leaves behind: signal handlers", ["handlers"]),
    _skipping("bare", backwards=False),
    _skipping("bare", backwards=True),
    _skipping("everything", backwards=False),
    _skipping("everything", backwards=True),
    _skipping("atomic", backwards=True),
)


def draw_odd(dice: random.Random, *, may_take_long: bool) -> Odd:
    """Draw one kind."""
    return dice.choice([odd for odd in KINDS if may_take_long or not odd.is_long])
