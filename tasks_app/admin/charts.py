"""The charts of the overview: turn minute roll-ups into the coordinates of an inline SVG.

Owns the geometry. Must not name a colour: the style sheet does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from tasks_app.read_model.minute_rollups import MinuteView, quantile_seconds
from tasks_app.templatetags.task_display import compact, duration

WIDTH: Final = 600
HEIGHT: Final = 120


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve: its name, its class in the style sheet, its path, and its formatted last value."""

    label: str
    kind: str
    path: str
    area: str
    latest: str


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    lines: list[Curve]
    top: str  # the formatted value at the upper edge
    first_at: datetime
    middle_at: datetime
    last_at: datetime


def make_charts(views: Sequence[MinuteView]) -> list[Chart]:
    """Return the four charts of the overview. The current minute is left out: its partial count would look like a drop."""
    done = views[:-1]
    return [
        _chart(_("Tasks per second"), done, {"": [view.ended / 60 for view in done]}, in_seconds=False),
        _chart(_("Rows per second"), done, {"": [view.rows / 60 for view in done]}, in_seconds=False),
        _chart(_("Waiting time"), done, _quantiles([view.waits for view in done]), in_seconds=True),
        _chart(_("Running time"), done, _quantiles([view.runs for view in done]), in_seconds=True),
    ]


def _quantiles(histograms: Sequence[dict[str, int]]) -> dict[str, list[float | None]]:
    return {
        "p50": [quantile_seconds(histogram, 0.5) for histogram in histograms],
        "p95": [quantile_seconds(histogram, 0.95) for histogram in histograms],
    }


def _chart(
    title: str, views: Sequence[MinuteView], curves: Mapping[str, Sequence[float | None]], *, in_seconds: bool
) -> Chart:
    format_value = duration if in_seconds else compact
    top = _round_up(max((value for curve in curves.values() for value in curve if value is not None), default=0))
    lines = []
    for name, curve in curves.items():
        known = [value for value in curve if value is not None]
        path = _path(curve, top)
        lines.append(
            Curve(
                label=name,
                kind=name or "single",
                path=path,
                area=_area(curve, top) if not name else "",
                latest=format_value(known[-1]) if known else "–",
            )
        )
    return Chart(
        title=title,
        lines=lines,
        top=format_value(top),
        first_at=views[0].minute,
        middle_at=views[len(views) // 2].minute,
        last_at=views[-1].minute,
    )


def _path(curve: Sequence[float | None], top: float) -> str:
    """Return the `d` attribute of a path: a gap for each missing value, a dot for an isolated value."""
    parts: list[str] = []
    pen_down = False
    for index, value in enumerate(curve):
        if value is None:
            pen_down = False
            continue
        x, y = _x(index, curve), _y(value, top)
        if pen_down:
            parts.append(f"L{x:.1f} {y:.1f}")
        else:
            parts.append(f"M{x:.1f} {y:.1f}h0.01")
        pen_down = True
    return "".join(parts)


def _area(curve: Sequence[float | None], top: float) -> str:
    points = "".join(f"L{_x(index, curve):.1f} {_y(value or 0, top):.1f}" for index, value in enumerate(curve))
    return f"M0 {HEIGHT}{points}L{WIDTH} {HEIGHT}Z"


def _x(index: int, curve: Sequence[object]) -> float:
    return index * WIDTH / max(1, len(curve) - 1)


def _y(value: float, top: float) -> float:
    return HEIGHT - (HEIGHT - 4) * value / top


def _round_up(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 0.001
    while power < value:
        for step in (1, 2, 5):
            if value <= step * power:
                return step * power
        power *= 10
    return power
