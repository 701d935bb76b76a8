"""The list of tasks: filters, search, pages, number of queries, and changes of many tasks at once."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tasks_app.models import TaskRecord
from tests.admin.conftest import OPERATE, VIEW, MakeClient, run_mirror, start
from tests.admin.pages import LIST, get

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_list_filters_and_searches(make_client: MakeClient) -> None:
    client = make_client(VIEW)
    first, second = (
        start(description="alpha import"),
        start(
            description="beta",
            priority="high",
        ),
    )
    for query, expected in {
        "": {first, second},
        "?q=alpha": {first},
        "?q=ALPHA+imp": {first},
        f"?q={second}": {second},
        f"?q={second[:13]}": {second} if second[:13] != first[:13] else {first, second},
        "?priority=high": {second},
        "?priority=high&q=alpha": set(),
        "?status=queued&name=upload": {first, second},
        "?status=failed": set(),
        "?owner=nobody": set(),
        "?after=2020-01-01T00:00": {first, second},
        "?before=2020-01-01T00:00": set(),
        "?status=nonsense": {first, second},
    }.items():
        shown = get(client, LIST + query)
        assert {task_id for task_id in (first, second) if f'id="task-{task_id}"' in shown} == expected, query
    assert shown.index(second) < shown.index(first)


def test_an_invalid_cursor_redirects_to_the_newest_tasks(make_client: MakeClient) -> None:
    assert make_client(VIEW).get(f"{LIST}?cursor=x").headers["Location"] == LIST


def test_pages_of_the_list_follow_each_other(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks_app.read_model.task_search import TaskFilter, find_tasks

    task_ids = [start(description=f"number {index % 2}") for index in range(7)]
    for wanted in (TaskFilter(), TaskFilter(text="number"), TaskFilter(status="queued", name="upload")):
        seen, cursor = [], ""
        while True:
            found = find_tasks(wanted=wanted, cursor=cursor, limit=2)
            seen += [str(record.pk) for record in found.records]
            cursor = found.next_cursor
            if not cursor:
                break
        assert seen == task_ids[::-1], wanted


def test_a_search_that_runs_out_of_time_offers_older_tasks(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks_app.read_model import task_search

    monkeypatch.setattr(task_search, "SEARCH_SECONDS", 0)
    monkeypatch.setattr(task_search, "FIRST_ENTRIES", 3)
    wanted = start(description="the one")
    for _ in range(5):
        start()
    client = make_client(VIEW)
    shown = get(client, f"{LIST}?q=the+one")
    assert wanted not in shown
    assert "there are older tasks" in shown
    found = task_search.find_tasks(wanted=task_search.TaskFilter(text="the one"))
    older = task_search.find_tasks(wanted=task_search.TaskFilter(text="the one"), cursor=found.next_cursor)
    assert [str(record.pk) for record in older.records] == [wanted]


@pytest.mark.parametrize("tasks", [3, 30])
def test_the_list_costs_the_same_queries_for_any_number_of_tasks(make_client: MakeClient, tasks: int) -> None:
    client = make_client(VIEW, OPERATE)
    for _ in range(tasks):
        start(description="x")
    get(client, LIST)
    for query, bound in {"": 6, "?status=queued": 6, "?status=queued&q=x&priority=low": 8}.items():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            get(client, LIST + query)
        assert len(captured) <= bound, [one["sql"] for one in captured]
        assert not any("COUNT(" in one["sql"] for one in captured)


def test_many_tasks_are_changed_at_once(make_client: MakeClient) -> None:
    client = make_client(OPERATE)
    task_ids = [start() for _ in range(3)]
    answer = client.post(
        f"{LIST}change/", {"action": "high", "task": task_ids[:2], "next": f"{LIST}?status=queued"}, follow=True
    )
    assert answer.redirect_chain == [(f"{LIST}?status=queued", 302)]
    assert "2 tasks changed." in answer.content.decode()
    shown = client.post(f"{LIST}change/", {"action": "cancel", "task": task_ids}, follow=True).content.decode()
    assert "3 tasks changed." in shown
    run_mirror()
    assert {record.status for record in TaskRecord.objects.all()} == {"canceled"}
    shown = client.post(f"{LIST}change/", {"action": "cancel", "task": task_ids}, follow=True).content.decode()
    assert "Not changed: 3 canceled." in shown
    client.post(f"{LIST}change/", {"action": "retry", "task": task_ids})
    run_mirror()
    assert {record.status for record in TaskRecord.objects.all()} == {"queued"}


@pytest.mark.parametrize(
    "data", [{}, {"action": "cancel"}, {"action": "drop", "task": ["x"]}, {"action": "cancel", "task": ["x"]}]
)
def test_an_invalid_request_for_many_tasks_changes_nothing(make_client: MakeClient, data: dict[str, Any]) -> None:
    start()
    assert "Nothing was changed" in make_client(OPERATE).post(f"{LIST}change/", data, follow=True).content.decode()


def test_a_change_of_many_tasks_does_not_redirect_elsewhere(make_client: MakeClient) -> None:
    data = {"action": "cancel", "task": [start()], "next": "https://elsewhere.example/"}
    assert make_client(OPERATE).post(f"{LIST}change/", data).headers["Location"] == LIST


def test_the_list_and_the_form_have_url_names() -> None:
    assert reverse("admin:tasks_app_taskrecord_changelist") == LIST
    assert reverse("admin:tasks_app_taskrecord_add") == f"{LIST}start/"
