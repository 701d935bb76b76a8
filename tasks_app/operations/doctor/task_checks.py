"""Checks task types, removed queues, the outbox and set-aside items.

Owns these checks. Must not change anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tasks_app.operations.doctor.findings import FAULT, OK, WARNING, Finding
from tasks_app.outbox import outbox_rows
from tasks_app.queues import (
    parked_tasks,
    redis_connection,
    removed_queues,
)
from tasks_app.queues.worker_entries import list_registered
from tasks_app.resilience import set_aside_items
from tasks_app.task_types import list_names, list_task_types

OUTBOX_SECONDS: Final = 30.0  # the mirror empties it within seconds


def check_served_types() -> Iterator[Finding]:
    """Find task types that no worker of their queue serves. A worker without a list of types serves all types."""
    workers = [worker for worker in list_registered(redis_connection.get_connection()) if worker.is_ours]
    for task_type in list_task_types():
        types = [worker.types for worker in workers if task_type.queue in worker.queues]
        if types and not any(not served or task_type.name in served for served in types):
            yield Finding(
                FAULT,
                f"workers: type {task_type.name}",
                f"no living worker of queue {task_type.queue} serves the task type {task_type.name!r}",
                f"Start workers: python manage.py workers 1 --queues {task_type.queue} --types {task_type.name}",
            )


def check_removed_queues() -> Iterator[Finding]:
    for name, tasks in removed_queues.count_tasks(redis_connection.get_connection()).items():
        yield Finding(
            WARNING,
            f"queue: {name}",
            f"{tasks} tasks are in the queue {name}, which QUEUES does not name",
            "The mirror moves the waiting tasks to the queues of their types. If more tasks arrive, restart the "
            "processes that still run with the older QUEUES.",
        )


def check_task_types() -> Iterator[Finding]:
    client = redis_connection.get_connection()
    known = parked_tasks.list_known_types(client)
    waiting: dict[str, list[parked_tasks.ParkedCount]] = {}
    for each in parked_tasks.count_parked(client):
        waiting.setdefault(each.type_name, []).append(each)
    for name, places in sorted(waiting.items()):
        tasks, seconds = sum(place.tasks for place in places), max(place.oldest_seconds for place in places)
        if name in known:
            yield Finding(OK, "task types", f"{tasks} tasks of type {name!r} wait for a worker that knows it")
        else:
            yield Finding(
                FAULT if seconds >= parked_tasks.REPORT_AFTER_SECONDS else WARNING,
                "task types",
                f"no living worker knows the task type {name!r}: {tasks} tasks wait, the first for {seconds:.0f} s",
                "Start workers of a version that has it (finish the deploy), or cancel the tasks.",
            )
    # A worker of an older version does not report its types. Another check reports missing workers.
    if known and (missing := [name for name in list_names() if name not in known and name not in waiting]):
        yield Finding(
            WARNING,
            "task types",
            f"no living worker knows {', '.join(map(repr, missing))}: such tasks are accepted, but do not start",
            "Replace the old workers (python manage.py reload), or start workers that serve these types.",
        )
    elif not waiting:
        found = "the workers know all types of this version" if known else "no worker reports its task types"
        yield Finding(OK, "task types", found)


def check_outbox() -> Iterator[Finding]:
    state = outbox_rows.get_state()
    if state.oldest_seconds > OUTBOX_SECONDS:
        yield Finding(
            WARNING,
            "outbox",
            f"{state.tasks} tasks that transactions have started are in the outbox, the oldest for {state.oldest_seconds:.0f} s",
            "Start the mirror, which enqueues them. If it runs, its queue is full, or Redis refuses writes.",
        )
    else:
        yield Finding(OK, "outbox", f"{state.tasks} tasks" if state.tasks else "empty")


def check_set_aside() -> Iterator[Finding]:
    counts = {kind: number for kind, number in set_aside_items.count_by_kind().items() if number}
    if counts:
        yield Finding(
            FAULT,
            "set aside",
            ", ".join(f"{number} of kind {kind}" for kind, number in counts.items())
            + ": these items could not be processed and wait for an operator",
            "python manage.py set_aside list, then set_aside retry ID or set_aside drop ID (docs/operations.md).",
        )
    else:
        yield Finding(OK, "set aside", "nothing")
