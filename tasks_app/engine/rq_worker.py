"""RQ's worker class with what this project changes in it: names, pickles, commands, birth and death.

Owns the public parts of RQ's Worker that are overridden here; tests/engine/test_rq_worker.py fails when RQ changes one.
Must not know the loop (worker), tasks, or RQ's private parts (rq_internals).
"""

from __future__ import annotations

import logging
import socket
from datetime import UTC, datetime
from typing import Any, Final

from rq.logutils import setup_loghandlers
from rq.serializers import JSONSerializer
from rq.worker.base import WorkerStatus
from uuid_utils import uuid4

from tasks_app.engine import rq_commands
from tasks_app.engine.rq_internals import InProcessWorker
from tasks_app.resilience.transient_errors import REDIS_ERRORS

logger = logging.getLogger(__name__)

# How long Redis keeps the entry of a worker that sends no heartbeat; RQ's own 420 s would show the dead for minutes.
WORKER_TTL_SECONDS: Final = 60


class RqWorker(InProcessWorker):
    """An RQ worker without a fork for each job. Its signals and commands only set flags."""

    log_job_description = False

    def __init__(self, queues: Any, name: str | None = None, *args: Any, **kwargs: Any) -> None:
        # RQ itself passes the name by position where it lists workers.
        name = name or f"{socket.gethostname()}-{uuid4().hex[:8]}".replace(":", "-")
        # Whatever the command line says: reading a pickle runs whatever code its writer put into it.
        kwargs["serializer"] = JSONSerializer
        super().__init__(queues, name, *args, **kwargs)
        self.worker_ttl = WORKER_TTL_SECONDS
        self.stop_task_id = ""  # what RQ's stop-job command named last
        self.stoppable_ids: frozenset[str] = frozenset()  # the tasks that run here, and those of which they are shards

    def set_up_logging(self, level: str | None, date_format: str, log_format: str) -> None:
        """Set RQ's own loggers, as its command line says."""
        if level:
            setup_loghandlers(level, date_format, log_format, name="rq.worker")

    def register(self) -> None:
        """Write this worker to RQ's list of workers and listen for commands; once. Raises Redis's errors."""
        if self.birth_date is None:
            self.register_birth()
            self.subscribe()
        self.set_state(WorkerStatus.STARTED)

    def unregister(self) -> None:
        """Remove this worker from RQ's list of workers. If Redis is unavailable, its entry expires."""
        try:
            self.register_death()
        except REDIS_ERRORS as error:
            logger.warning("worker %s could not be removed from RQ's list of workers: %s", self.name, error)
        # Without RQ's unsubscribe, which waits for its thread: that one is a daemon, and ends with the process.
        if self.pubsub_thread is not None:
            self.pubsub_thread.stop()

    def describe_state(self, state: WorkerStatus) -> dict[str, Any]:
        """Set the state and the time of the heartbeat, and return the fields that RQ stores for a worker."""
        self.note_state(state)
        self.last_heartbeat = datetime.now(UTC)
        return self.serialize() | {"state": state.value}

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ's heartbeat, with this worker's own time to live."""
        super().heartbeat(timeout or self.worker_ttl, pipeline)

    def handle_payload(self, message: Any) -> None:
        """Obey RQ's commands: `stop-job` ends the running task at its next chunk, as stopped. Refusals are logged."""
        command = rq_commands.read(message)
        if command.name == "shutdown":
            super().handle_payload(message)
        elif reason := rq_commands.find_refusal(command, running=self.stoppable_ids):
            logger.warning("RQ's command %s is refused: %s", command.name, reason)
        else:
            self.stop_task_id = command.job_id

    def serialize(self) -> dict[str, Any]:
        """Return the fields that RQ stores for a worker; Redis takes no None."""
        return {name: "" if value is None else value for name, value in super().serialize().items()}
