"""tasks_app/recovery/foreign_changes.py: changes by RQ's own workers and tools are undone or completed."""

import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from rq.job import Job
from rq.queue import Queue
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from tasks_app.domain import task_snapshot, task_status
from tasks_app.errors import TaskNotEnded
from tasks_app.models import AuditEntry, TaskRecord
from tasks_app.queues import job_snapshots, queue_names, redis_connection, redis_keys, transitions
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.services import change_tasks, requeued_by_rq
from tests.support.engine import Worker, checkpoint, history, job, mirror, record, rescue, start, started, waiting


def run_stock_worker(*options: str) -> None:
    """Run RQ's own `rq worker --burst high low`."""
    code = "import sys; from rq.cli import main; sys.argv[0] = 'rq'; main()"
    url = settings.RQ_QUEUES["high"]["URL"]
    done = subprocess.run(
        [sys.executable, "-c", code, "worker", "--burst", "--url", url, *options, "high", "low"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def stock_job(task_id: str) -> Job:
    return Job.fetch(task_id, connection=redis_connection.get_connection(), serializer=JSONSerializer)


def settle() -> None:
    mirror()
    TaskRecord.objects.update(updated_at="2020-01-01T00:00:00Z")


def assert_finishes(task_id: str) -> None:
    while Worker("next").run():
        pass
    assert record(task_id).status == checkpoint(task_id).outcome == "finished"
    assert waiting() == waiting("high") == started() == started("high") == []


@pytest.mark.parametrize("options", [(), ("--serializer", "json")], ids=["pickle", "json"])
def test_a_task_failed_by_rqs_own_worker_is_requeued(redis: Any, options: tuple[str, ...]) -> None:
    task_ids = [start("small", priority="high"), start()]
    run_stock_worker(*options)
    assert {stock_job(task_id).get_status().value for task_id in task_ids} == {"failed"}
    assert waiting() == waiting("high") == []
    settle()

    rescue()

    for task_id in task_ids:
        assert ("queued", "foreign_worker") in history(task_id)
        assert_finishes(task_id)
    for name in queue_names.QUEUES:
        assert not redis.exists(f"rq:failed:{name}")


def test_a_task_failed_by_rqs_own_worker_continues_at_its_checkpoint() -> None:
    from tasks_app.engine.interruption import Interruption

    task_id = start(records=3)
    preempted_worker = Worker()
    preempted_worker.interruption = Interruption.PREEMPT
    preempted_worker.run()
    done = checkpoint(task_id).done
    assert 0 < done < 3
    run_stock_worker()
    settle()
    rescue()
    assert job(task_id).done == done
    assert_finishes(task_id)


def test_a_retry_does_not_wait_for_the_rescuer() -> None:
    task_id = start()
    with pytest.raises(TaskNotEnded):
        change_tasks.retry_task(task_id=task_id)
    run_stock_worker()
    assert change_tasks.retry_task(task_id=task_id, actor="eve").status == "queued"
    assert waiting() == [task_id]
    with pytest.raises(TaskNotEnded):
        change_tasks.retry_task(task_id=task_id)
    settle()
    rescue()
    assert waiting() == [task_id]
    assert_finishes(task_id)


def test_a_cancel_of_rqs_own_cancels_a_waiting_task() -> None:
    task_id = start()
    stock_job(task_id).cancel()
    settle()
    rescue()
    assert checkpoint(task_id).outcome == job(task_id).status == record(task_id).status == "canceled"
    assert [(entry.action, entry.source) for entry in AuditEntry.objects.all()] == [("cancel", "rq")]


def test_a_cancel_of_rqs_own_ends_a_running_task_at_its_next_chunk() -> None:
    task_id = start(records=3)
    worker, watch = Worker(), Rescuer(connection=redis_connection.get_connection())

    def cancel() -> None:
        worker.on_check = lambda: None
        stock_job(task_id).cancel()
        watch.run()
        watch.run()

    worker.on_check = cancel
    worker.run()
    assert checkpoint(task_id).outcome == job(task_id).status == record(task_id).status == "canceled"
    assert checkpoint(task_id).done == 1
    assert AuditEntry.objects.count() == 1


def lose_in_the_middle(redis: Any, task_id: str) -> None:
    """Leave what a stock worker leaves that dies before it records the job that it dequeued."""
    redis.lmove("rq:queue:low", "rq:queue:low:intermediate", "LEFT", "RIGHT")


def lose_by_rqs_cleanup(redis: Any, task_id: str) -> None:
    """A stock worker died during the task, and another one's maintenance declares it abandoned."""
    redis.lpop("rq:queue:low")
    redis.hset(f"rq:job:{task_id}", "status", "started")
    redis.zadd("rq:wip:low", {f"{task_id}:execution": 1})
    StartedJobRegistry("low", connection=redis_connection.get_connection(), serializer=JSONSerializer).cleanup()
    assert stock_job(task_id).get_status().value == "failed"


WAYS = {
    "intermediate queue": lose_in_the_middle,
    "RQ's cleanup": lose_by_rqs_cleanup,
    "rq empty": lambda redis, task_id: Queue("low", connection=redis_connection.get_connection()).empty(),
    "Job.delete": lambda redis, task_id: stock_job(task_id).delete(),
    "removed from the queue": lambda redis, task_id: Queue("low", connection=redis_connection.get_connection()).remove(
        task_id
    ),
    "status finished": lambda redis, task_id: (
        redis.lpop("rq:queue:low"),
        redis.hset(f"rq:job:{task_id}", "status", "finished"),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_task_that_rqs_tools_have_lost_is_requeued(redis: Any, way: str) -> None:
    task_id = start()
    mirror()
    WAYS[way](redis, task_id)
    assert waiting() == []
    settle()
    rescue()
    assert waiting() == [task_id]
    assert not redis.exists("rq:queue:low:intermediate")
    assert redis.ttl(redis_keys.job_key(task_id)) == -1
    assert_finishes(task_id)


def test_an_end_is_published_after_rqs_cleanup_called_it_failed(redis: Any) -> None:
    task_id = start(records=3)
    worker = Worker()
    worker.on_check = lambda: redis.hset(redis_keys.job_key(task_id), "status", "failed")
    worker.run()
    assert job(task_id).status == record(task_id).status == task_status.FINISHED
    assert stock_job(task_id).get_status().value == "finished"


# --- requeued by RQ's own classes


def requeue(task_id: str) -> None:
    """Do what `rq requeue` does."""
    FailedJobRegistry("low", connection=redis_connection.get_connection(), serializer=JSONSerializer).requeue(task_id)


@pytest.fixture
def failed(longtasks: Any) -> str:
    longtasks(retry_attempts=1)
    task_id = start("flaky", records=3, times=1, at=1)
    Worker().run()
    assert record(task_id).status == "failed"
    return task_id


def retry_all_taken(worker: Worker) -> None:
    for dequeued in worker.dequeue():
        assert dequeued.has_ended
        requeued_by_rq.retry(worker.connection, dequeued)


def test_a_task_requeued_by_rq_is_recorded_but_not_started_before_the_retry(failed: str) -> None:
    ended_at = record(failed).ended_at
    requeue(failed)
    worker = Worker()
    [dequeued] = worker.dequeue()
    assert dequeued.has_ended
    assert dequeued.snapshot is not None
    assert started() == [f"{failed}:w1"]
    assert job(failed).status == "failed"

    transitions.apply_transitions(
        worker.connection, [transitions.Transition(dequeued.snapshot, "any", "ended")]
    )  # then its worker dies
    assert record(failed).ended_at == ended_at
    requeued_by_rq.retry(worker.connection, dequeued)
    requeued_by_rq.retry(worker.connection, dequeued)  # the first answer was lost

    assert waiting() == [failed]
    assert started() == []
    assert ("queued", "retry") in history(failed)
    assert history(failed).count(("queued", "retry")) == 1
    assert [(entry.action, entry.source) for entry in AuditEntry.objects.all()] == [("retry", "rq")]


def test_a_worker_that_dies_before_the_retry_leaves_the_task_failed(failed: str, redis: Any) -> None:
    requeue(failed)
    Worker("dead").dequeue()
    watch = Rescuer(connection=redis_connection.get_connection())
    watch._requeuer.put(checkpoint(failed), source="started", worker="dead")
    assert job(failed).status == record(failed).status == job_snapshots.get_status(failed) == "failed"
    assert waiting() == started() == []
    assert redis.ttl(redis_keys.job_key(failed)) > 0


def test_a_task_that_is_requeued_twice_runs_once(failed: str) -> None:
    requeue(failed)
    redis_connection.get_connection().rpush("rq:queue:low", failed)
    retry_all_taken(Worker())
    assert waiting() == [failed]


def test_a_finished_task_that_rq_enqueues_again_is_not_run(caplog: pytest.LogCaptureFixture) -> None:
    task_id = start("small")
    Worker().run()
    connection = redis_connection.get_connection()
    connection.hset(redis_keys.job_key(task_id), "status", "queued")
    connection.rpush("rq:queue:low", task_id)
    retry_all_taken(Worker())
    assert waiting() == started() == []
    assert job(task_id).status == "finished"
    assert "was refused" in caplog.text
    assert job_snapshots.get_status(task_id) == "finished"


def test_params_that_look_like_an_end_do_not_stop_a_task() -> None:
    task_id = start()
    snapshot = job(task_id)
    snapshot.params = {**snapshot.params, "ended_at": "2026-01-01"}
    redis_connection.get_connection().hset(redis_keys.job_key(task_id), "s", task_snapshot.encode(snapshot))
    [dequeued] = Worker().dequeue()
    assert not dequeued.has_ended
    assert dequeued.snapshot is not None
    assert dequeued.snapshot.status == "started"
