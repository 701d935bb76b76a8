"""Rescue on real stores: what dead workers, a flushed Redis and broken steps leave behind comes back, once."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from longtasks.local_stack.child_process import wait_until
from tasks_app.checkpoints import claims, expired_claims
from tasks_app.engine.interruption import Interruption
from tasks_app.models import TaskCheckpoint, TaskRecord
from tasks_app.queues import redis_connection, redis_keys, snapshot_stream, transitions
from tasks_app.queues.worker_liveness import LivenessJudge, report_exit
from tasks_app.recovery.rescuer import Rescuer
from tests.support.engine import (
    Worker,
    beat,
    checkpoint,
    history,
    job,
    mirror,
    positions,
    record,
    rescue,
    run_out,
    start,
    started,
    waiting,
)
from tests.support.redis_commands import watched_commands


def claim_and_die(worker: str = "dead", **params: Any) -> str:
    """A task whose worker has committed one record, and is gone."""
    task_id = start(records=3, **params)
    dying = Worker(worker)

    def die() -> None:
        raise KeyboardInterrupt

    dying.on_check = die
    with pytest.raises(KeyboardInterrupt):
        dying.run()
    return task_id


def settle() -> None:
    """All records are old enough to be compared."""
    mirror()
    TaskRecord.objects.update(updated_at="2020-01-01T00:00:00Z")


def assert_finishes(task_id: str) -> None:
    while Worker("next").run():
        pass
    assert positions(task_id) == [0, 1, 2]
    assert record(task_id).status == checkpoint(task_id).outcome == "finished"
    assert waiting() == started() == []


# --- dead workers


def test_a_claim_that_ran_out_is_enqueued_first_and_goes_on_where_it_was() -> None:
    task_id = claim_and_die()
    other = start()
    run_out(task_id)

    rescue()

    assert waiting() == [task_id, other]
    assert redis_connection.get_connection().scard("longtasks:urgent:low") == 1
    assert checkpoint(task_id).failures == 0, "it had committed a chunk"
    assert_finishes(task_id)


def test_a_claim_that_still_holds_is_left_alone_however_silent_its_worker() -> None:
    task_id = claim_and_die()
    beat("dead", ago_seconds=3600)
    rescue()
    assert waiting() == []
    assert checkpoint(task_id).lease_until is not None


@pytest.mark.parametrize("was_killed", [True, False])
def test_a_certified_death_frees_its_tasks_at_once(was_killed: bool) -> None:
    task_id = start()
    worker = Worker("dead")
    worker.take()
    claims.claim(task_id=uuid.UUID(task_id), worker="dead")
    beat("dead")
    report_exit(redis_connection.get_connection(), worker="dead", was_killed=was_killed)

    rescue()

    assert waiting() == [task_id]
    assert checkpoint(task_id).failures == int(was_killed), "to be asked to stop is no attempt"
    assert_finishes(task_id)


def test_tasks_that_a_dead_worker_had_taken_only_come_back(longtasks: Callable[..., None]) -> None:
    longtasks(lease_seconds=0.2)
    task_ids = [start("small"), start("small")]
    Worker("dead").take()
    watch = Rescuer(connection=redis_connection.get_connection())
    watch.watch()
    assert waiting() == [], "one look is no proof of silence"

    assert wait_until(lambda: watch.watch() or len(waiting()) == 2, deadline_seconds=5)

    for task_id in task_ids:
        assert_finishes(task_id)


def test_silence_while_redis_was_away_is_no_death(longtasks: Callable[..., None]) -> None:
    longtasks(lease_seconds=10)  # so that the sign of life below is fresh, however slow this machine is
    liveness = LivenessJudge(connection=redis_connection.get_connection())
    beat("alive", ago_seconds=20)
    assert liveness.find_dead({"alive"}) == {}
    liveness.forget()
    assert liveness.find_dead({"alive"}) == {}
    beat("alive")
    assert liveness.find_dead({"alive"}) == {}


def test_a_task_that_kills_every_worker_fails_and_says_so(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=3, retry_first_seconds=0)
    task_id = start()
    for number in range(3):
        name = f"dead{number}"
        assert [dequeued.task_id for dequeued in Worker(name).take()] == [task_id]
        claims.claim(task_id=uuid.UUID(task_id), worker=name)
        report_exit(redis_connection.get_connection(), worker=name, was_killed=True)
        rescue().enqueue_due()

    row, seen = checkpoint(task_id), record(task_id)
    assert (row.outcome, row.failures) == ("failed", 3)
    assert seen.status == "failed"
    assert "died" in (seen.error or "")
    assert "attempt 3 of 3" in (seen.error or "")
    assert waiting() == started() == []


def test_two_rescues_enqueue_a_task_once() -> None:
    task_id = claim_and_die()
    run_out(task_id)
    first, second = (Rescuer(connection=redis_connection.get_connection()) for _ in range(2))
    first.run()
    second.run()
    assert waiting() == [task_id]
    assert [cause for _, cause in history(task_id)].count("rescue") == 1


def test_a_rescue_that_died_in_the_middle_is_finished_by_the_next() -> None:
    task_id = claim_and_die()
    run_out(task_id)
    assert expired_claims.expire(task_id=uuid.UUID(task_id)) is not None  # … and no further
    report_exit(redis_connection.get_connection(), worker="dead", was_killed=True)
    rescue()
    assert waiting() == [task_id]
    assert_finishes(task_id)


def test_leases_are_not_trusted_right_after_the_database_was_away() -> None:
    task_id = claim_and_die()
    run_out(task_id)
    watch = Rescuer(connection=redis_connection.get_connection())
    watch.note_outage()
    watch.run()
    assert checkpoint(task_id).lease_until is not None


# --- lost by Redis


def test_after_a_flush_every_task_that_the_mirror_saw_ends(redis: Any, longtasks: Callable[..., None]) -> None:
    longtasks(retry_first_seconds=0.05)
    finished = start("small")
    Worker().run()
    claimed = claim_and_die("w1")
    scheduled = start("flaky", times=1)
    Worker().run()
    yielded = start()
    worker = Worker()
    worker.verdict = Interruption.PREEMPT
    worker.run()
    queued, small = start(), start("small")
    assert (job(scheduled).status, job(yielded).status) == ("scheduled", "queued")
    settle()
    redis.flushdb()

    rescue()

    assert sorted(waiting()) == sorted([queued, small, yielded, scheduled]), "the claim's own worker may go on"
    run_out(claimed)
    rescue()
    while Worker("next").run():
        pass
    for task_id in (finished, claimed, scheduled, yielded, queued, small):
        assert positions(task_id) == [0, 1, 2]
        assert record(task_id).status == checkpoint(task_id).outcome == "finished"
    assert waiting() == started() == []


def test_after_a_flush_a_task_that_changed_just_before_comes_back_without_a_whole_round(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks_app.recovery.reconciliation.SETTLED_SECONDS", 0.2)
    monkeypatch.setattr("tasks_app.recovery.reconciliation.PAGE", 1)
    monkeypatch.setattr("tasks_app.recovery.rescuer.COMPARE_SECONDS", 0.0)
    task_ids = [start() for _ in range(5)]
    mirror()
    redis.flushdb()
    watch = Rescuer(connection=redis_connection.get_connection())
    watch.run()
    passes = 0

    def all_are_back() -> bool:
        nonlocal passes
        passes += watch._compare_again_at == 0.0
        watch.run()
        return sorted(waiting()) == sorted(task_ids)

    assert wait_until(all_are_back, deadline_seconds=5)
    assert passes <= 1


def test_tasks_that_come_while_a_round_goes_on_are_not_looked_for_in_the_queue(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a queue of 100,000 each such look costs Redis a millisecond, and all others wait."""
    monkeypatch.setattr("tasks_app.recovery.reconciliation.SETTLED_SECONDS", 0.0)
    monkeypatch.setattr("tasks_app.recovery.reconciliation.PAGE", 1)
    monkeypatch.setattr("tasks_app.recovery.rescuer.COMPARE_SECONDS", 0.0)
    for _ in range(2):
        start()
    mirror()
    watch = Rescuer(connection=redis_connection.get_connection())
    watch.run()  # Redis is new to it: it compares all, and once more in the next pass
    watch.run()
    assert watch._reconciler._compared_to.int, "a round goes on"
    for _ in range(5):
        start()
    mirror()
    with watched_commands(redis) as commands:
        for _ in range(10):
            watch.run()
    names = {command.name for command in commands}
    assert "LRANGE" in names
    assert "LPOS" not in names
    assert "ZSCORE" not in names, "what waits is not looked for elsewhere"
    assert len(waiting()) == 7


@pytest.mark.parametrize("how", ["entry", "entry_and_job", "entry_and_snapshot", "scheduled_entry"])
def test_a_task_whose_place_is_gone_is_enqueued_again(redis: Any, how: str) -> None:
    task_id = start("flaky", times=int(how == "scheduled_entry"))
    if how == "scheduled_entry":
        Worker().run()
        redis.zrem("rq:scheduled:low", task_id)
    else:
        redis.lrem("rq:queue:low", 0, task_id)
    if how == "entry_and_job":
        redis.delete(redis_keys.job_key(task_id))
    if how == "entry_and_snapshot":  # an end that has nothing to tell is none
        redis.hdel(redis_keys.job_key(task_id), "s")
        redis.hset(redis_keys.job_key(task_id), "status", "canceled")
    settle()

    rescue()

    assert waiting() == [task_id]
    assert_finishes(task_id)


def test_a_queue_entry_whose_job_is_gone_is_run_from_its_record(redis: Any) -> None:
    task_id = start()
    settle()
    redis.delete(redis_keys.job_key(task_id))
    [dequeued] = Worker("w1").take()
    assert not isinstance(dequeued, transitions.DequeuedTask)  # the worker then asks the read side: test_stack shows it
    transitions.apply_transitions(redis, [])


def test_an_end_that_the_mirror_missed_is_told_again(redis: Any) -> None:
    task_id = start()
    mirror()
    Worker().run()
    redis.delete(snapshot_stream.STREAM_KEY)
    settle()
    assert record(task_id).status == "queued"
    rescue()
    assert record(task_id).status == "finished"


def test_an_end_that_redis_was_never_told_of_is_told_by_rescue() -> None:
    task_id = start("small")
    Worker("dead").take()
    settle()
    TaskCheckpoint.objects.update_or_create(
        task_id=uuid.UUID(task_id),
        defaults={
            "epoch": 1,
            "outcome": "finished",
            "done": 3,
            "counts": {"users": 3},
            "updated_at": "2020-01-01T00:00:00Z",
        },
    )
    report_exit(redis_connection.get_connection(), worker="dead", was_killed=True)
    rescue()
    seen = record(task_id)
    assert (seen.status, seen.done, seen.counts) == ("finished", 3, {"users": 3})
    assert started() == []
    assert redis_connection.get_connection().ttl(redis_keys.job_key(task_id)) > 0


def test_an_ended_task_leaves_nothing_in_redis_but_its_job_for_a_while(redis: Any) -> None:
    for name in ("slow", "small", "flaky"):
        start(name, records=1, times=0)
    while Worker().run():
        pass
    mirror()
    rescue()
    jobs = list(redis.scan_iter("rq:job:*"))
    assert len(jobs) == 3
    assert all(redis.ttl(key) > 0 for key in jobs)
    assert redis.scard("longtasks:urgent:low") == redis.zcard("rq:wip:low") == redis.llen("rq:queue:low") == 0
    assert redis.xlen(snapshot_stream.STREAM_KEY) == 0
