"""Invalid results of a task type: the attempt fails, its error names the value, and nothing is committed."""

from typing import Any

import pytest

from tasks_app.domain.error_text import summarize_error
from tasks_app.services import change_tasks
from tests.support import odd_values
from tests.support.engine import Worker, checkpoint, job, positions, record, start

WORDS = {
    "none": "the result of run_chunk is None",
    "negative": "done is -1",
    "huge count": "counts['users'] is 18446744073709551616",
    "real count": "counts['users'] is 2.0",
    "int key": "a key of counts is 2024",
    "nan": "done is nan",
    "datetime": "state['at'] is datetime.datetime(2024",
    "bytes": "state['at'] is b'x'",
    "silent": "done is 0",
    "surrogate": r"RuntimeError: caf\udce9 could not be read",
    "long": "ValueError: xxx",
    "hopeless": "HopelessError: the file is gone",
    "huge total": "total() is 1180591620717411303424",
    "negative total": "total() is -1",
    "text total": "total() is '5'",
}


@pytest.mark.parametrize("which", [*odd_values.RESULTS, *odd_values.TOTALS])
def test_an_invalid_result_is_a_failed_attempt_that_names_the_value(which: str) -> None:
    task_id = start("odd_values", which=which)
    Worker().run()

    snapshot, row = job(task_id), checkpoint(task_id)
    assert snapshot.status == ("failed" if which == "hopeless" else "scheduled")
    assert (row.failures, row.done, positions(task_id)) == (1, 0, [])
    assert snapshot.error == row.error
    assert WORDS[which] in summarize_error(row.error)
    assert len(row.error) <= 20_000
    assert snapshot.counts == {"users": 0, "others": 0}
    assert record(task_id).error == row.error


def test_a_hopeless_task_can_be_retried_by_hand() -> None:
    task_id = start("odd_values", which="hopeless")
    Worker().run()
    assert record(task_id).status == "failed"
    assert change_tasks.retry_task(task_id=task_id).status == "queued"
    Worker().run()
    assert (job(task_id).status, checkpoint(task_id).failures) == ("failed", 1)


@pytest.mark.parametrize(("which", "total"), [("fine", 1), ("no total", 1)])
def test_a_finished_task_has_all_counts_and_a_total(which: str, total: int) -> None:
    task_id = start("odd_values", which=which)
    Worker().run()
    row: Any
    for row in (job(task_id), record(task_id)):
        assert (row.status, row.done, row.total) == ("finished", 1, total)
        assert row.counts == {"users": 1, "others": 0}
