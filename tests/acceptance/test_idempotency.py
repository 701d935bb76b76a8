"""Idempotency-Key while web's processes are killed: one task per key, however often the client retries."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from loadtests.started.stack import ProcfileStack

MakeStack = Callable[..., ProcfileStack]
KEYS = 60
ANSWERS_A_KILL = 50
ASKS = 3  # clients that send each key at once


def ask(stack: ProcfileStack, path: str, body: Any, key: str) -> Any:
    """Retry until there is an answer, as a client does."""
    for _ in range(200):
        answer = stack.post(path, body, headers={"Idempotency-Key": key}, timeout_seconds=10)
        if answer.status not in (0, 502, 503):
            return answer
        threading.Event().wait(0.05)
    raise AssertionError(f"no answer: {answer}")


def test_a_hundred_concurrent_starts_with_one_key_start_one_task(stack: ProcfileStack) -> None:
    body = {"name": "upload", "params": {"numRecords": 2}}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(stack, "/tasks", body, "a-hundred"), range(100)))
    assert {answer.status for answer in answers} == {201}
    (task_id,) = {answer.json["id"] for answer in answers}
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 99
    stack.wait_for_end(task_id, deadline_seconds=60)
    assert stack.row_counts(task_id)["users"] == 2


@pytest.mark.slow
def test_killed_web_processes_start_nothing_twice(make_stack: MakeStack) -> None:
    stack = make_stack(workers=1)
    answered = threading.Semaphore(0)
    done = threading.Event()
    kills = []

    def kill() -> None:
        """Kill a web process after every few answers: often, but the clients still make progress."""
        while not done.is_set():
            for _ in range(ANSWERS_A_KILL):
                answered.acquire()
            stack.wait_for(lambda: done.is_set() or len(stack.child_pids("web")) >= 2, deadline_seconds=60)
            if not done.is_set():
                kills.append(stack.kill_child("web"))

    single = {"name": "upload", "params": {"numRecords": 1}}
    bulk = {"tasks": [single, single]}

    def ask_for(path: str, body: Any, key: str) -> Any:
        answer = ask(stack, path, body, key)
        answered.release()
        return answer

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with ThreadPoolExecutor(6) as pool:
            singles = list(pool.map(lambda n: ask_for("/tasks", single, f"one-{n // ASKS}"), range(KEYS * ASKS)))
            bulks = list(pool.map(lambda n: ask_for("/tasks/bulk", bulk, f"two-{n // ASKS}"), range(30 * ASKS)))
    finally:
        done.set()
        answered.release(ANSWERS_A_KILL)
        killer.join()
    assert kills, "nothing was killed: the test proves nothing"
    assert {answer.status for answer in (*singles, *bulks)} == {201}
    ids = set()
    for n in range(KEYS):
        (task_id,) = {answer.json["id"] for answer in singles[n * ASKS : (n + 1) * ASKS]}
        ids.add(task_id)
    for n in range(30):
        (pair,) = {tuple(task["id"] for task in answer.json["tasks"]) for answer in bulks[n * ASKS : (n + 1) * ASKS]}
        ids |= set(pair)
    assert len(ids) == KEYS + 60
    stack.wait_for(lambda: stack.get("/health/live").status == 200, deadline_seconds=30)
    for task_id in ids:
        stack.wait_for_end(task_id, deadline_seconds=60)
        stack.wait_for_record(task_id)
    assert stack.sql("SELECT COUNT(*) FROM users")[0][0] == len(ids)
    assert stack.sql("SELECT COUNT(*) FROM tasks_app_taskrecord")[0][0] == len(ids)
