"""Steps of the tests of set-aside items: append refused entries, list the items, retry one."""

import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

from django.core.management import call_command

from tasks_app.domain import task_snapshot
from tasks_app.models import SetAsideItem
from tasks_app.queues import snapshot_stream
from tasks_app.resilience import set_aside_items
from tests.support.engine import job, mirror, start


def append(redis: Any, data: bytes) -> str:
    entry_id: bytes = redis.xadd(snapshot_stream.STREAM_KEY, {"s": data})
    return entry_id.decode()


def items(kind: str = set_aside_items.SNAPSHOT) -> list[SetAsideItem]:
    return list(SetAsideItem.objects.filter(kind=kind).order_by("pk"))


def changed(task_id: str, **values: Any) -> bytes:
    """Return a task's snapshot with other values, as JSON that our own encoder may refuse."""
    data = json.loads(task_snapshot.encode(job(task_id)))
    return json.dumps({**data, "cause": "progress", "done": 1, **values}).encode()


def retry(item: SetAsideItem) -> str:
    out = io.StringIO()
    with contextlib.suppress(SystemExit):
        call_command("set_aside", "retry", str(item.pk), stdout=out)
    return out.getvalue().partition(" ")[2].strip()


def raise_(error: Exception) -> Callable[..., None]:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    return fail


def refused_task(redis: Any) -> tuple[str, SetAsideItem]:
    task_id = start()
    mirror()
    append(redis, changed(task_id, total=5, worker="w1", cause="x", status="started", priority="Middle"))
    mirror()
    [item] = items()
    return task_id, item
