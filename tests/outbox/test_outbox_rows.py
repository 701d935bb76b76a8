"""tasks_app/outbox/outbox_rows.py: how many tasks are in the outbox, and since when, as /metrics shows it."""

from datetime import timedelta

import pytest
from prometheus_client.metrics_core import Metric

from tasks_app.domain.task_ids import get_lowest_id
from tasks_app.models import OutboxTask
from tasks_app.operations.prometheus_metrics import TaskCollector
from tasks_app.queues.redis_clock import clock


def read_metrics() -> dict[str, float]:
    families: list[Metric] = [family for family in TaskCollector().collect() if "outbox" in family.name]
    return {family.name: family.samples[0].value for family in families}


def test_an_empty_outbox_has_no_age() -> None:
    assert read_metrics() == {"longtasks_outbox_tasks": 0, "longtasks_outbox_oldest_seconds": 0}


def test_number_and_age_of_the_oldest_are_shown() -> None:
    now = clock.now()
    OutboxTask.objects.bulk_create(
        [OutboxTask(id=get_lowest_id(now - timedelta(seconds=age)), snapshot=b"") for age in (5, 90)]
    )
    metrics = read_metrics()
    assert metrics["longtasks_outbox_tasks"] == 2
    assert metrics["longtasks_outbox_oldest_seconds"] == pytest.approx(90, abs=5)
