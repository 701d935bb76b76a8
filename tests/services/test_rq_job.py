"""tasks_app/services/rq_job.py: these tests fail when a new RQ changes what is overridden or relied on."""

import inspect
from collections.abc import Callable

import pytest
from django_rq import get_queue
from rq.job import Job
from rq.worker import SimpleWorker

from tasks_app.queues import redis_keys
from tasks_app.services.rq_job import TaskJob
from tasks_app.worker import TaskWorker
from tests.support.engine import Worker, checkpoint, job, positions, record, start, started, waiting

OVERRIDDEN = [
    (SimpleWorker, TaskWorker, "work"),
    (SimpleWorker, TaskWorker, "heartbeat"),
    (SimpleWorker, TaskWorker, "request_stop"),
    (SimpleWorker, TaskWorker, "_install_signal_handlers"),
    (SimpleWorker, TaskWorker, "_pubsub_exception_handler"),
    (SimpleWorker, TaskWorker, "handle_payload"),
    (Job, TaskJob, "restore"),
    (Job, TaskJob, "set_status"),
    (Job, TaskJob, "to_dict"),
    (Job, TaskJob, "requeue"),
    (Job, TaskJob, "cancel"),
    (Job, TaskJob, "delete"),
]


@pytest.mark.parametrize(("theirs", "ours", "name"), OVERRIDDEN, ids=lambda value: getattr(value, "__name__", value))
def test_overridden_methods_of_rq_still_take_the_same_arguments(theirs: type, ours: type, name: str) -> None:
    assert list(inspect.signature(getattr(theirs, name)).parameters) == list(
        inspect.signature(getattr(ours, name)).parameters
    )


@pytest.mark.parametrize(
    "name", ["register_birth", "register_death", "subscribe", "set_state", "get_state", "queue_names", "serialize"]
)
def test_the_methods_that_the_worker_calls_exist(name: str) -> None:
    assert callable(getattr(SimpleWorker, name))


def test_the_keys_are_rqs_own() -> None:
    rq_queue = get_queue("low")
    assert rq_queue.key == redis_keys.queue_key("low")
    assert rq_queue.started_job_registry.key == "rq:wip:low"
    assert rq_queue.scheduled_job_registry.key == "rq:scheduled:low"
    assert rq_queue.finished_job_registry.key == "rq:finished:low"
    assert rq_queue.failed_job_registry.key == "rq:failed:low"
    assert rq_queue.canceled_job_registry.key == "rq:canceled:low"
    assert Job.key_for("x") == redis_keys.job_key("x")


def fetch(task_id: str) -> TaskJob:
    found = get_queue("low").fetch_job(task_id)
    assert isinstance(found, TaskJob)
    return found


def test_rq_reads_a_task_as_a_job() -> None:
    task_id = start(records=3)
    assert get_queue("low").job_ids == [task_id]
    assert fetch(task_id).get_status().value == "queued"
    Worker().run()
    assert fetch(task_id).get_status().value == "finished"
    assert get_queue("low").finished_job_registry.get_job_ids() == [task_id]


def test_rqs_registries_do_not_treat_a_started_task_as_abandoned() -> None:
    task_id = start(records=3)
    Worker().dequeue()
    get_queue("low").started_job_registry.cleanup()
    assert started() == [f"{task_id}:w1"]


def test_cancel_of_the_job_cancels_the_task() -> None:
    task_id = start(records=3)
    fetch(task_id).cancel()
    assert checkpoint(task_id).outcome == record(task_id).status == "canceled"
    assert waiting() == []


def test_requeue_of_the_job_retries_the_task_from_its_checkpoint(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    task_id = start("flaky", records=3, times=1, at=1)
    Worker().run()
    assert checkpoint(task_id).outcome == "failed"
    fetch(task_id).requeue()
    assert waiting() == [task_id]
    assert job(task_id).status == "queued"
    assert positions(task_id) == [0]


def test_delete_of_the_job_cancels_the_task_first() -> None:
    task_id = start(records=3)
    fetch(task_id).delete()
    assert checkpoint(task_id).outcome == "canceled"
    assert waiting() == []
