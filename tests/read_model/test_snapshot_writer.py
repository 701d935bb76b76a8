"""tasks_app/read_model/snapshot_writer.py: a batch fits the server's packet; a longer snapshot is set aside."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from loadtests.started.servers import IS_EMBEDDED
from tasks_app.models import TaskRecord
from tasks_app.services import start_tasks
from tests.support.engine import mirror, record, start
from tests.support.refused_items import append, changed, items, retry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no packets")
@pytest.mark.parametrize("text", ["🎉" * 255, "\"'\\" * 85])
def test_a_batch_is_shorter_than_the_servers_packet(text: str, longtasks: Callable[..., None]) -> None:
    for _ in range(10):
        start_many(200, description=text)
    with packet_bytes(1 << 20):
        mirror()
    assert TaskRecord.objects.count() == 2000
    assert items() == []


@pytest.mark.skipif(IS_EMBEDDED, reason="SQLite has no packets")
def test_a_snapshot_longer_than_the_servers_packet_is_set_aside_truncated(redis: Any) -> None:
    before, bad, after = start(), start(), start()
    mirror()
    data = changed(bad, error="e" * (1 << 20), status="started", cause="attempt_failed")
    append(redis, data)
    append(redis, changed(after, status="started", cause="take"))
    with packet_bytes(1 << 20):
        assert record(after).status == "started"
        assert record(bad).status == record(before).status == "queued"
        [item] = items()
    assert (item.size, len(item.payload)) == (len(data), 1 << 18)
    assert "max_allowed_packet" in item.reason
    assert retry(item).startswith("refused again: ValueError: only 262144 of its")


class packet_bytes:
    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@global.max_allowed_packet")
            self.before = cursor.fetchone()[0]
            cursor.execute(f"SET GLOBAL max_allowed_packet = {self.size}")
        connection.close()  # it applies to new sessions

    def __exit__(self, *_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET GLOBAL max_allowed_packet = {self.before}")
        connection.close()


def start_many(number: int, **values: Any) -> None:
    task = start_tasks.NewTask(name="slow", params={"records": 1}, **values)
    start_tasks.start_tasks(tasks=[task] * number)
