"""`prune` deletes tasks that ended long ago; open, recent and retried ones stay, and so do the rows of all."""

import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings
from redis import Redis
from rq import Queue

from settings.env import ROOT
from tasks_app.domain.task_ids import get_lowest_id
from tasks_app.models import TaskCheckpoint, TaskEvent, TaskRecord
from tasks_app.operations import retention
from tasks_app.queues import redis_keys
from tests.conftest import MakeStack

OLD = datetime.now(UTC) - timedelta(days=40)
YOUNG = datetime.now(UTC) - timedelta(days=1)


def make_task(redis: Redis, *, ended_at: datetime | None, number: int, outcome: str = "finished") -> uuid.UUID:
    """Create a task in the tables and in Redis; without `ended_at` it is still running."""
    created_at = (ended_at or OLD) - timedelta(minutes=1)
    task_id = uuid.UUID(int=get_lowest_id(created_at).int + number)
    status = outcome if ended_at else "started"
    TaskRecord.objects.create(
        id=task_id, name="upload", created_at=created_at, priority="low", status=status, ended_at=ended_at,
        updated_at=ended_at or created_at,
    )  # fmt: skip
    TaskCheckpoint.objects.create(
        task_id=task_id, epoch=1, outcome=outcome if ended_at else "", ended_at=ended_at, updated_at=created_at
    )
    TaskEvent.objects.bulk_create(TaskEvent(task_id=task_id, status=status, at=created_at) for _ in range(3))
    redis.hset(redis_keys.job_key(str(task_id)), "status", status)
    redis.zadd(f"rq:{'finished' if outcome == 'finished' else 'failed'}:low", {str(task_id): 1e12})
    return task_id


def left() -> set[uuid.UUID]:
    records = set(TaskRecord.objects.values_list("pk", flat=True))
    assert set(TaskCheckpoint.objects.values_list("pk", flat=True)) == records
    assert set(TaskEvent.objects.values_list("task_id", flat=True)) == records
    assert TaskEvent.objects.count() == 3 * len(records)
    return records


@pytest.mark.django_db
def test_only_tasks_that_ended_before_are_deleted(redis: Redis) -> None:
    old = [
        make_task(redis, ended_at=OLD, number=number, outcome=outcome)
        for number, outcome in enumerate(["finished", "failed", "canceled"] * 9)
    ]
    kept = {make_task(redis, ended_at=YOUNG, number=100), make_task(redis, ended_at=None, number=101)}

    call_command("prune", "--older-than", "30d", "--dry-run")
    assert left() == kept | set(old)
    call_command("prune", "--older-than", "30d", "--chunk", "4")

    assert left() == kept
    assert {key.decode().removeprefix("rq:job:") for key in redis.keys("rq:job:*")} == set(map(str, kept))
    assert redis.zcard("rq:finished:low") + redis.zcard("rq:failed:low") == 2


@pytest.mark.django_db
def test_a_task_whose_retry_is_not_mirrored_yet_stays(redis: Redis) -> None:
    task_id = make_task(redis, ended_at=OLD, number=1, outcome="failed")
    TaskCheckpoint.objects.filter(pk=task_id).update(outcome="")
    call_command("prune", "--older-than", "30d")
    assert left() == {task_id}
    assert redis.exists(redis_keys.job_key(str(task_id)))


@pytest.mark.django_db
def test_prune_continues_where_it_was_stopped(redis: Redis) -> None:
    for number in range(10):
        make_task(redis, ended_at=OLD, number=number)
    chunks = retention.prune(ended_before=datetime.now(UTC) - timedelta(days=30), chunk_tasks=3)
    assert next(chunks).tasks == 3
    chunks.close()
    assert len(left()) == 7
    assert retention.run_scheduled() == 7
    assert left() == set()


@pytest.mark.django_db
def test_the_schedule_can_be_switched_off(redis: Redis) -> None:
    from dataclasses import replace

    make_task(redis, ended_at=OLD, number=1)
    with override_settings(LONGTASKS=replace(settings.LONGTASKS, prune_after_days=0)):
        assert retention.run_scheduled() == 0
    assert len(left()) == 1


@pytest.mark.parametrize("text", ["30", "d", "-1d", "30 days", "1y"])
def test_an_invalid_age_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="older-than"):
        call_command("prune", f"--older-than={text}")


def test_a_foreign_pickled_job_fails_and_stops_no_other(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack(workers=1)
    harm = tmp_path / "harm"
    with stack.redis() as client:
        job = Queue("low", connection=client).enqueue(os.mkdir, str(harm))  # RQ's default serializer is pickle
        stack.wait_for(
            lambda: job.get_status(refresh=True) == "failed", deadline_seconds=30, what="the worker refuses the pickle"
        )
    assert stack.wait_for_end(stack.start_upload(records=1), deadline_seconds=30)["status"] == "finished"
    assert "not valid JSON" in stack.log_path("worker").read_text()
    assert not harm.exists()


def test_rqs_cron_enqueues_prune_and_a_worker_runs_it(make_stack: MakeStack) -> None:
    stack = make_stack(workers=1)
    task_id = stack.start_upload(records=1)
    stack.wait_for_end(task_id, deadline_seconds=30)
    stack.wait_for_record(task_id)
    stack.sql(
        "UPDATE tasks_app_taskrecord SET ended_at = '2020-01-01 00:00:00', id = '00000000000070008000000000000001'"
    )
    code = (
        "import django; django.setup()\n"
        "from django_rq.cron import DjangoCronScheduler\n"
        "cron = DjangoCronScheduler(); cron.load_config_from_file('longtasks.cron')\n"
        "[job] = cron.get_jobs(); print(job.enqueue(cron.connection).id)"
    )
    enqueued = subprocess.run(
        [sys.executable, "-c", code], env=stack.environment, cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert enqueued.returncode == 0, enqueued.stderr
    stack.wait_for(
        lambda: stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord")[0][0] == 0,
        deadline_seconds=60,
        what="the worker prunes",
    )
    assert json.loads(stack.manage("task", "list", "--json")) == {"tasks": []}
