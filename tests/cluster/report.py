"""Writes docs/cluster.json and the table between the marks of docs/cluster.md."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from longtasks.local_stack.procfile import PROJECT_DIR

PAGE = PROJECT_DIR / "docs" / "cluster.md"
FIGURES = PROJECT_DIR / "docs" / "cluster.json"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def write_report(outcome: dict[str, Any]) -> None:
    """Replace the figures of the last run."""
    FIGURES.write_text(
        json.dumps({"at": datetime.now(UTC).date().isoformat(), **outcome}, indent=1, ensure_ascii=False) + "\n"
    )
    if not PAGE.exists():
        return
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{_table(outcome)}\n\n{END}{after}")


def _table(outcome: dict[str, Any]) -> str:
    nodes = "one Galera node" if outcome["single_writer"] else "every Galera node"
    wait = outcome["redis_wait_replicas"]
    lines = [
        f"Run of {datetime.now(UTC).date()}, {outcome['seconds']} s, REDIS_WAIT_REPLICAS={wait}, {nodes} written to.",
        "",
        f"- accepted (201): **{outcome['accepted']}**; finished: {outcome['statuses'].get('finished', 0)}",
        f"- lost: **{outcome['lost']}**; still open: {outcome['still_open']}; wrong rows: **{outcome['wrong_rows']}**",
        f"- reads that went backwards: {outcome['seen_back']}; that missed a task: {outcome['seen_missing']}",
        f"- tasks that ran although the response to their start was lost: {outcome['answers_lost']}",
        f"- attempts that a dead worker cost: {outcome['failed_attempts']}",
        "",
        "| fault | for s | accepted meanwhile | asked again | longest pause s | longest wait s | whole after s |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {fault['name']} | {fault['seconds']} | {fault['accepted']} | {fault['retried']} | "
        f"{fault['longest_gap_seconds']} | {fault['longest_wait_seconds']} | {fault['whole_after_seconds']} |"
        for fault in outcome["faults"]
    ]
    return "\n".join(lines)
