"""Draws latency over rate from max_rate's JSON. Must not: measure."""

import json
from pathlib import Path
from typing import Any


def plot_rates(*, report: Path, png: Path) -> None:
    """Draw mean, median, p95 and p99 of each step, with the limit of the mean."""
    import matplotlib as mpl  # needed for drawing only

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    steps = [step for step in content["steps"] if step.get("mean") is not None]
    rates = [step["rate"] for step in steps]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, style in (("mean", "o-"), ("median", ".--"), ("p95", ".:"), ("p99", ".:")):
        axes.plot(rates, [step[name] for step in steps], style, label=name, linewidth=2 if name == "mean" else 1)
    not_held = [step for step in steps if not step["held"]]
    axes.plot([s["rate"] for s in not_held], [s["mean"] for s in not_held], "rx", markersize=10, label="not held")
    axes.axhline(content["meanMs"], color="tab:red", linewidth=0.8)
    axes.annotate(
        f"{content['meanMs']} ms", (rates[0] if rates else 0, content["meanMs"]), color="tab:red", va="bottom"
    )
    axes.set_yscale("log")
    axes.set_xlabel("requests per second")
    axes.set_ylabel("latency in ms")
    axes.set_title(f"POST /tasks: latency over rate, limit {content['limit']} requests/s")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend()
    figure.savefig(png, dpi=150)
    plt.close(figure)
