"""Door: the database. Rows that were written by hand: task rows, checkpoints, deliveries, queue states.

Owns what is written. The shared loops continue past them, and the pages and lists that show them answer.
"""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import strategies as st

from tests.hostile.drawing import draw
from tests.hostile.world import World

DOOR = "database rows"
NOW = "2026-01-01T00:00:00Z"
LOOK_SECONDS = 2.0  # several passes of the rescuer
BATCH = 25

_odd: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2**60),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.just([]),
    st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=3) | st.none(), max_size=2),
)
_RECORD: dict[str, Any] = {
    "name": "upload",
    "priority": "low",
    "status": "finished",
    "created_at": NOW,
    "updated_at": NOW,
    "params": {},
}
_CHECKPOINT: dict[str, Any] = {"updated_at": NOW, "epoch": 1, "worker": "nobody"}
_DELIVERY: dict[str, Any] = {"url": "http://x.invalid/", "snapshot": "{}", "due_at": NOW}
_records = st.fixed_dictionaries(
    {},
    optional={
        "counts": _odd,
        "params": _odd,
        "done": st.sampled_from([0, 2**31, 2**63 - 1]),
        "total": st.sampled_from([None, 0, 2**63 - 1]),
        "status": st.sampled_from(["finished", "queued", "started", "scheduled", "gone", ""]),
        "priority": st.sampled_from(["low", "high", "middle", ""]),
        "name": st.sampled_from(["upload", "nope", "", "🎉" * 20]),
        "error": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        "created_at": st.sampled_from([NOW, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]),
        "callback_url": st.sampled_from(["", "http://[::::]/", "x"]),
        "epoch": st.sampled_from([0, 2**31 - 1]),
    },
)
_checkpoints = st.fixed_dictionaries(
    {},
    optional={
        "counts": _odd,
        "state": _odd,
        "done": st.sampled_from([0, 1, 2**63 - 1]),
        "failures": st.sampled_from([0, 1, 2**31 - 1]),
        "epoch": st.sampled_from([0, 1, 2**31 - 1]),
        "outcome": st.sampled_from(["", "", "finished", "failed", "gone"]),
        "lease_until": st.sampled_from([None, NOW, NOW]),
        "claimed_done": st.sampled_from([0, 5, 2**63 - 1]),
        "cancel_requested": st.booleans(),
        "shards": st.sampled_from([0, 3, 2**31 - 1]),
        "first": st.sampled_from([0, 2**63 - 1]),
        "parent_id": st.sampled_from([None, str(uuid.UUID(int=7))]),
    },
)
_deliveries = st.fixed_dictionaries(
    {},
    optional={
        "url": st.sampled_from(["http://[::::]/", "", "x", "http://", "file:///etc/passwd", "http://x.invalid:99999/"]),
        "snapshot": st.sampled_from(["", "{", "null", "[]", "{}", "5", '{"id": 5}', "🎉", "[" * 3_000]),
        "attempts": st.sampled_from([0, 1, 2**31 - 1]),
    },
)


def run(world: World, *, number: int) -> None:
    """Write `number` rows, a third of each kind, and request every list and page."""
    share = max(5, number // 3)
    kinds = (
        ("TaskRecord", "id", _RECORD, draw(_records, number=share, seed_number=world.seed)),
        ("TaskCheckpoint", "task_id", _CHECKPOINT, draw(_checkpoints, number=share, seed_number=world.seed)),
        ("WebhookDelivery", "task_id", _DELIVERY, draw(_deliveries, number=share, seed_number=world.seed)),
    )
    for model, key, base, drawn in kinds:
        for start in range(0, len(drawn), BATCH):
            _write(world, model, key, base, drawn[start : start + BATCH])
    states = [
        {"name": "middle", "paused_at": NOW},
        {"name": "🎉", "paused_by": "x" * 64},
        {"name": "", "reason": "r" * 255},
    ]
    _write(world, "QueueState", "", {}, states)
    _look_at_lists(world)


def _write(world: World, model: str, key: str, base: dict[str, Any], drawn: list[dict[str, Any]]) -> None:
    ended = sum(world.watch.ended.values())
    written = []
    for changes in drawn:
        row = base | changes | ({key: str(uuid.uuid4())} if key else {})
        refused = world.insider.create(model, [row])
        if refused:
            world.tally.note(DOOR, "refused by the table")
        else:
            written.append((row.get(key, ""), changes))
    # Nothing shows that the rescuer has skipped a row, so wait for the time of several passes.
    world.watch.look_for(LOOK_SECONDS)
    if sum(world.watch.ended.values()) > ended:
        world.tally.fault(DOOR, "a process has ended", given=f"{model} {written}", seen="")
    for task_id, changes in written:
        wrong = _read(world, str(task_id)) if model == "TaskRecord" else ""
        if wrong:
            world.tally.fault(DOOR, wrong, given=f"{model} {changes}", seen=task_id)
        else:
            world.tally.note(DOOR, "harmless")


def _read(world: World, task_id: str) -> str:
    for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/events"):
        answer = world.stack.get(path)
        if answer.status == 0 or answer.status >= 500:
            return f"GET {path.replace(task_id, '{id}')} answers {answer.status}"
    return ""


def _look_at_lists(world: World) -> None:
    for path in ("/tasks?limit=200", "/tasks?status=finished&limit=200", "/queues", "/health/ready", "/metrics"):
        answer = world.stack.get(path)
        if answer.status == 0 or answer.status >= 500:
            world.tally.fault(DOOR, f"GET {path} answers {answer.status}", given="rows by hand", seen=answer.body[:300])
