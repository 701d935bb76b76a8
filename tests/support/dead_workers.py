"""What a dead worker leaves: a claim with a committed chunk, and a check that the task still finishes."""

import uuid
from typing import Any

import pytest

from tasks_app.checkpoints import claims
from tasks_app.models import TaskRecord
from tests.support.engine import Worker, checkpoint, expire_lease, mirror, positions, record, start, started, waiting


def claim_and_die(worker: str = "dead", **params: Any) -> str:
    """Start a task whose worker commits one record and dies; return its id."""
    task_id = start(records=3, **params)
    dying = Worker(worker)

    def die() -> None:
        raise KeyboardInterrupt

    dying.on_check = die
    with pytest.raises(KeyboardInterrupt):
        dying.run()
    return task_id


def settle() -> None:
    """Make all task rows old enough to be compared."""
    mirror()
    TaskRecord.objects.update(updated_at="2020-01-01T00:00:00Z")


def assert_finishes(task_id: str) -> None:
    while Worker("next").run():
        pass
    assert positions(task_id) == [0, 1, 2]
    assert record(task_id).status == checkpoint(task_id).outcome == "finished"
    assert waiting() == started() == []


def claim(task_id: str) -> None:
    claims.claim(task_id=uuid.UUID(task_id), worker="dead")
    expire_lease(task_id)
