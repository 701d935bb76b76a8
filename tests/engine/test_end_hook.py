"""`on_end` of a task type: called once for each end that a worker brings about, and harmless if it fails."""

from collections.abc import Generator
from typing import Any

import pytest
from rest_framework import serializers

from tasks_app.services import start_tasks
from tasks_app.task_types import Chunk, ChunkResult, TaskType, register, unregister
from tests.support.engine import Worker, checkpoint, job

ended: list[tuple[str, str]] = []


class Params(serializers.Serializer[Any]):
    how = serializers.CharField()


class Ending(TaskType):
    name = "ending"
    params_serializer = Params
    attempts = 3
    error_attempts = 1

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        if chunk.params["how"] == "fails":
            raise LookupError("no such row")
        return ChunkResult(done=1, counts={}, finished=True)

    def on_end(self, *, status: str, error: BaseException | None, **_: Any) -> None:
        ended.append((status, type(error).__name__))
        raise RuntimeError("a bad hook")


@pytest.fixture(autouse=True)
def _type() -> Generator[None, None, None]:
    ended.clear()
    register(Ending)
    yield
    unregister("ending")


def begin(how: str) -> str:
    new = start_tasks.NewTask(name="ending", params={"how": how})
    return start_tasks.start_task(task=new).snapshot.id


def test_the_hook_follows_the_end_and_its_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    task_id = begin("finishes")
    Worker().run()
    assert (job(task_id).status, checkpoint(task_id).outcome, ended) == (
        "finished",
        "finished",
        [("finished", "NoneType")],
    )
    assert "a bad hook" in caplog.text


def test_an_error_of_the_code_fails_the_task_after_error_attempts_and_the_hook_gets_it() -> None:
    task_id = begin("fails")
    Worker().run()
    assert (job(task_id).status, checkpoint(task_id).failures, ended) == ("failed", 1, [("failed", "LookupError")])
