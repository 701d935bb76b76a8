"""The arithmetic of the report: medians, spreads, ratios, slopes. Must not: know the measurements."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Run = Mapping[str, Any]
MISSING = "–"


def values_of(runs: Sequence[Run], name: str) -> list[float]:
    return [float(run[name]) for run in runs if run.get(name) is not None]


def median_of(runs: Sequence[Run], name: str) -> float | None:
    values = values_of(runs, name)
    return median(values) if values else None


def worst_of(runs: Sequence[Run], name: str) -> float | None:
    values = values_of(runs, name)
    return max(values) if values else None


def ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that `share` of all values do not exceed; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, int(len(ordered) * share + 0.999999) - 1))]


def number(value: float | None, *, digits: int = 3) -> str:
    """Format a figure: three significant digits, thousands with commas."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        rounded = round(value, digits - len(str(int(abs(value))))) if abs(value) < 10**6 else round(value, -3)
        return f"{int(rounded):,}"
    return f"{value:.{digits}g}"


def with_spread(runs: Sequence[Run], name: str) -> str:
    """Format the median, followed by the lowest and the highest value if there are several."""
    values = values_of(runs, name)
    if not values:
        return MISSING
    shown = number(median(values))
    if len(values) == 1:
        return shown
    low, high = number(min(values)), number(max(values))
    return shown if low == high else f"{shown} ({low}–{high})"
