"""The paths that the GETs request: as many tasks on each side; ours have ended and are mirrored."""

from pathlib import Path

from loadtests.bench.context import Bench
from loadtests.bench.ground import BenchStack
from loadtests.bench.peer import Peer


def write_finished_paths(bench: Bench, stack: BenchStack, path: Path) -> None:
    """Run small tasks to their end and write their paths."""
    stack.start_workers(2)
    stack.fill(tasks=bench.scale.readable_tasks, records=1)
    stack.wait_until_idle(deadline_seconds=120)
    stack.stop_role("worker")
    ids = [row[0] for row in stack.sql("SELECT id FROM tasks_app_taskrecord WHERE status = 'finished'")]
    path.write_text("".join(f"/tasks/{task_id}\n" for task_id in ids))


def write_peer_paths(bench: Bench, peer: Peer, path: Path) -> None:
    """Start as many tasks at the peer and write their paths."""
    path.write_text("".join(f"/tasks/{peer.post(records=1)}\n" for _ in range(bench.scale.readable_tasks)))
