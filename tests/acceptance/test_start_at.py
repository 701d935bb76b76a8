"""`startAt` on the running service: not before, soon after, once; also if the mirror or Redis's data die meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import Any

from loadtests.started.stack import TABLES, ProcfileStack
from tests.conftest import MakeStack

SOON_SECONDS = 3.0  # due tasks are looked for every half second; the machine may be busy


def start_later(stack: ProcfileStack, *, seconds: float, records: int = 50) -> tuple[str, datetime]:
    wanted = datetime.now(UTC) + timedelta(seconds=seconds)
    body = {"name": "upload", "params": {"numRecords": records}, "startAt": wanted.isoformat()}
    answer = stack.post("/tasks", body)
    assert answer.status == 201, answer
    assert answer.json["status"] == "scheduled"
    return str(answer.json["id"]), wanted


def started_at(task: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(task["startedAt"])


def assert_begun_once(
    stack: ProcfileStack, task_id: str, wanted: datetime, *, late_seconds: float = SOON_SECONDS, records: int = 50
) -> None:
    task = stack.wait_for_end(task_id, deadline_seconds=60)
    assert (task["status"], task["attempts"]) == ("finished", 1)
    assert wanted <= started_at(task) <= wanted + timedelta(seconds=late_seconds), (task, wanted)
    assert stack.row_counts(task_id) == stack.position_counts(task_id) == dict.fromkeys(TABLES, records)


def test_a_task_begins_not_before_its_start_and_soon_after(stack: ProcfileStack) -> None:
    task_id, wanted = start_later(stack, seconds=2)
    changed, _ = start_later(stack, seconds=3600)
    canceled, _ = start_later(stack, seconds=2)
    assert stack.post(f"/tasks/{canceled}/cancel").json["status"] == "canceled"
    sooner = datetime.now(UTC) + timedelta(seconds=1)
    assert stack.post(f"/tasks/{changed}/reschedule", {"startAt": sooner.isoformat()}).status == 200
    assert_begun_once(stack, task_id, wanted)
    assert_begun_once(stack, changed, sooner)
    assert stack.task(canceled)["startedAt"] is None
    assert stack.post(f"/tasks/{task_id}/reschedule", {"startAt": None}).status == 409
    stack.wait_for_record(task_id)
    events = [(event["status"], event["cause"]) for event in stack.get(f"/tasks/{task_id}/events").json["events"]]
    assert events == [("scheduled", "start"), ("queued", "due"), ("started", "take"), ("finished", "end")]


def test_a_start_survives_kills_of_web_and_mirror(make_stack: MakeStack) -> None:
    stack = make_stack(workers=1)
    soon, soon_at = start_later(stack, seconds=3)
    missed, missed_at = start_later(stack, seconds=1)
    stack.kill_role("mirror")
    stack.kill_role("web")
    stack.wait_for(
        lambda: datetime.now(UTC) > missed_at + timedelta(seconds=1), deadline_seconds=10, what="a start has come"
    )
    stack.ensure_running()
    assert_begun_once(stack, missed, missed_at, late_seconds=60)
    assert_begun_once(stack, soon, soon_at, late_seconds=60)


def test_a_start_survives_a_flush_of_redis(make_stack: MakeStack) -> None:
    stack = make_stack(workers=1)
    far, _ = start_later(stack, seconds=3600)
    near, near_at = start_later(stack, seconds=20)
    statement = "SELECT COUNT(*) FROM tasks_app_taskrecord WHERE status = 'scheduled'"
    stack.wait_for(lambda: stack.sql(statement)[0][0] == 2, deadline_seconds=30, what="the mirror has written both")
    with stack.redis() as redis:
        redis.flushdb()
        stack.wait_for(
            lambda: redis.zcard("rq:scheduled:low") == 2, deadline_seconds=30, what="both wait for their start again"
        )
        assert redis.llen("rq:queue:low") == 0
    assert datetime.now(UTC) < near_at, "the machine is too slow for this test"
    assert_begun_once(stack, near, near_at)
    waits = stack.task(far)
    assert (waits["status"], waits["attempts"], waits["startedAt"]) == ("scheduled", 0, None)
    assert stack.post(f"/tasks/{far}/reschedule", {"startAt": None}).json["status"] == "queued"
    assert stack.wait_for_end(far, deadline_seconds=30)["status"] == "finished"
