"""The names of the queues: those of QUEUES, most urgent first, and removed ones that may still hold tasks.

Owns which names exist. Must not read or write a task.
"""

from __future__ import annotations

from typing import Any, Final

import redis

from tasks_app.conf import settings
from tasks_app.domain import priorities
from tasks_app.errors import UnknownQueue

HIGH: Final = priorities.HIGH
LOW: Final = priorities.LOW
QUEUES: Final = settings.LONGTASKS.queues  # in the order in which workers serve them
# Every queue that has ever held a task, because a removed one may still hold some. RQ's own set of queues also names
# those of other applications.
USED_KEY: Final = "longtasks:queues"


def list_used(connection: redis.Redis[Any]) -> list[str]:
    """Return the queues of QUEUES, then the removed ones: they have held tasks, and QUEUES no longer names them."""
    used: Any = connection.smembers(USED_KEY)
    return [*QUEUES, *sorted({name.decode(errors="replace") for name in used} - set(QUEUES))]


def check_queue(queue: str) -> str:
    """Return the queue's name, or raise UnknownQueue."""
    if queue not in QUEUES:
        raise UnknownQueue(queue, QUEUES)
    return queue
