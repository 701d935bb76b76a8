"""tasks_app/engine/record_isolation.py: exactly the failing records are left out and listed, whatever they raise."""

import itertools
from collections.abc import Callable, Generator
from typing import Any

import pytest
from django.db import connection

from tasks_app.models import TaskFailure
from tasks_app.task_types import Chunk, HopelessError, RecordRefused
from tests.engine.lost_commits import lost_commit, mysql_only
from tests.support import failing_types
from tests.support.engine import Worker, checkpoint, expire_lease, job, positions, record, rescue, started, waiting
from tests.support.failing_tasks import begin, listed

HOWS = [how for how in failing_types.HOWS if how != "signal" or connection.vendor == "mysql"]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The start and the limit of every chunk of a `failing` task that is tried."""
    seen: list[tuple[int, int]] = []
    run_chunk = failing_types.FailingTask.run_chunk

    def note(self: Any, chunk: Chunk) -> Any:
        seen.append((chunk.start, chunk.limit))
        return run_chunk(self, chunk)

    monkeypatch.setattr(failing_types.FailingTask, "run_chunk", note)
    return seen


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("records", "bad"),
    [
        (1, [0]),
        (2, [0, 1]),
        (7, [0, 6]),
        (700, [0, 1, 2, 350, 499, 500, 699]),
        (40, list(range(40))),
        (1000, []),
    ],
)
def test_exactly_the_bad_records_are_listed_and_the_others_written(how: str, records: int, bad: list[int]) -> None:
    task_id = begin(records=records, bad=bad, how=how)

    Worker().run()

    assert listed(task_id) == bad
    assert positions(task_id) == [number for number in range(records) if number not in bad]
    row, seen = checkpoint(task_id), record(task_id)
    assert (row.outcome, row.done, row.failed_records, row.failures) == ("finished", records, len(bad), 0)
    assert (seen.status, seen.done, seen.failed_records, seen.attempts) == ("finished", records, len(bad), 1)
    assert job(task_id).failed_records == len(bad)
    assert waiting() == started() == []


def test_a_failure_names_the_record_and_its_error() -> None:
    task_id = begin(records=5, bad=[3], how="validation")

    Worker().run()

    failure = TaskFailure.objects.get(task_id=task_id)
    assert (failure.position, failure.line, failure.key) == (3, 5, "3")
    assert (failure.code, failure.message) == ("ValidationError", "phone: 3 is no number")
    assert failure.values_json == '{"position":3,"phone":"=+3"}'
    assert failure.values_are_exact
    assert failure.checkpoint_id == failure.task_id


def test_a_swallowed_database_error_is_named_by_its_cause() -> None:
    task_id = begin(records=5, bad=[3], how="swallowed")

    Worker().run()

    failure = TaskFailure.objects.get(task_id=task_id)
    assert failure.code == "IntegrityError"
    assert "broken" not in failure.message


def test_a_bad_record_costs_a_logarithm_of_tries_and_chunks_grow_again(limits: list[tuple[int, int]]) -> None:
    task_id = begin(records=20_000, bad=[1700])

    Worker().run()

    assert listed(task_id) == [1700]
    failed = [limit for start, limit in limits if start <= 1700 < start + limit]
    assert len(failed) <= 12  # log2(2000) + 1
    at = limits.index((1700, 1))
    assert len(limits[:at]) - len(failed) <= 16
    after = [limit for start, limit in limits[at + 1 :] if start > 1701]
    assert max(after) >= 500
    assert after[0] <= 64  # not at once as many as before: bad records often stand together
    assert all(later <= 2 * earlier for earlier, later in itertools.pairwise(after))


def test_a_record_that_its_error_names_costs_two_tries(limits: list[tuple[int, int]]) -> None:
    task_id = begin(records=20_000, bad=[1700], how="named")

    Worker().run()

    assert listed(task_id) == [1700]
    tries = [limit for start, limit in limits if start <= 1700 < start + limit]
    assert (len(tries), tries[-1]) == (2, 1)
    at = limits.index((1700, 1))
    assert limits[at + 1][1] >= tries[0] // 8  # its chunk was not too long


def test_an_error_may_name_a_wrong_record(monkeypatch: pytest.MonkeyPatch) -> None:
    places = iter([-5, 10**6, 3, 0, 2**70])

    def fail(self: Any, chunk: Chunk, position: int) -> None:
        raise RecordRefused("somewhere", position=next(places, position + 1))

    monkeypatch.setattr(failing_types.FailingTask, "fail", fail)
    task_id = begin(records=600, bad=[0, 299, 300, 599])

    Worker().run()

    assert (record(task_id).status, listed(task_id)) == ("finished", [0, 299, 300, 599])


def test_nothing_is_isolated_without_max_failures_or_by_a_type_that_cannot(longtasks: Callable[..., None]) -> None:
    longtasks(retry_attempts=1)
    plain, other = begin(records=5, bad=[3], allowed=""), begin("stateful", records=5, allowed="3")

    for _ in range(2):
        Worker().run()

    assert (record(plain).status, listed(plain), positions(plain)) == ("failed", [], [])
    assert "record 3 is bad" in (record(plain).error or "")
    assert record(other).status == "finished"


@pytest.mark.parametrize(
    "error", [HopelessError("closed"), TimeoutError("no answer"), NotImplementedError("later"), SystemExit(3)]
)
def test_an_error_that_no_record_causes_is_a_failed_attempt(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, longtasks: Callable[..., None]
) -> None:
    longtasks(retry_first_seconds=0)

    def fail(self: Any, chunk: Chunk, position: int) -> None:
        raise error

    monkeypatch.setattr(failing_types.FailingTask, "fail", fail)
    task_id = begin(records=5, bad=[3])

    Worker().run()

    assert (listed(task_id), positions(task_id), checkpoint(task_id).failures) == ([], [], 1)
    assert checkpoint(task_id).outcome == ("failed" if isinstance(error, HopelessError) else "")


def test_a_type_that_cannot_skip_fails_its_attempt(
    monkeypatch: pytest.MonkeyPatch, longtasks: Callable[..., None]
) -> None:
    longtasks(retry_attempts=1)
    monkeypatch.setattr(failing_types.FailingTask, "skip_record", lambda self, chunk: None)
    task_id = begin(records=5, bad=[3])

    Worker().run()

    assert (record(task_id).status, listed(task_id), positions(task_id)) == ("failed", [], [0, 1, 2])
    assert "the result of skip_record is None" in (record(task_id).error or "")


def test_a_record_that_has_vanished_is_not_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_record = failing_types.FailingTask.skip_record
    monkeypatch.setattr(
        failing_types.FailingTask, "skip_record", lambda self, chunk: (skip_record(self, chunk)[0], None)
    )
    task_id = begin(records=5, bad=[3])

    Worker().run()

    assert (record(task_id).status, record(task_id).failed_records, listed(task_id)) == ("finished", 0, [])
    assert positions(task_id) == [0, 1, 2, 4]


# --- deaths, takeovers and lost replies


def test_a_death_in_the_middle_of_halving_loses_nothing() -> None:
    task_id = begin(records=600, bad=[0, 299, 300, 599])
    workers = 0

    def take_over(worker: Worker) -> None:
        """Let the lease expire at the worker's second try, so that another worker continues."""
        nonlocal workers
        tries = 0

        def on_check() -> None:
            nonlocal tries, workers
            tries += 1
            if tries == 2 and workers < 12:
                workers += 1
                expire_lease(task_id)
                rescue()
                successor = Worker(f"w{workers}")
                take_over(successor)
                successor.run()

        worker.on_check = on_check

    first = Worker("w0")
    take_over(first)
    first.run()

    assert workers == 12
    assert listed(task_id) == [0, 299, 300, 599]
    assert positions(task_id) == [number for number in range(600) if number not in (0, 299, 300, 599)]
    assert record(task_id).status == "finished"


@mysql_only
@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_commit_lists_a_record_once(number: int, applied: bool) -> None:
    task_id = begin(records=6, bad=[1, 2, 4])

    with lost_commit(number=number, applied=applied):
        Worker().run()

    assert (listed(task_id), positions(task_id)) == ([1, 2, 4], [0, 3, 5])
    assert (checkpoint(task_id).failed_records, record(task_id).status) == (3, "finished")


@pytest.fixture
def odd() -> Generator[TaskFailure, None, None]:
    task_id = begin("failing_oddly", records=3, bad=[1])
    Worker().run()
    assert record(task_id).status == "finished"
    return TaskFailure.objects.get(task_id=task_id)


def test_odd_values_are_bounded_and_stored(odd: TaskFailure) -> None:
    assert len(odd.message) == 2000
    assert odd.message.startswith("NUL \\x00, surrogate \\udce9, emoji \N{GRINNING FACE}, long yyy")
    assert len(odd.values_json.encode()) < 64 * 1024
    assert not odd.values_are_exact
