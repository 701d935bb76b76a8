"""Runners of two workers in one process, with small shards, so that a short task has several."""

import dataclasses

import pytest
from django.conf import settings
from django.test import override_settings

from catalog.models import MODELS
from tasks_app.engine.interruption import Interruption, WorkerHooks
from tasks_app.engine.runner import Runner
from tasks_app.queues import queue_names, redis_connection, transitions
from tasks_app.read_model.mirror import Mirror
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.services import start_tasks
from tasks_app.services.start_tasks import NewTask
from tasks_app.task_types import list_names


@pytest.fixture
def small_shards():
    small = dataclasses.replace(settings.LONGTASKS, shard_records=300, batch_records=100, rescue_seconds=0.1)
    with override_settings(LONGTASKS=small):
        yield


class Bench:
    """Runners of two workers, each step called by the test."""

    def __init__(self) -> None:
        self.redis = redis_connection.get_connection()
        self.mirror, self.rescue = Mirror(connection=self.redis), Rescuer(connection=self.redis)
        self.after_chunk = lambda dequeued: Interruption.CONTINUE

    def runner(self, worker: str) -> Runner:
        hooks = WorkerHooks(check_interruption=self.after_chunk, should_stop=lambda: False, while_waiting=lambda: None)
        return Runner(connection=self.redis, worker=worker, hooks=hooks)

    def dequeue(self, worker: str) -> list[transitions.DequeuedTask]:
        dequeued, _ = transitions.dequeue_tasks(
            self.redis, worker=worker, types=list_names(), queues=queue_names.QUEUES, max_tasks=10, max_records=100
        )
        return dequeued

    def run_next(self, worker: str) -> bool:
        dequeued = self.dequeue(worker)
        if dequeued:
            self.runner(worker).run(dequeued)
        return bool(dequeued)

    def drain(self) -> int:
        steps = 0
        while self.run_next("one" if steps % 2 else "two"):
            steps += 1
        self.apply()
        return steps

    def apply(self) -> None:
        while self.mirror.step():
            pass


@pytest.fixture
def bench(redis, small_shards):
    return Bench()


def start(records: int) -> str:
    return start_tasks.start_task(task=NewTask(name="upload", params={"numRecords": records})).snapshot.id


def positions(task_id: str) -> list[list[int]]:
    return [sorted(model.objects.filter(task_id=task_id).values_list("position", flat=True)) for model in MODELS]
