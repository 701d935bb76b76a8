"""tasks_app/read_model/task_search.py: every mix of filters finds the matching tasks by one index, without a sort."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks_app.domain import task_status
from tasks_app.domain.task_ids import get_lowest_id, get_time_of_id
from tasks_app.models import TaskRecord
from tasks_app.read_model import task_search
from tasks_app.read_model.open_tasks import OPEN, list_open
from tasks_app.read_model.task_search import TaskFilter, find_tasks

pytestmark = pytest.mark.django_db
TASKS = 3000
BEGAN_AT = datetime(2026, 3, 1, tzinfo=UTC)
FILTERS = {"owner": "ann", "status": "failed", "name": "purge", "priority": "high"}
MIXES = [dict(mix) for mix in chain.from_iterable(combinations(FILTERS.items(), size) for size in range(5))]


def make_record(number: int, dice: random.Random) -> TaskRecord:
    """A task a second; no purge is high or canceled, and no task of eve's has failed."""
    created_at = BEGAN_AT + timedelta(seconds=number)
    owner = dice.choices(["ann", "ben", "eve", ""], [60, 30, 9, 1])[0]
    name = dice.choices(["upload", "purge", "report"], [80, 19, 1])[0]
    statuses = [status for status in task_status.STATUSES if (status, name) != ("canceled", "purge")]
    status = dice.choices(["finished", *statuses], [100, *([1] * len(statuses))])[0]
    return TaskRecord(
        id=uuid.UUID(int=get_lowest_id(created_at).int + dice.getrandbits(60)),
        name=name,
        owner=owner,
        status="finished" if (owner, status) == ("eve", "failed") else status,
        priority="low" if name == "purge" else dice.choice(["high", "low", "low"]),
        description=f"Shop {number % 50} 100%_done",
        error="Traceback",
        created_at=created_at,
        updated_at=created_at,
    )


@pytest.fixture
def records() -> list[TaskRecord]:
    """Return some thousand tasks, newest first."""
    dice = random.Random(4711)
    made = [make_record(number, dice) for number in range(TASKS)]
    TaskRecord.objects.bulk_create(made)
    return made[::-1]


def fits(record: TaskRecord, wanted: TaskFilter) -> bool:
    return (
        all(getattr(wanted, name) in (None, getattr(record, name)) for name in FILTERS)
        and (wanted.created_after is None or record.created_at >= wanted.created_after)
        and (wanted.created_before is None or record.created_at < wanted.created_before)
        and (wanted.text.lower() in record.description.lower() or record.pk.hex.startswith(wanted.text or "-"))
    )


def walk(wanted: TaskFilter, *, limit: int) -> Iterator[TaskRecord]:
    """Follow the cursors to the end."""
    cursor = ""
    while True:
        found = find_tasks(wanted=wanted, cursor=cursor, limit=limit)
        assert len(found.records) <= limit
        if found.next_cursor and found.searched_to is None:
            assert len(found.records) == limit
            assert found.next_cursor == found.records[-1].pk.hex
        if found.searched_to is not None:
            assert found.searched_to == get_time_of_id(uuid.UUID(found.next_cursor))
        yield from found.records
        cursor = found.next_cursor
        if not cursor:
            return


WANTED = st.builds(
    TaskFilter,
    owner=st.sampled_from([None, "ann", "eve", "", "nobody"]),
    status=st.sampled_from([None, *task_status.STATUSES]),
    name=st.sampled_from([None, "upload", "purge", "report", "gone"]),
    priority=st.sampled_from([None, "high", "low"]),
    created_after=st.none() | st.integers(-10, TASKS + 10).map(lambda number: BEGAN_AT + timedelta(seconds=number)),
    created_before=st.none() | st.integers(-10, TASKS + 10).map(lambda number: BEGAN_AT + timedelta(seconds=number)),
    text=st.sampled_from(["", "", "", "shop 7", "100%_", "nowhere", get_lowest_id(BEGAN_AT).hex[:8]]),
)


@pytest.mark.parametrize("seconds", [0.0, task_search.SEARCH_SECONDS])
def test_every_mix_of_filters_finds_exactly_the_matching_tasks(records: list[TaskRecord], seconds: float) -> None:
    """Without any time each page ends after its first window, with the usual time after several."""

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(wanted=WANTED, limit=st.integers(1, 200) | st.sampled_from([1, 50, 200]), window=st.integers(5, 600))
    def check(wanted: TaskFilter, limit: int, window: int) -> None:
        expected = [record.pk for record in records if fits(record, wanted)]
        # One task a page is slow if thousands match; the first pages are enough.
        limit = max(limit, len(expected) // 20)
        entries = {"FIRST_ENTRIES": window, "MAX_ENTRIES": 4 * window}
        rows = {"FIRST_ROWS": window // 5, "MAX_ROWS": window // 3}
        with mock.patch.multiple(task_search, SEARCH_SECONDS=seconds, **entries, **rows):
            assert [record.pk for record in walk(wanted, limit=limit)] == expected

    check()


def test_tasks_that_start_meanwhile_change_no_later_page(
    records: list[TaskRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_search, "SEARCH_SECONDS", 0)
    monkeypatch.setattr(task_search, "FIRST_ENTRIES", 50)
    wanted = TaskFilter(owner="ann", name="purge")
    seen = []
    for number, record in enumerate(walk(wanted, limit=20)):
        seen.append(record.pk)
        if number % 10 == 0:
            newer = make_record(TASKS + number, random.Random(number))
            newer.owner, newer.name = "ann", "purge"
            newer.save(force_insert=True)
    assert seen == [record.pk for record in records if fits(record, wanted)]


def test_a_search_that_times_out_returns_its_position(
    records: list[TaskRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_search, "SEARCH_SECONDS", 0)
    found = find_tasks(wanted=TaskFilter(name="purge", priority="high"))
    assert found.records == []
    assert found.next_cursor
    purges = [record for record in records if record.name == "purge"]
    assert found.searched_to == purges[task_search.FIRST_ENTRIES - 1].created_at


def test_a_task_that_changed_between_the_two_reads_is_left_out(records: list[TaskRecord]) -> None:
    failed = [record.pk for record in records if record.status == "failed"]
    search = task_search._search

    def search_and_retry(*args: Any, **options: Any) -> Any:
        answer = search(*args, **options)
        TaskRecord.objects.filter(pk=failed[0]).update(status="queued")
        TaskRecord.objects.filter(pk=failed[1]).delete()
        return answer

    with mock.patch.object(task_search, "_search", search_and_retry):
        found = find_tasks(wanted=TaskFilter(status="failed"), limit=5)
    assert [record.pk for record in found.records] == failed[2:5]


def explain(sql: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def assert_ranges(queries: list[dict[str, str]], *, indexes: set[str]) -> None:
    """Each query reads a range of one of these indexes (or a page's rows by id) and sorts nothing."""
    assert queries
    for query in queries:
        for plan in explain(query["sql"]):
            if connection.vendor == "sqlite":
                assert "TEMP B-TREE" not in plan["detail"], (query, plan)
                assert "INDEX" in plan["detail"], (query, plan)
            elif plan["table"] is not None and " IN (" not in query["sql"]:
                assert plan["key"] in indexes, (query, plan)
                assert plan["type"] in ("ref", "range", "index"), (query, plan)
                assert "filesort" not in plan["Extra"], (query, plan)


@pytest.mark.parametrize("mix", MIXES, ids="-".join)
@pytest.mark.parametrize("more", ["", "time", "text", "cursor"])
def test_a_page_is_a_range_of_one_index(records: list[TaskRecord], mix: dict[str, str], more: str) -> None:
    middle = records[TASKS // 2]
    wanted = TaskFilter(
        **mix,
        text="shop" if more == "text" else "",
        created_after=BEGAN_AT if more == "time" else None,
        created_before=middle.created_at if more == "time" else None,
    )
    with CaptureQueriesContext(connection) as captured:
        find_tasks(wanted=wanted, cursor=middle.pk.hex if more == "cursor" else "")
    assert_ranges(captured.captured_queries, indexes={f"record_by_{name}" for name in mix} | {"PRIMARY"})


def test_open_tasks_are_found_by_the_status_index(records: list[TaskRecord]) -> None:
    now = datetime.now(UTC)
    wanted = sorted((record.pk, record.priority) for record in records if record.status in OPEN)
    with CaptureQueriesContext(connection) as captured:
        found = list_open(after=uuid.UUID(int=0), changed_before=now, limit=30)
        found += list_open(after=found[-1][0], changed_before=now, limit=TASKS)
    assert found == wanted
    assert list_open(after=uuid.UUID(int=0), changed_before=BEGAN_AT, limit=30) == []
    assert_ranges(captured.captured_queries, indexes={"record_by_status"})
