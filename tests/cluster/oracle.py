"""The oracle of the cluster test: every accepted task has ended, and finished ones have exactly their rows. Only reads."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.cluster import TABLES, Cluster


@dataclass(slots=True)
class Verdict:
    """The findings."""

    accepted: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)  # accepted, but unknown to the service
    open: list[str] = field(default_factory=list)
    wrong_rows: list[str] = field(default_factory=list)
    strangers: int = 0  # tasks with rows but without a 201: requests whose answer was lost
    seen_back: int = 0  # reads in which a task went backwards
    seen_missing: int = 0
    refused: int = 0

    @property
    def holds(self) -> bool:
        ended = self.statuses["finished"] + len(self.lost)
        return bool(self.accepted) and not (self.open or self.wrong_rows) and ended == self.accepted


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def judge(cluster: Cluster, directory: Path) -> Verdict:
    """Compare the answers to the client with the database."""
    accepted = {entry["id"]: entry for entry in read_lines(directory / "accepted.jsonl")}
    seen = Counter(entry["what"] for entry in read_lines(directory / "seen.jsonl"))
    verdict = Verdict(
        accepted=len(accepted), seen_back=seen["back"], seen_missing=seen["missing"], refused=seen["refused"]
    )
    records = {_key(task_id): status for task_id, status in cluster.sql("SELECT id, status FROM tasks_app_taskrecord")}
    rows: dict[str, list[tuple[int, int]]] = {}
    for table in TABLES:
        for task_id, count, distinct in cluster.sql(
            f"SELECT task_id, COUNT(*), COUNT(DISTINCT position) FROM {table} GROUP BY task_id"
        ):
            rows.setdefault(_key(task_id), []).append((int(count), int(distinct)))
    for task_id, entry in accepted.items():
        key = _key(task_id)
        status = records.get(key, "")
        if not status and key not in rows:
            verdict.lost.append(task_id)
            continue
        verdict.statuses[status] += 1
        if status not in ("finished", "failed", "canceled", "stopped"):
            verdict.open.append(f"{task_id} {status}")
        elif rows.get(key) != [(entry["records"], entry["records"])] * len(TABLES):
            verdict.wrong_rows.append(f"{task_id} {status}: {entry['records']} records, rows {rows.get(key)}")
    verdict.strangers = len(set(rows) - {_key(task_id) for task_id in accepted})
    return verdict


def _key(task_id: Any) -> str:
    return uuid.UUID(str(task_id)).hex
