"""Draws the figures that tables show badly. Must not: measure. Without matplotlib a message replaces the plots."""

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.bench.errors import BenchError
from loadtests.bench.figures import median_of
from loadtests.bench.goals import find_runs, load_data_rows_per_second
from loadtests.bench.responsiveness import OURS
from loadtests.plot import plot_rates


def draw_plots(*, figures: Mapping[str, Any], directory: Path) -> dict[str, Path]:
    """Draw the figures; returns the files by name."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise BenchError("matplotlib is not installed: make .venv/.bench") from None
    mpl.use("Agg")
    directory.mkdir(parents=True, exist_ok=True)
    sections = {name: section["figures"] for name, section in figures["sections"].items()}
    drawn = {}
    for name, section, draw in (
        ("latency_over_rate", "max-rate", _draw_rates),
        ("rows_over_size", "drain", _draw_rows),
        ("tasks_over_size", "drain", _draw_tasks),
        ("backlog", "sustained", _draw_backlog),
    ):
        if section in sections:
            drawn[name] = directory / f"{name}.png"
            draw(sections[section], drawn[name])
    return drawn


def _draw_rates(figures: Mapping[str, Any], png: Path) -> None:
    """Draw our run with the median limit."""
    reports = sorted(figures["variants"][OURS], key=lambda report: report["limit"])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "max_rate.json"
        path.write_text(json.dumps(reports[len(reports) // 2]))
        plot_rates(report=path, png=png)


def _draw_rows(figures: Mapping[str, Any], png: Path) -> None:
    _draw_sizes(figures, png, name="rows_per_second", title="Rows per second", limit=load_data_rows_per_second(figures))


def _draw_tasks(figures: Mapping[str, Any], png: Path) -> None:
    _draw_sizes(figures, png, name="tasks_per_second", title="Tasks per second", limit=None)


def _draw_sizes(figures: Mapping[str, Any], png: Path, *, name: str, title: str, limit: float | None) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    sizes = sorted({cell["records"] for cell in figures["cells"]})
    for writer, style in (("orm", "o-"), ("bulk", "s--")):
        for workers in sorted({cell["workers"] for cell in figures["cells"]}):
            runs = [find_runs(figures["cells"], writer=writer, workers=workers, records=size) for size in sizes]
            label = f"{'ORM' if writer == 'orm' else 'LOAD DATA'}, {workers} workers"
            axes.plot(
                sizes,
                [median_of(of, name) or math.nan for of in runs],
                style,
                label=label,
                linewidth=0.5 + 0.4 * workers,
            )
    peers_sizes = sorted({cell["records"] for cell in figures["peer"]})
    if peers_sizes:
        runs = [find_runs(figures["peer"], concurrency=1, records=size) for size in peers_sizes]
        axes.plot(
            peers_sizes,
            [median_of(of, name) or math.nan for of in runs],
            "x:",
            color="tab:red",
            label="peer, 2 workers",
        )
    if limit:
        axes.axhline(limit, color="black", linewidth=0.8)
        axes.annotate("raw LOAD DATA, one connection", (sizes[0], limit), va="bottom", fontsize=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("records per task")
    axes.set_ylabel(title.lower())
    axes.set_title(f"{title} over the size of a task")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(fontsize=8)
    figure.savefig(png, dpi=150)
    plt.close(figure)


def _draw_backlog(figures: Mapping[str, Any], png: Path) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    for number, run in enumerate(figures["runs"], start=1):
        seconds, waiting = zip(*run["backlog"], strict=True)
        axes.plot(seconds, waiting, linewidth=0.8, label=f"run {number}")
    axes.set_xlabel("seconds")
    axes.set_ylabel("tasks that wait, run or are parked")
    axes.set_title(f"{figures['rate']} tasks of one record a second: what waits or runs")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize=8)
    figure.savefig(png, dpi=150)
    plt.close(figure)
