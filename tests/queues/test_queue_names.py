"""tasks_app/queues/queue_names.py: which queue a task waits in, which workers serve it, and removed queues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django_rq import get_worker
from redis import Redis

from tasks_app.conf.queue_names import NAME_CHARACTERS
from tasks_app.engine.interruption import Interruption
from tasks_app.engine.queue_turns import QueueTurns
from tasks_app.errors import QueueFull
from tasks_app.models import AuditEntry, QueueState, TaskMinute, TaskRecord, column_limits
from tasks_app.operations.doctor import task_checks
from tasks_app.queues import admission, parked_tasks, queue_names, redis_connection, redis_keys, transitions
from tasks_app.recovery.rescuer import Rescuer
from tasks_app.services import change_tasks, pause_queues, start_tasks
from tasks_app.services.start_tasks import NewTask
from tasks_app.task_types import get_task_type, list_names
from tasks_app.worker import TaskWorker
from tests.support.engine import history, mirror, record

pytestmark = pytest.mark.usefixtures("redis")
NAMES = ("high", "imports", "low")


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """QUEUES=high,imports,low, and the type `slow` in imports."""
    monkeypatch.setattr(queue_names, "QUEUES", NAMES)
    monkeypatch.setattr(type(get_task_type("slow")), "queue", "imports")


@pytest.fixture
def worker() -> Iterator[Callable[..., TaskWorker]]:
    made: list[TaskWorker] = []

    def make(*names: str) -> TaskWorker:
        one: Any = get_worker("low")
        one.queues = [type(one.queues[0])(name, connection=redis_connection.get_connection()) for name in names]
        one._turns = QueueTurns(names)
        one.register_birth()
        made.append(one)
        return one

    yield make
    for one in made:
        one.register_death()


def start(name: str = "slow", *, priority: str | int = "low") -> str:
    return start_tasks.start_task(task=NewTask(name=name, params={"records": 3}, priority=priority)).snapshot.id


def waiting(redis: Redis, name: str) -> list[str]:
    return [member.decode() for member in redis.lrange(redis_keys.queue_key(name), 0, -1)]


def dequeue(*queues: str, types: list[str] | None = None, is_partial: bool = False) -> list[str]:
    dequeued, _ = transitions.dequeue_tasks(
        redis_connection.get_connection(),
        worker="w1",
        types=list_names() if types is None else types,
        queues=queues,
        max_tasks=10,
        max_records=100,
        is_partial=is_partial,
    )
    return [task.task_id for task in dequeued]


@pytest.mark.parametrize("priority", ["low", 4, 5, 10])
def test_a_task_waits_in_the_queue_of_its_type(imports: None, redis: Redis, priority: str | int) -> None:
    task_id = start(priority=priority)
    assert waiting(redis, "imports") == [task_id]
    assert record(task_id).urgency == (None if priority == "low" else priority)


@pytest.mark.parametrize("priority", ["high", 1, 3])
def test_an_urgent_task_of_any_type_waits_in_high(imports: None, redis: Redis, priority: str | int) -> None:
    task_id = start(priority=priority)
    assert waiting(redis, "high") == [task_id]


def test_priority_low_clears_the_urgency_and_moves_the_task_to_its_types_queue(imports: None, redis: Redis) -> None:
    task_id = start(priority=2)
    snapshot = change_tasks.change_priority(task_id=task_id, priority="low", actor="ann")
    assert (snapshot.priority, snapshot.urgency, snapshot.given_priority) == ("imports", None, "low")
    assert waiting(redis, "imports") == [task_id]
    assert waiting(redis, "high") == []


def test_only_high_may_use_the_reserve(imports: None, longtasks: Callable[..., None]) -> None:
    longtasks(queue_bound=2, queue_reserve=0.5)
    assert admission.get_bounds() == {"high": 2, "imports": 1, "low": 1}
    start()
    with pytest.raises(QueueFull, match="Queue imports is full"):
        start()
    start(priority=1)


def test_a_queue_is_paused_by_its_name(imports: None) -> None:
    task_id = start()
    pause_queues.pause_queue(queue="imports", actor="ann")
    assert dequeue(*NAMES) == []
    pause_queues.resume_queue(queue="imports", actor="ann")
    assert dequeue(*NAMES) == [task_id]


def test_every_less_urgent_queue_gets_its_turn(
    imports: None, worker: Callable[..., TaskWorker], longtasks: Callable[..., None]
) -> None:
    longtasks(low_share=0.1, chunk_seconds=0.25)
    one = worker(*NAMES)
    turns = dict.fromkeys(NAMES, 0)
    for _ in range(200):  # as if no queue were ever empty
        name = one._turns.list_in_order()[0]
        turns[name] += 1
        one._turns.note_turn(name, seconds=0.25)
    assert 14 <= turns["imports"] <= 26
    assert 14 <= turns["low"] <= 26


def test_low_is_not_starved_by_a_middle_queue(imports: None, worker: Callable[..., TaskWorker]) -> None:
    one = worker("imports", "low")
    turns = []
    for _ in range(40):
        turns.append(one._turns.list_in_order()[0])
        one._turns.note_turn(turns[-1], seconds=0.25)
    assert "low" in turns
    assert turns.count("imports") > turns.count("low")


@pytest.mark.parametrize(
    ("served", "interruption"),
    [(NAMES, Interruption.PREEMPT), (("imports",), Interruption.CONTINUE), (("imports", "low"), Interruption.CONTINUE)],
)
def test_high_preempts_only_workers_that_serve_it(
    imports: None, worker: Callable[..., TaskWorker], served: tuple[str, ...], interruption: Interruption
) -> None:
    start()
    one = worker(*served)
    [dequeued], _ = transitions.dequeue_tasks(
        redis_connection.get_connection(), worker=one.name, types=list_names(), queues=NAMES, max_tasks=1, max_records=1
    )
    assert one._check_interruption(dequeued) is Interruption.CONTINUE
    start("small")  # in low, which preempts no task
    assert one._check_interruption(dequeued) is Interruption.CONTINUE
    start(priority=1)
    assert one._check_interruption(dequeued) is interruption


def test_a_worker_of_some_types_parks_the_others_without_an_event(redis: Redis) -> None:
    foreign, own = start("slow"), start("small")
    assert dequeue("high", "low", types=["small"], is_partial=True) == [own]
    assert [each.type_name for each in parked_tasks.count_parked(redis)] == ["slow"]
    assert dequeue("high", "low") == [foreign]
    mirror()
    assert "unknown_type" not in str(history(foreign))


def test_doctor_names_the_types_that_no_worker_of_their_queue_serves(
    redis: Redis, worker: Callable[..., TaskWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskWorker, "served_types", frozenset({"small"}))
    worker("high", "low")._heartbeat.send()
    assert parked_tasks.list_known_types(redis) == {"small"}
    names = [finding.check for finding in task_checks.check_served_types()]
    assert "workers: type slow" in names
    assert "workers: type small" not in names


@pytest.fixture
def removed(imports: None, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tasks of a queue that QUEUES no longer names: two wait, one is parked."""
    task_ids = [start() for _ in range(3)]
    redis.lrem("rq:queue:imports", 0, task_ids[0])
    redis.rpush("longtasks:parked:imports:slow", task_ids[0])
    redis.sadd("longtasks:parked", "imports:slow")
    mirror()
    monkeypatch.setattr(queue_names, "QUEUES", ("high", "low"))
    monkeypatch.setattr(type(get_task_type("slow")), "queue", "low")
    return task_ids


def test_tasks_of_a_removed_queue_go_to_the_queue_of_their_type(removed: list[str], redis: Redis) -> None:
    findings = list(task_checks.check_removed_queues())
    assert [finding.check for finding in findings] == ["queue: imports"]
    assert "3 tasks" in str(findings[0])
    Rescuer(connection=redis).run()
    assert waiting(redis, "low") == removed
    assert waiting(redis, "imports") == []
    assert not redis.smembers("longtasks:parked")
    assert list(task_checks.check_removed_queues()) == []
    Rescuer(connection=redis).run()
    assert waiting(redis, "low") == removed


def test_a_task_of_a_removed_queue_can_be_canceled(removed: list[str], redis: Redis) -> None:
    for task_id in removed:
        assert change_tasks.cancel_task(task_id=task_id).status == "canceled"
    assert waiting(redis, "imports") == []


def test_a_lost_task_of_a_removed_queue_is_requeued_in_a_served_queue(removed: list[str], redis: Redis) -> None:
    redis.flushdb()
    TaskRecord.objects.update(updated_at=datetime(2026, 1, 1, tzinfo=UTC))
    Rescuer(connection=redis).run()
    Rescuer(connection=redis).run()
    assert sorted(waiting(redis, "low")) == sorted(removed)
    assert waiting(redis, "imports") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queues": "low,nowhere"}, "no queue 'nowhere'"),
        ({"queues": ""}, "no queue ''"),
        ({"types": "slow,nothing"}, "no task type 'nothing'"),
    ],
)
def test_workers_refuses_unknown_queues_and_types(options: dict[str, str], words: str) -> None:
    with pytest.raises(CommandError, match=words) as refusal:
        call_command("workers", 1, **options)
    assert refusal.value.returncode == 2
    assert "\n" not in str(refusal.value)


def test_a_queues_name_fits_every_column_that_holds_one() -> None:
    for model, column in ((TaskRecord, "priority"), (QueueState, "name"), (AuditEntry, "queue"), (TaskMinute, "queue")):
        assert column_limits.length_of((model, column)) >= NAME_CHARACTERS, (model, column)
