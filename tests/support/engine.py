"""Steps of the engine's tests: tasks, workers and rescuers in this process, on real stores."""

import dataclasses
import uuid
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models.functions import Now
from django.test import override_settings
from rq.utils import utcformat

import tests.support.odd_values
import tests.support.task_types  # noqa: F401 (registers them)
from catalog.models import User
from tasks_app.domain.task_snapshot import Snapshot
from tasks_app.engine.interruption import Interruption, WorkerHooks
from tasks_app.engine.runner import Runner
from tasks_app.models import TaskCheckpoint, TaskEvent, TaskRecord
from tasks_app.queues import job_snapshots, queue_names, redis_connection, redis_keys, transitions
from tasks_app.queues.transitions import DequeuedTask
from tasks_app.read_model.mirror import Mirror
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.services import start_tasks
from tasks_app.task_types import list_names


@pytest.fixture(autouse=True)
def _database(transactional_db: None) -> None:
    """Use real commits, because the tests check what another transaction sees."""


@pytest.fixture
def longtasks() -> Generator[Callable[..., None], None, None]:
    """`longtasks(lease_seconds=0.2)`: other settings until the test ends."""
    overrides: list[override_settings] = []

    def change(**values: Any) -> None:
        overrides.append(override_settings(LONGTASKS=dataclasses.replace(settings.LONGTASKS, **values)))
        overrides[-1].enable()

    yield change
    for override in reversed(overrides):
        override.disable()


class Worker:
    """A worker without its loop: the test calls `dequeue` and `run`."""

    def __init__(self, name: str = "w1", *, unknown: Sequence[str] = ()) -> None:
        self.name = name
        self.types = [known for known in list_names() if known not in unknown]
        self.interruption = Interruption.CONTINUE
        self.on_check: Callable[[], None] = lambda: None
        self.should_stop = False
        self.connection = redis_connection.get_connection()
        self.runner = Runner(
            connection=self.connection,
            worker=name,
            hooks=WorkerHooks(
                check_interruption=self._check_interruption,
                should_stop=lambda: self.should_stop,
                while_waiting=lambda: None,
            ),
        )

    def dequeue(self, *, max_tasks: int = 200) -> list[DequeuedTask]:
        dequeued, _ = transitions.dequeue_tasks(
            self.connection,
            worker=self.name,
            types=self.types,
            queues=queue_names.QUEUES,
            max_tasks=max_tasks,
            max_records=settings.LONGTASKS.batch_records,
        )
        return dequeued

    def run(self) -> list[DequeuedTask]:
        dequeued = self.dequeue()
        if dequeued:
            self.runner.run(dequeued)
        return dequeued

    def _check_interruption(self, dequeued: DequeuedTask) -> Interruption:
        self.on_check()
        return self.interruption


def start(name: str = "slow", *, priority: str = "low", **params: Any) -> str:
    """Start a task; return its id."""
    params = {"records": 3, **params}
    return start_tasks.start_task(task=start_tasks.NewTask(name=name, params=params, priority=priority)).snapshot.id


def mirror() -> None:
    """Run a mirror until the stream is empty."""
    reader = Mirror(connection=redis_connection.get_connection())
    while reader.step():
        pass


def rescue() -> Rescuer:
    made = Rescuer(connection=redis_connection.get_connection())
    made.run()
    return made


def checkpoint(task_id: str) -> TaskCheckpoint:
    return TaskCheckpoint.objects.get(task_id=uuid.UUID(task_id))


def record(task_id: str) -> TaskRecord:
    mirror()
    return TaskRecord.objects.get(pk=task_id)


def job(task_id: str) -> Snapshot:
    """Return the snapshot in Redis."""
    snapshot = job_snapshots.get_snapshot(task_id)
    assert snapshot is not None
    return snapshot


def positions(task_id: str) -> list[int]:
    """Return the positions of a task's rows, duplicates included."""
    return list(User.objects.filter(task_id=task_id).order_by("position").values_list("position", flat=True))


def waiting(name: str = "low") -> list[str]:
    return [entry.decode() for entry in redis_connection.get_connection().lrange(redis_keys.queue_key(name), 0, -1)]


def started(name: str = "low") -> list[str]:
    return [entry.decode() for entry in redis_connection.get_connection().zrange(f"rq:wip:{name}", 0, -1)]


def beat(worker: str, *, ago_seconds: float = 0, **fields: str) -> None:
    """Write a heartbeat of the given age."""
    at = utcformat(datetime.now(UTC) - timedelta(seconds=ago_seconds))
    redis_connection.get_connection().hset(f"rq:worker:{worker}", mapping={"last_heartbeat": at, **fields})


def expire_lease(task_id: str) -> None:
    """Let the lease of a task's claim expire, as if its worker had been silent."""
    TaskCheckpoint.objects.filter(task_id=task_id).update(lease_until=Now() - timedelta(seconds=1))


def history(task_id: str) -> list[tuple[str, str]]:
    """Return (status, cause) of a task's events."""
    mirror()
    return list(TaskEvent.objects.filter(task_id=task_id).order_by("pk").values_list("status", "cause"))
