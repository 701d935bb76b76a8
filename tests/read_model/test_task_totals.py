"""tasks_app/read_model/task_totals.py: a total or minute that cannot be increased stops no other."""

from typing import Any

import pytest

from tasks_app.models import TaskMinute
from tasks_app.read_model import task_totals
from tasks_app.resilience import set_aside_items
from tests.support.engine import Worker, mirror, record, start
from tests.support.refused_items import append, changed, items, retry

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_total_that_redis_refuses_is_set_aside_and_the_others_are_added(redis: Any) -> None:
    redis.hset(task_totals.KEY, "accepted|low|slow", "no number")
    task_id = start()
    Worker().run()
    assert record(task_id).status == "finished"
    [item] = items(set_aside_items.TOTAL)
    assert item.key == "accepted|low|slow"
    ended = {tuple(labels): total for labels, total in read_ended(redis)}
    assert ended == {("low", "slow", "finished"): 1}
    assert retry(item).startswith("refused again")
    redis.hdel(task_totals.KEY, "accepted|low|slow")
    assert retry(item) == "applied"
    assert redis.hget(task_totals.KEY, "accepted|low|slow") == b"1"
    assert items(set_aside_items.TOTAL) == []


def read_ended(redis: Any) -> Any:
    fields = {k: v for k, v in redis.hgetall(task_totals.KEY).items() if v.lstrip(b"-").isdigit()}
    return task_totals.Totals(fields).counts("ended")


def test_a_full_minute_counter_refuses_no_later_task(redis: Any) -> None:
    first = start()
    mirror()
    TaskMinute.objects.update(rows=2**63 - 1, accepted=2**31 - 1)
    append(redis, changed(first, counts={"users": 2**63 - 1}, status="started"))
    second = start()
    assert record(second).status == "queued"
    assert items() == []
