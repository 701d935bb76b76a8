"""A task type's `authorize` at every entrance: only what it allows is started."""

import uuid
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import redis as redis_package
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import OperationalError
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tasks_app import errors
from tasks_app.domain import task_snapshot
from tasks_app.models import TaskRecord
from tasks_app.task_types import Chunk, ChunkResult, TaskType, register, unregister
from tests.admin.conftest import OPERATE, make_client  # noqa: F401
from tests.api.conftest import assert_problem
from tests.api.task_requests import count_jobs, plant, start, start_bulk

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]


class AskedParams(serializers.Serializer[Any]):
    amount = serializers.IntegerField(default=1)


async def later() -> None: ...


REFUSED: dict[str, Any] = {
    "allowed": (None, 201),
    "not allowed": (errors.NotAllowed("Too much.", field="amount"), 403),
    "unknown": (errors.UnknownTask("x"), 404),
    "database": (OperationalError(2006, "gone"), 503),
    "store": (errors.StoreUnavailable(), 503),
    "redis": (redis_package.exceptions.ConnectionError("gone"), 503),
    "error": (RuntimeError("secret words"), 500),
    "lookup": (KeyError("secret words"), 500),
    "exit": (SystemExit(0), 500),
    "interrupt": (KeyboardInterrupt(), 500),
    "drf": (ValidationError({"amount": "secret words"}), 500),
    "django": (PermissionDenied("secret words"), 500),
    "other of ours": (errors.TaskEnded(task_id="x", status="y", wanted="z"), 500),
    "bad sql": (OperationalError(1064, "secret words"), 500),
    "false": (False, 500),
    "true": (True, 500),
    "coroutine": (later, 500),
}
CALLERS: list[tuple[str, str]] = []


@pytest.fixture
def asked(request: pytest.FixtureRequest) -> Generator[int, None, None]:
    """A task type whose `authorize` behaves as the parameter says; yields the expected status."""
    what, status = REFUSED[request.param]
    made: list[Any] = []

    @register
    class Asked(TaskType):
        name = "asked"
        params_serializer = AskedParams

        def authorize(self, params: Mapping[str, Any], caller: Any) -> Any:
            CALLERS.append((caller.owner, caller.scope))
            assert params == {"amount": 3}
            if isinstance(what, BaseException):
                raise what
            if callable(what):
                made.append(what())
                return made[-1]
            return what

        def run_chunk(self, chunk: Chunk) -> ChunkResult:
            return ChunkResult(1, {}, finished=True)

    CALLERS.clear()
    yield status
    unregister("asked")
    for coroutine in made:
        coroutine.close()


@pytest.mark.parametrize("asked", REFUSED, indirect=True)
def test_only_a_task_that_authorize_allows_is_started(
    client_of: Any, mirror: Any, asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    ann = client_of("ann")
    started = int(asked == 201)
    single = start(ann, "asked", amount=3)
    bulk = start_bulk(ann, {"name": "upload"}, {"name": "asked", "params": {"amount": 3}})
    assert CALLERS == [("ann", "write")] * 2
    for response, prefix in ((single, ""), (bulk, "tasks.1.")):
        if asked == 201:
            assert response.status_code == 201, response.content
            continue
        problem = assert_problem(response, asked)
        assert b"secret words" not in response.content
        if asked == 403:
            assert problem["type"] == "urn:longtasks:problem:not-allowed"
            assert problem["errors"] == [{"field": f"{prefix}params.amount", "message": "Too much."}]
        if asked == 404:
            assert [error["field"] for error in problem["errors"]] == [f"{prefix}params"]
        if asked == 503:
            assert int(response["Retry-After"]) >= 1
    assert count_jobs() == 3 * started
    assert ("authorize" in caplog.text) is (asked == 500)

    waits = plant(
        task_snapshot.Snapshot(
            id=str(uuid.uuid4()), name="asked", created_at=datetime.now(UTC), owner="ann", params={"amount": 3}
        )
    )
    assert ann.post(f"/tasks/{waits}/cancel", content_type="application/json").status_code == 200
    assert ann.post(f"/tasks/{waits}/retry", content_type="application/json").status_code == (202 if started else asked)
    if not started:
        mirror()
        assert TaskRecord.objects.get(pk=waits).status == "canceled"
        with pytest.raises((CommandError, SystemExit)):
            call_command("task", "start", "asked", "--params", '{"amount": 3}')


@pytest.mark.parametrize("asked", ["not allowed"], indirect=True)
def test_the_form_shows_a_refusal_of_authorize_at_its_field(asked: int, make_client: Any) -> None:  # noqa: F811
    data = {"type": "asked", "priority": "low", "params-amount": "3"}
    answer = make_client(OPERATE).post("/admin/tasks_app/taskrecord/start/", data)
    assert answer.context["form"].errors == {"params-amount": ["Too much."]}
    assert CALLERS == [("olga", "admin")]
    assert count_jobs() == 0
