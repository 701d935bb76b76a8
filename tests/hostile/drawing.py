"""Draws odd values from hypothesis' strategies, without a test function; the same seed gives the same values.

Owns how values are drawn. The doors own the strategies.
"""

from __future__ import annotations

from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

Value = TypeVar("Value")
TRIES = 5  # of a strategy with few values


def draw(strategy: SearchStrategy[Value], *, number: int, seed_number: int) -> list[Value]:
    """Return `number` values; fewer if the strategy has fewer."""
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
