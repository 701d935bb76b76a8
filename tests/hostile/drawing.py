"""Draws odd values: the same ones for the same seed, by hypothesis' strategies, without a test function.

Owns the way of drawing. What is drawn, the doors say.
"""

from __future__ import annotations

from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

Value = TypeVar("Value")
TRIES = 5  # of a strategy that knows few values


def draw(strategy: SearchStrategy[Value], *, number: int, seed_number: int) -> list[Value]:
    """Return `number` values; fewer where the strategy has no more to give."""
    found: list[Value] = []
    for turn in range(TRIES):
        wanted = number - len(found)
        if wanted <= 0:
            break

        @seed(seed_number * TRIES + turn)
        @settings(
            max_examples=wanted,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def collect(value: Value) -> None:
            found.append(value)

        collect()
    return found[:number]
