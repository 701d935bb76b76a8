"""maxFailures: how many records a task may leave out, and what happens to the one that is too many."""

from collections.abc import Callable

import pytest

from tasks_app.services import change_tasks
from tests.support import failing_types
from tests.support.engine import Worker, checkpoint, positions, record
from tests.support.failing_tasks import begin, listed


@pytest.mark.parametrize("allowed", [1, 2, 5])
def test_one_more_than_allowed_fails_the_task_at_once(allowed: int) -> None:
    task_id = begin(records=600, every=100, rest=50, allowed=str(allowed))  # 6 bad records

    Worker().run()

    row, seen = checkpoint(task_id), record(task_id)
    assert (seen.status, seen.attempts, seen.failed_records) == ("failed", 1, allowed)
    assert listed(task_id) == [50 + 100 * number for number in range(allowed)]
    assert row.done == 50 + 100 * allowed
    assert f"{allowed + 1} of {row.done + 1:,} records failed, maxFailures is {allowed}" in (seen.error or "")
    assert f"GET /tasks/{task_id}/failures" in (seen.error or "")
    assert f"record {row.done} is bad" in (seen.error or "")


def test_as_many_as_allowed_are_left_out() -> None:
    task_id = begin(records=600, every=100, allowed="6")

    Worker().run()

    assert (record(task_id).status, record(task_id).failed_records) == ("finished", 6)


def test_a_share_of_a_known_total_is_a_number_whatever_stands_first() -> None:
    """The first twenty records of 1,334 are 1.499 %, of 1,333 they are more than 1.5 %."""
    within = begin(records=1334, bad=[*range(20)], allowed="1.5%")
    beyond = begin(records=1333, bad=[*range(20)], allowed="1.5%")

    for _ in range(2):
        Worker().run()

    assert (record(within).status, listed(within)) == ("finished", [*range(20)])
    assert (record(beyond).status, listed(beyond), record(beyond).done) == ("failed", [*range(19)], 19)
    assert "20 of 20 records failed, maxFailures is 1.5% of 1,333" in (record(beyond).error or "")


def test_a_share_of_fewer_than_one_record_allows_none() -> None:
    within, beyond = begin(records=200, bad=[7], allowed="0.5%"), begin(records=199, bad=[7], allowed="0.5%")

    for _ in range(2):
        Worker().run()

    assert (record(within).status, record(beyond).status) == ("finished", "failed")
    assert (record(beyond).done, listed(beyond)) == (7, [])
    assert "1 of 8 records failed, maxFailures is 0.5% of 199" in (record(beyond).error or "")


def test_a_share_of_an_unknown_total_is_judged_from_a_thousand_records_on() -> None:
    early = begin("failing_untold", records=3000, bad=[*range(40)], allowed="1%")  # 40 of 3,000 are more, too
    within = begin("failing_untold", records=999, bad=[*range(9)], allowed="1%")
    at_the_end = begin("failing_untold", records=999, bad=[*range(10)], allowed="1%")

    for _ in range(3):
        Worker().run()

    seen = record(early)
    assert (seen.status, listed(early)) == ("failed", [*range(40)])
    assert seen.done < 1000
    assert record(within).status == "finished"
    assert (record(at_the_end).status, listed(at_the_end)) == ("failed", [*range(10)])
    assert "10 of 999 records failed, maxFailures is 1% of 999" in (record(at_the_end).error or "")


def test_a_task_that_failed_so_continues_when_it_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = begin(records=600, every=100, rest=50, allowed="2")
    Worker().run()
    monkeypatch.setattr(failing_types, "fails", lambda params, position: False)  # corrected

    change_tasks.retry_task(task_id=task_id)
    Worker().run()

    assert (record(task_id).status, listed(task_id)) == ("finished", [50, 150])
    assert positions(task_id) == [number for number in range(600) if number not in (50, 150)]


@pytest.mark.parametrize("allowed", ["3", "7", "8", "0.9%", "2%"])
def test_all_shards_count_against_one_bound(allowed: str, longtasks: Callable[..., None]) -> None:
    longtasks(shard_records=100)
    task_id = begin("failing_shards", records=400, every=50, rest=49, allowed=allowed)  # 8 bad records

    for number in range(40):
        Worker(f"w{number % 3}").run()

    seen, found = record(task_id), listed(task_id)
    bad = set(range(49, 400, 50))
    if allowed in ("8", "2%"):
        assert (seen.status, set(found), seen.failed_records) == ("finished", bad, 8)
        assert positions(task_id) == [number for number in range(400) if number not in bad]
    else:
        assert seen.status == "failed"
        assert seen.failed_records == len(found) == checkpoint(task_id).failed_records
        assert len(found) == (3 if allowed == "0.9%" else int(allowed))
        assert set(found) <= bad
    assert len(found) == len(set(found))
