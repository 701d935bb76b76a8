"""RQ's private parts are where this project expects them. (What else it overrides: tests/services/test_rq_job.py.)"""

import inspect
import json
import signal
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import command, cron, worker_registration
from rq.serializers import JSONSerializer, PickleSerializer
from rq.utils import str_to_date, utcformat
from rq.worker import SimpleWorker
from rq.worker.base import BaseWorker, WorkerStatus

from tasks_app.engine import rq_commands, rq_internals
from tasks_app.engine.rq_internals import InProcessWorker
from tasks_app.queues import redis_keys


@pytest.fixture
def worker(redis: Any) -> InProcessWorker:
    return InProcessWorker(["low"], connection=redis)


@pytest.mark.parametrize("name", ["_install_signal_handlers", "_pubsub_exception_handler", "request_stop"])
def test_what_is_overridden_takes_the_same_arguments(name: str) -> None:
    theirs, ours = (list(inspect.signature(getattr(kind, name)).parameters) for kind in (SimpleWorker, InProcessWorker))
    assert theirs == ours


def test_rq_calls_what_is_overridden() -> None:
    assert "self._install_signal_handlers()" in inspect.getsource(BaseWorker.work)
    assert "exception_handler=self._pubsub_exception_handler" in inspect.getsource(BaseWorker.subscribe)


def test_a_new_worker_has_what_is_set(worker: InProcessWorker) -> None:
    assert {"_stop_requested", "_shutdown_requested_date", "_state"} <= vars(worker).keys()
    assert not worker.is_stop_requested
    worker.request_stop(signal.SIGTERM, None)
    assert worker.is_stop_requested
    assert worker._shutdown_requested_date is not None
    assert "self._stop_requested" in inspect.getsource(BaseWorker.work)


def test_a_noted_state_is_the_workers_and_is_not_written(worker: InProcessWorker, redis: Any) -> None:
    worker.note_state(WorkerStatus.BUSY)
    assert worker.get_state() == WorkerStatus.BUSY
    assert not redis.exists(worker.key)


def test_an_outage_does_not_end_the_thread_that_listens(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(rq_internals.time, "sleep", pauses.append)
    worker._pubsub_exception_handler(RedisConnectionError(), None, None)
    assert pauses == [1.0]
    with pytest.raises(KeyError):
        worker._pubsub_exception_handler(KeyError(), None, None)


def test_cron_writes_json_only_once_its_queue_is_replaced(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "Queue", rq_internals.Queue)
    job = cron.CronJob("low", func=print, interval=60)
    assert job.enqueue(redis).serializer is PickleSerializer, "RQ's cron can be told its serializer: use that"
    rq_internals.make_cron_write_json()
    made = job.enqueue(redis)
    assert made.serializer is JSONSerializer
    assert json.loads(made.data)[0] == "builtins.print"


def test_a_cron_without_its_queue_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cron, "Queue")
    with pytest.raises(ImproperlyConfigured, match="rq_internals"):
        rq_internals.make_cron_write_json()


def test_the_keys_of_workers_are_rqs_own(worker: InProcessWorker) -> None:
    assert worker.key == redis_keys.worker_key(worker.name)
    assert SimpleWorker.redis_workers_keys == redis_keys.WORKERS_KEY
    assert redis_keys.workers_of_key("low") == worker_registration.WORKERS_BY_QUEUE_KEY % "low"


def test_rqs_times_are_read_as_they_are_written() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert utcformat(now) == "2026-01-02T03:04:05.678901Z"
    assert str_to_date(utcformat(now).encode()) == now


def test_rq_publishes_the_commands_that_a_worker_reads() -> None:
    source = inspect.getsource(command.handle_command)
    assert [name for name in (*rq_commands.STOPS, "kill-horse", "shutdown") if f"'{name}'" not in source] == []
