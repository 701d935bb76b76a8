"""tasks_app/services/authorization.py: each chunk knows its task's owner and scope, however the task got to it."""

import dataclasses
from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.db.models import F
from rest_framework import serializers

from tasks_app.domain import task_status
from tasks_app.domain.callers import ANONYMOUS, Caller, get_starting_scope
from tasks_app.domain.task_snapshot import Snapshot, decode, encode
from tasks_app.engine.interruption import Interruption
from tasks_app.models import TaskRecord
from tasks_app.queues import redis_connection, redis_keys
from tasks_app.services import change_tasks, start_tasks
from tasks_app.services.start_tasks import NewTask
from tasks_app.task_types import Chunk, ChunkResult, TaskType, register, unregister
from tests.support.engine import Worker, beat, expire_lease, job, mirror, rescue, started

ROOT = Caller(owner="root", scope="admin", actor="root")
SEEN: list[tuple[str, str]] = []


class Params(serializers.Serializer[Any]):
    records = serializers.IntegerField(default=3)
    fails = serializers.BooleanField(default=False)


class Rights(TaskType):
    """Records the owner of its chunk; runs alone."""

    name = "rights"
    params_serializer = Params
    first_limit = max_limit = 1

    def total(self, params: Mapping[str, Any]) -> int:
        return int(params["records"])

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        SEEN.append((chunk.owner, chunk.scope))
        if chunk.params.get("fails"):
            raise RuntimeError("fails")
        return ChunkResult(1, {})


class SharedRights(Rights):
    name = "shared_rights"
    shareable = True
    first_limit = max_limit = 10

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        SEEN.append((chunk.owner, chunk.scope))
        return ChunkResult(chunk.limit, {})


class SplitRights(Rights):
    name = "split_rights"
    splittable = True


@pytest.fixture(autouse=True)
def task_types() -> Generator[None, None, None]:
    for each in (Rights, SharedRights, SplitRights):
        register(each)
    SEEN.clear()
    yield
    for each in (Rights, SharedRights, SplitRights):
        unregister(each.name)


def start(name: str = "rights", *, caller: Caller = ROOT, **params: Any) -> str:
    return start_tasks.start_task(task=NewTask(name, {"records": 3, **params}), caller=caller).snapshot.id


def test_every_chunk_knows_who_started_its_task() -> None:
    start()
    Worker().run()
    assert SEEN == [("root", "admin")] * 3
    SEEN.clear()
    start(caller=Caller(owner="ann", scope="write"))
    start(caller=ANONYMOUS)
    Worker().run()
    Worker().run()
    assert SEEN == [("ann", "write")] * 3 + [("", "write")] * 3


def test_each_small_task_in_a_batch_knows_its_own_owner() -> None:
    start("shared_rights")
    start("shared_rights", caller=Caller(owner="ann", scope="write"))
    Worker().run()
    assert sorted(SEEN) == [("ann", "write"), ("root", "admin")]


def test_a_preempted_task_keeps_owner_and_scope() -> None:
    task_id = start()
    worker = Worker("w1")
    worker.interruption = Interruption.PREEMPT
    worker.run()
    assert SEEN == [("root", "admin")]
    assert job(task_id).scope == "admin"
    Worker("w2").run()
    assert SEEN == [("root", "admin")] * 3


def test_a_task_whose_worker_died_keeps_owner_and_scope(longtasks: Callable[..., None]) -> None:
    longtasks(lease_seconds=0.2)
    task_id = start()
    worker = Worker("w1")
    beat("w1", ago_seconds=3600)
    worker.on_check = lambda: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        worker.run()
    expire_lease(task_id)
    rescue()
    assert not started()
    Worker("w2").run()
    assert set(SEEN) == {("root", "admin")}
    assert job(task_id).status == task_status.FINISHED


def test_a_retry_keeps_owner_and_scope() -> None:
    task_id = start(fails=True)
    change_tasks.cancel_task(task_id=task_id)
    change_tasks.retry_task(task_id=task_id, actor="eve")
    Worker().run()
    assert SEEN == [("root", "admin")]
    assert (job(task_id).owner, job(task_id).scope) == ("root", "admin")


def test_shards_have_owner_and_scope_of_their_task(longtasks: Callable[..., None]) -> None:
    longtasks(shard_records=2)
    start("split_rights", records=4)
    while Worker().run():
        pass
    assert SEEN == [("root", "admin")] * 4


def test_after_a_flush_a_task_has_its_owner_and_the_least_scope(redis: Any) -> None:
    task_id = start()
    mirror()
    TaskRecord.objects.update(
        updated_at=F("updated_at") - timedelta(minutes=1)
    )  # older than a change that has just happened
    redis.flushdb()
    rescue()
    assert job(task_id).scope == "write"
    Worker().run()
    assert SEEN == [("root", "write")] * 3


# --- old and new versions side by side


def snapshot(**values: Any) -> Snapshot:
    task_id = start(caller=ANONYMOUS)
    return dataclasses.replace(job(task_id), **values)


def test_a_snapshot_of_a_version_without_scopes_has_the_least() -> None:
    text = encode(snapshot(scope="admin", owner="root"))
    data = orjson.loads(text)
    assert data.pop("scope") == "admin"
    assert decode(orjson.dumps(data)).scope == "write"
    assert decode(text).scope == "admin"
    assert b"scope" not in encode(snapshot(scope="write"))


@pytest.mark.parametrize("scope", ["", "read", "write", "Admin", "admin ", "root", "x" * 10_000])
def test_an_invalid_scope_counts_as_the_least(scope: str) -> None:
    assert get_starting_scope(scope) == "write"
    odd = snapshot(scope=scope)
    redis_connection.get_connection().hset(redis_keys.job_key(odd.id), "s", encode(odd))
    Worker().run()
    assert {("", "write")} == set(SEEN)


def test_callers_may_touch_only_their_own_tasks() -> None:
    assert not ANONYMOUS.may_touch("")
    assert not ANONYMOUS.may_touch("ann")
    assert ANONYMOUS.sees_owner == ""
    ann = Caller(owner="ann", scope="read")
    assert [ann.may_touch(owner) for owner in ("ann", "Ann", "ann ", "aná", "")] == [True, False, False, False, False]
    assert (ann.sees_owner, ROOT.sees_owner, ROOT.may_touch("ann")) == ("ann", None, True)
