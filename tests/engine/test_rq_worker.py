"""What engine/rq_worker.py overrides or sets of RQ's Worker: fails when RQ renames it or uses it in another way."""

import inspect
from typing import Any

import pytest
from rq import SimpleWorker, Worker
from rq.worker import BaseWorker
from rq.worker.base import WorkerStatus

from tasks_app.engine.rq_worker import RqWorker
from tasks_app.worker import TaskWorker

OVERRIDDEN = ("heartbeat", "handle_payload", "serialize", "_pubsub_exception_handler", "request_stop", "work")


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_rq_still_has_what_is_overridden_with_the_same_parameters(name: str) -> None:
    theirs = inspect.signature(getattr(SimpleWorker, name)).parameters
    ours = inspect.signature(getattr(TaskWorker, name)).parameters
    assert list(ours) == list(theirs)


@pytest.mark.parametrize("attribute", ["_stop_requested", "_shutdown_requested_date", "_state", "pubsub_thread"])
def test_rq_still_sets_the_attributes_that_are_set_here(attribute: str) -> None:
    source = "".join(inspect.getsource(each) for each in (BaseWorker, Worker))
    assert f"self.{attribute}" in source


def test_rq_still_has_the_methods_that_are_called() -> None:
    called = ("register_birth", "register_death", "subscribe", "set_state", "execute_job", "handle_job_failure")
    assert [name for name in called if not callable(getattr(SimpleWorker, name, None))] == []


def test_rq_subscribes_with_the_exception_handler_that_is_overridden() -> None:
    assert "self._pubsub_exception_handler" in inspect.getsource(SimpleWorker.subscribe)


@pytest.mark.usefixtures("redis")
def test_a_signal_sets_the_flag_that_the_loop_reads() -> None:
    worker = make_worker()
    assert not worker.should_stop
    worker.request_stop(15, None)
    assert worker.should_stop


@pytest.mark.usefixtures("redis")
def test_the_entry_holds_the_state_and_no_none() -> None:
    worker = make_worker()
    worker.register_birth()
    fields = worker.note_state(WorkerStatus.BUSY)
    assert fields["state"] == "busy"
    assert None not in fields.values()
    assert "last_heartbeat" in fields


def make_worker() -> Any:
    from tasks_app.queues import redis_connection

    return RqWorker(["low"], "host-1", connection=redis_connection.get_connection())
