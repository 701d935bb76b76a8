"""The parts that the replacements of django-rq's commands share: argument checks and the audit entry.

Owns these checks; the default is all our queues instead of `default`. Must not run a worker or use a queue.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from django.core.management.base import CommandError
from rq.utils import import_attribute

from tasks_app.auth import audit_log
from tasks_app.conf import settings
from tasks_app.errors import StoreUnavailable
from tasks_app.management.actor import find_actor
from tasks_app.queues.queue_names import QUEUES
from tasks_app.resilience.transient_errors import mapped_database_errors
from tasks_app.services.rq_job import TaskJob
from tasks_app.task_types import list_names
from tasks_app.worker import TaskWorker

logger = logging.getLogger(__name__)
STORE_UNAVAILABLE: Final = 6  # exit code


def read_queues(names: Sequence[str]) -> list[str]:
    """Return the named queues, by default all of ours, most urgent first. Raises CommandError for an unknown one."""
    for name in names:
        check_queue_name(name)
    return [name for name in QUEUES if name in names or not names]


def read_types(text: str) -> list[str]:
    """Return the task types that a worker is to serve, from comma-separated names. Raises CommandError for an unknown one."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in list_names():
            raise CommandError(f"There is no task type {name[:64]!r}: known: {', '.join(list_names())}.", returncode=2)
    return names


def check_queue_name(name: str) -> str:
    """Return the name of a queue of RQ_QUEUES; raise CommandError for any other."""
    if name not in settings.RQ_QUEUES:
        raise CommandError(f"There is no queue {name[:64]!r}: give {' or '.join(settings.RQ_QUEUES)}.", returncode=2)
    return name


def check_classes(*, worker_class: str | None, job_class: str | None) -> None:
    """Raise CommandError for classes that cannot run tasks: such a worker fails each task that it dequeues."""
    for option, path, needed in (("--worker-class", worker_class, TaskWorker), ("--job-class", job_class, TaskJob)):
        if path is None:
            continue
        try:
            given = import_attribute(path)
        except (ValueError, ImportError, AttributeError) as error:
            raise CommandError(f"{option} {path[:200]!r} cannot be imported: {error}", returncode=2) from error
        if not (isinstance(given, type) and issubclass(given, needed)):
            wanted = f"{needed.__module__}.{needed.__qualname__}"
            raise CommandError(
                f"{option} {path[:200]} would fail the tasks that it dequeues: leave it out, or name a subclass of {wanted}.",
                returncode=2,
            )


def record_in_audit(*, action: str, detail: str, source: str, queue: str = "") -> None:
    """Record a command that Redis has already applied. If the database is unavailable, only log that."""
    try:
        with mapped_database_errors():
            audit_log.record(action=action, source=source, actor=find_actor(), queue=queue, detail=detail)
    except StoreUnavailable as error:
        logger.warning("%r is not in the audit: %s", detail, error)
