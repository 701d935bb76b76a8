"""What engine/rq_worker.py overrides and calls of RQ's Worker: fails when RQ changes it."""

import inspect
from typing import Any

import pytest
from rq import SimpleWorker
from rq.worker.base import WorkerStatus

from tasks_app.engine.rq_worker import RqWorker
from tasks_app.worker import TaskWorker

OVERRIDDEN = ("heartbeat", "handle_payload", "serialize", "work")


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_rq_still_has_what_is_overridden_with_the_same_parameters(name: str) -> None:
    theirs = inspect.signature(getattr(SimpleWorker, name)).parameters
    ours = inspect.signature(getattr(TaskWorker, name)).parameters
    assert list(ours) == list(theirs)


def test_rq_still_has_the_methods_that_are_called() -> None:
    called = ("register_birth", "register_death", "subscribe", "set_state", "execute_job", "handle_job_failure")
    assert [name for name in called if not callable(getattr(SimpleWorker, name, None))] == []


@pytest.mark.usefixtures("redis")
def test_the_entry_holds_the_state_and_no_none() -> None:
    worker = make_worker()
    worker.register_birth()
    fields = worker.describe_state(WorkerStatus.BUSY)
    assert fields["state"] == "busy"
    assert None not in fields.values()
    assert "last_heartbeat" in fields


def make_worker() -> Any:
    from tasks_app.queues import redis_connection

    return RqWorker(["low"], "host-1", connection=redis_connection.get_connection())
