"""The private parts of RQ that this project uses: the worker's stop flag, state and handlers, and cron's Queue class.

- `BaseWorker._stop_requested`, `_shutdown_requested_date`, `_state`: the public methods that set them also write to Redis,
  which a signal handler must not do and a heartbeat does itself.
- `BaseWorker._install_signal_handlers` and `_pubsub_exception_handler` are overridden: RQ has no option for either.
- `rq.cron.Queue` is replaced: RQ's cron passes no serializer.
RQ's keys in Redis have a file of their own (tasks_app/queues/redis_keys.py), and so have django-rq's pages
(tasks_app/admin/django_rq_pages.py). tests/engine/test_rq_internals.py fails when RQ changes.
"""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rq import cron
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker
from rq.worker.base import WorkerStatus

from tasks_app.resilience.transient_errors import REDIS_ERRORS


class InProcessWorker(SimpleWorker):
    """An RQ worker whose signal handlers only set a flag, and which listens for commands through any outage of Redis."""

    @property
    def is_stop_requested(self) -> bool:
        """Whether this worker was asked to stop."""
        return self._stop_requested

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop after the running chunk: the task goes back to the front of its queue, with its checkpoint.

        Sets a flag only: RQ's own handler talks to Redis, or raises in the middle of a step.
        """
        self._stop_requested = True
        self._shutdown_requested_date = datetime.now(UTC)

    def note_state(self, state: WorkerStatus) -> None:
        """Set the state that `serialize` returns. Writes nothing to Redis."""
        self._state = state

    def install_signal_handlers(self) -> None:
        """Stop at SIGINT and SIGTERM."""
        signal.signal(signal.SIGINT, self.request_stop)
        signal.signal(signal.SIGTERM, self.request_stop)

    def _install_signal_handlers(self) -> None:
        self.install_signal_handlers()

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """Keep listening for commands until Redis is available again. RQ's own handler gives up after a timeout."""
        if not isinstance(exc, REDIS_ERRORS):
            raise exc
        time.sleep(1.0)


def make_cron_write_json() -> None:
    """Make RQ's cron write its jobs as JSON, the only format that workers read. By itself it always writes pickle."""
    rq_cron: Any = cron
    if not hasattr(rq_cron, "Queue"):
        raise ImproperlyConfigured(f"rq.cron has no Queue: adapt {__name__} to this version of RQ.")
    rq_cron.Queue = partial(Queue, serializer=JSONSerializer)
