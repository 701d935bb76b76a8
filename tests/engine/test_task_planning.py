"""A task is planned once, at its first claim; its total and its shards stay, whatever dies between."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest
from rest_framework import serializers

from tasks_app.checkpoints import as_snapshot, claims, shards
from tasks_app.checkpoints.claims import Fenced
from tasks_app.engine.interruption import Interruption
from tasks_app.models import TaskCheckpoint
from tasks_app.services import change_tasks, start_tasks
from tasks_app.task_types import Chunk, ChunkResult, Part, Plan, TaskType, register, unregister
from tests.support.engine import Worker, checkpoint, expire_lease, job, positions, record, rescue, started, waiting
from tests.support.task_types import insert_users


class NoParams(serializers.Serializer[Any]):
    """No parameters."""


class PlannedTask(TaskType):
    """Ten records a part; the sizes of the plan are wrong on purpose."""

    name = "planned"
    params_serializer = NoParams
    is_planned = splittable = True
    first_limit = max_limit = 4
    plan: Any = None
    planned = 0

    def make_plan(self, *, task_id: uuid.UUID, params: Mapping[str, Any], shard_records: int) -> Any:
        type(self).planned += 1
        if isinstance(self.plan, Exception):
            raise self.plan
        return self.plan

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        at, end = chunk.state["at"], chunk.state["end"]
        done = min(chunk.limit, end - at)
        insert_users(Chunk(chunk.task_id, {}, at, done, None, {}), stop=at + done)
        return ChunkResult(done, {"users": done}, {"at": at + done, "end": end}, finished=at + done == end)


def whole(total: int = 10, *, end: int = 10, is_estimate: bool = False) -> Plan:
    return Plan(total, is_estimate, {"at": 0, "end": end})


def split(*sizes: int, total: int = 999) -> Plan:
    """A plan of parts with ten records each, whatever their sizes say."""
    parts = [Part({"at": place * 10, "end": place * 10 + 10}, size) for place, size in enumerate(sizes)]
    return Plan(total, True, {"at": 0, "end": 10 * len(sizes)}, parts)


@pytest.fixture
def planned() -> Generator[type[PlannedTask], None, None]:
    register(PlannedTask)
    PlannedTask.plan, PlannedTask.planned = whole(), 0
    yield PlannedTask
    unregister("planned")


def begin() -> str:
    return start_tasks.start_task(task=start_tasks.NewTask(name="planned")).snapshot.id


def run_all() -> None:
    for number in itertools.count():
        if not Worker(f"w{number % 2}").run():
            return


def test_an_estimate_is_shown_while_the_task_runs_and_the_end_is_exact(planned: type[PlannedTask]) -> None:
    planned.plan = whole(7, is_estimate=True)
    worker, seen = Worker(), []
    task_id = begin()
    assert job(task_id).total is None
    worker.on_check = lambda: seen.append((job(task_id).done, job(task_id).total, job(task_id).total_is_estimate))
    worker.run()
    assert seen == [(4, 7, True), (8, 8, True)], "never less than what is done"
    for shown in (record(task_id), job(task_id)):
        assert (shown.status, shown.done, shown.total, shown.total_is_estimate) == ("finished", 10, 10, False)
    assert positions(task_id) == list(range(10))


def test_a_resumed_task_is_not_planned_again(planned: type[PlannedTask]) -> None:
    worker = Worker()
    worker.interruption = Interruption.PREEMPT
    task_id = begin()
    worker.run()
    planned.plan = whole(99, end=99)
    run_all()
    assert planned.planned == 1
    assert (record(task_id).total, positions(task_id)) == (10, list(range(10)))


def test_a_task_that_lost_redis_keeps_its_total(planned: type[PlannedTask], redis: Any) -> None:
    worker = Worker()
    worker.interruption = Interruption.PREEMPT
    planned.plan = whole(12, is_estimate=True)
    task_id = begin()
    worker.run()
    assert (record(task_id).total, record(task_id).total_is_estimate) == (12, True)
    snapshot = job(task_id)
    row = checkpoint(task_id)
    snapshot.total = None
    assert as_snapshot.with_checkpoint(snapshot, row).total == 12


def test_a_plan_that_raises_is_a_failed_attempt(planned: type[PlannedTask], longtasks: Callable[..., None]) -> None:
    longtasks(retry_first_seconds=0)
    planned.plan = RuntimeError("planted")
    task_id = begin()
    Worker().run()
    assert job(task_id).status == "scheduled"
    assert "planted" in (job(task_id).error or "")
    planned.plan = whole()
    rescue().enqueue_due()
    run_all()
    assert record(task_id).status == "finished"
    assert positions(task_id) == list(range(10))


@pytest.mark.parametrize(
    "plan",
    [None, 5, Plan(-1), Plan(1, state={"x": {1}}), Plan(1, parts=[Part({}, 0)]), Plan(1, parts=[1]), Plan(1, parts=5)],
)
def test_an_invalid_plan_fails_the_attempt_with_what_is_accepted(planned: type[PlannedTask], plan: Any) -> None:
    planned.plan = plan
    task_id = begin()
    Worker().run()
    assert "accepted: " in (job(task_id).error or "")
    assert checkpoint(task_id).failures == 1


def test_parts_run_on_several_workers_and_the_last_one_ends_the_task(planned: type[PlannedTask]) -> None:
    planned.plan = split(1, 500, 3)
    task_id = begin()
    Worker().run()
    row = checkpoint(task_id)
    assert (row.shards, row.open_shards, row.total, row.total_is_estimate) == (3, 3, 999, True)
    assert record(task_id).status == "started"
    first, second = Worker("a"), Worker("b")
    taken = [first.dequeue(), second.dequeue()]
    assert [len(each) for each in taken] == [1, 1]
    second.runner.run(taken[1])
    assert checkpoint(task_id).open_shards == 2
    first.runner.run(taken[0])
    assert record(task_id).status == "started"
    run_all()
    shown = record(task_id)
    assert (shown.status, shown.done, shown.total, shown.total_is_estimate) == ("finished", 30, 30, False)
    assert positions(task_id) == list(range(30))
    assert waiting() == started() == []
    assert planned.planned == 1


def test_a_plan_with_one_part_is_not_split(planned: type[PlannedTask]) -> None:
    planned.plan = Plan(10, state={"at": 0, "end": 10}, parts=[Part({"at": 0, "end": 10}, 10)])
    task_id = begin()
    run_all()
    assert (checkpoint(task_id).shards, checkpoint(task_id).open_shards) == (0, None)
    assert positions(task_id) == list(range(10))


def test_a_canceled_task_that_is_retried_keeps_its_parts_and_their_progress(planned: type[PlannedTask]) -> None:
    planned.plan = split(10, 10, 10)
    task_id = begin()
    Worker().run()
    Worker().run()
    preempted = Worker()
    preempted.interruption = Interruption.PREEMPT
    preempted.run()
    change_tasks.cancel_task(task_id=task_id)
    run_all()
    assert record(task_id).status == "canceled"
    assert len(positions(task_id)) == 14
    change_tasks.retry_task(task_id=task_id)
    run_all()
    assert record(task_id).status == "finished"
    assert positions(task_id) == list(range(30))
    assert checkpoint(task_id).open_shards == 0
    assert planned.planned == 1


def test_a_part_that_fails_for_good_fails_its_task(planned: type[PlannedTask], longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    planned.plan = split(10, 10)
    task_id = begin()
    Worker().run()
    TaskCheckpoint.objects.filter(parent_id=task_id, first=0).update(state={"at": "x"})
    run_all()
    assert record(task_id).status == "failed"
    TaskCheckpoint.objects.filter(parent_id=task_id, first=0).update(state={"at": 0, "end": 10})
    change_tasks.retry_task(task_id=task_id)
    run_all()
    assert record(task_id).status == "finished"
    assert positions(task_id) == list(range(20))


def test_a_task_that_was_split_before_this_version_ends_by_its_count(
    planned: type[PlannedTask], longtasks: Callable[..., None]
) -> None:
    """Its checkpoint has neither a total nor open shards: version 1 did not write them."""
    longtasks(shard_records=300, batch_records=100)
    task_id = start_tasks.start_task(task=start_tasks.NewTask(name="upload", params={"numRecords": 900})).snapshot.id
    Worker().run()
    row = checkpoint(task_id)
    assert (row.shards, row.total, row.open_shards) == (3, None, None)
    run_all()
    assert record(task_id).status == "finished"
    assert positions(task_id) == list(range(900))


def test_a_fenced_worker_stores_no_plan() -> None:
    task_id = uuid.uuid4()
    old = claims.claim(task_id=task_id, worker="old")
    assert isinstance(old, claims.Claim)
    TaskCheckpoint.objects.filter(task_id=task_id).update(epoch=99)
    with pytest.raises(Fenced):
        claims.store_plan(old, whole())
    assert TaskCheckpoint.objects.get(task_id=task_id).total is None


@pytest.mark.parametrize("plan", [split(10, 10), whole()], ids=["parts", "whole"])
def test_a_cancel_while_a_task_is_planned_ends_it_before_its_first_chunk(
    planned: type[PlannedTask], plan: Plan
) -> None:
    class Canceling(PlannedTask):
        def make_plan(self, *, task_id: uuid.UUID, params: Mapping[str, Any], shard_records: int) -> Any:
            change_tasks.cancel_task(task_id=str(task_id))
            return plan

    unregister("planned")
    register(Canceling)
    task_id = begin()
    run_all()
    assert record(task_id).status == "canceled"
    assert positions(task_id) == []
    assert not TaskCheckpoint.objects.filter(parent_id=task_id).exists()
    assert shards.find_split_tasks([uuid.UUID(task_id)])[0][0].shards == 0


def test_a_worker_that_dies_between_plan_and_first_chunk_leaves_its_plan_to_the_next(
    planned: type[PlannedTask],
) -> None:
    task_id = begin()
    dead = claims.claim(task_id=uuid.UUID(task_id), worker="dead")
    assert isinstance(dead, claims.Claim)
    claims.store_plan(dead, whole(8, end=8))
    expire_lease(task_id)
    run_all()
    assert planned.planned == 0
    assert (record(task_id).status, record(task_id).total) == ("finished", 8)
    assert positions(task_id) == list(range(8))
