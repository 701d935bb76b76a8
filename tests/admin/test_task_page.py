"""Every page answers, asks the permissions it names, and costs a bounded number of queries."""

import json
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.models import MODELS
from tasks_app.models import AuditEntry, QueueState, TaskRecord
from tasks_app.queues import job_snapshots, pauses, queue_names, redis_connection, redis_keys
from tasks_app.services import change_tasks, start_tasks
from tests.admin.conftest import ADMINISTER, OPERATE, VIEW, MakeClient, run_mirror, start
from tests.catalog.conftest import upload

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/tasks_app/taskrecord/"


def page(task_id: str, action: str = "") -> str:
    return f"{LIST}{task_id}/" + (f"{action}/" if action else "")


def get(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.content.decode()


def parts(client: Client, address: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(get(client, address))["parts"]
    return found


# --- permissions


def test_nobody_sees_anything_without_a_login() -> None:
    task_id = start()
    for address in (
        "/admin/",
        LIST,
        page(task_id),
        page(task_id, "live"),
        f"{LIST}start/",
        "/admin/tasks_app/auditentry/",
    ):
        assert Client().get(address).status_code == 302, address
    assert Client().post(page(task_id, "cancel")).status_code == 302


def test_staff_without_a_permission_sees_no_task(make_client: MakeClient) -> None:
    client, task_id = make_client(), start()
    for address in (LIST, f"{LIST}live/?ids={task_id}", page(task_id), page(task_id, "live"), f"{LIST}start/",
                    f"{LIST}overview/live/", "/admin/tasks_app/auditentry/", "/admin/django_rq/dashboard/"):  # fmt: skip
        assert client.get(address).status_code == 403, address
    assert task_id not in get(client, "/admin/")
    assert "overview-numbers" not in get(client, "/admin/")


CHANGES = [
    ("cancel", {}, OPERATE), ("retry", {}, OPERATE), ("priority", {"priority": "high"}, OPERATE), ("again", {}, OPERATE),
]  # fmt: skip


@pytest.mark.parametrize(("action", "data", "permission"), CHANGES)
def test_who_may_only_view_changes_nothing(
    make_client: MakeClient, action: str, data: dict[str, str], permission: str
) -> None:
    client, task_id = make_client(VIEW), start()
    assert client.post(page(task_id, action), data).status_code == 403
    assert client.post(f"{LIST}change/", {"action": "cancel", "task": [task_id]}).status_code == 403
    assert client.get(f"{LIST}start/").status_code == 403
    assert "<button" not in get(client, page(task_id)).split('id="task-head"')[1].split("</section>")[0]
    run_mirror()
    assert [record.status for record in TaskRecord.objects.all()] == ["queued"]


@pytest.mark.parametrize("permissions", [(), (VIEW,), (OPERATE,)])
def test_queues_are_paused_by_administrators_only(make_client: MakeClient, permissions: tuple[str, ...]) -> None:
    client = make_client(*permissions)
    assert client.post(f"{LIST}queues/low/pause/").status_code == 403
    assert client.post(f"{LIST}queues/low/resume/").status_code == 403
    assert not QueueState.objects.filter(paused_at__isnull=False).exists()


def test_nothing_is_changed_by_get(make_client: MakeClient) -> None:
    client, task_id = make_client(OPERATE, ADMINISTER), start()
    for address in (
        page(task_id, "cancel"),
        page(task_id, "retry"),
        page(task_id, "again"),
        f"{LIST}change/",
        f"{LIST}queues/low/pause/",
    ):
        assert client.get(address).status_code == 405, address


def test_a_change_needs_the_csrf_token(make_client: MakeClient) -> None:
    task_id = start()
    session = make_client(OPERATE).cookies["sessionid"].value
    client = Client(enforce_csrf_checks=True)
    client.cookies["sessionid"] = session
    assert client.post(page(task_id, "cancel")).status_code == 403


# --- the task page


def test_the_page_shows_the_task_and_its_history(make_client: MakeClient) -> None:
    task_id = start(description="all <users>")
    shown = get(make_client(VIEW), page(task_id))
    assert "all &lt;users&gt;" in shown
    assert "all <users>" not in shown
    assert "numRecords" in shown
    assert f'href="/tasks/{task_id}"' in shown
    assert "/admin/django_rq/dashboard/queues/1/" in shown
    assert "accepted" in shown.split("task-timeline")[1]


def test_a_task_that_the_mirror_has_not_seen_has_a_page(make_client: MakeClient) -> None:
    task_id = start_tasks.start_task(task=start_tasks.NewTask("upload", {"numRecords": 1})).snapshot.id
    assert task_id in get(make_client(VIEW), page(task_id))


def test_an_unknown_task_is_404(make_client: MakeClient) -> None:
    client = make_client(OPERATE)
    for address in (page(str(uuid.uuid4())), page("nonsense"), page("nonsense", "live")):
        assert client.get(address).status_code == 404
    assert client.post(page(str(uuid.uuid4()), "cancel")).status_code == 404


def test_the_page_leads_to_the_rows(make_client: MakeClient) -> None:
    task_id = start()
    upload(records=3, task_id=uuid.UUID(task_id))
    TaskRecord.objects.filter(pk=task_id).update(counts={"users": 3, "products": 3, "order_items": 3})
    redis_connection.get_connection().delete(
        redis_keys.job_key(task_id)
    )  # Redis has forgotten it: the record is what there is
    client = make_client(VIEW, "view_user", "view_product", "view_orderitem")
    shown = get(client, page(task_id))
    for model in MODELS:
        address = f"/admin/catalog/{model._meta.model_name}/?task={task_id}"
        assert f'href="{address}"' in shown
        assert get(client, address).count('<th scope="row"') == 3


def test_cancel_then_retry_from_the_page(make_client: MakeClient) -> None:
    client, task_id = make_client(OPERATE), start()
    assert client.post(page(task_id, "cancel"), follow=True).redirect_chain == [(page(task_id), 302)]
    run_mirror()
    assert TaskRecord.objects.get(pk=task_id).status == "canceled"
    shown = client.post(page(task_id, "cancel"), follow=True).content.decode()  # again: no harm
    assert "canceled" in shown
    client.post(page(task_id, "retry"))
    run_mirror()
    assert TaskRecord.objects.get(pk=task_id).status == "queued"
    shown = client.post(page(task_id, "retry"), follow=True).content.decode()
    assert "can be retried" in shown  # why it was refused
    assert list(AuditEntry.objects.order_by("pk").values_list("actor", "source", "action")) == [
        ("olga", "admin", "cancel"),
        ("olga", "admin", "retry"),
    ]


def test_start_again_has_the_same_parameters(make_client: MakeClient) -> None:
    client, task_id = make_client(OPERATE), start(description="nightly", params={"numRecords": 77}, priority="high")
    address = client.post(page(task_id, "again")).headers["Location"]
    again = job_snapshots.get_snapshot(address.split("/")[-2])
    assert again is not None
    assert (again.params, again.description, again.priority, again.owner) == (
        {"numRecords": 77},
        "nightly",
        "high",
        "olga",
    )
    assert again.id != task_id


def test_the_live_parts_are_the_page_s_own(make_client: MakeClient) -> None:
    client, task_id = make_client(OPERATE), start()
    found = parts(client, page(task_id, "live"))
    assert set(found) == {"task-head", "task-facts", "task-timeline", "task-error"}
    for name, html in found.items():
        assert f'id="{name}"' in html
    shown = get(client, page(task_id))
    assert all(f'id="{name}"' in shown for name in found)


# --- the list


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


def test_a_wrong_cursor_leads_to_the_newest(make_client: MakeClient) -> None:
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


def test_a_search_without_time_says_how_far_it_came(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_task_page_and_the_overview_have_a_bound_of_queries(make_client: MakeClient) -> None:
    client, task_id = make_client(VIEW, OPERATE), start()
    for address, bound in {
        page(task_id): 8,
        page(task_id, "live"): 8,
        "/admin/": 8,
        f"{LIST}overview/live/": 7,
    }.items():
        with CaptureQueriesContext(connection) as captured:
            get(client, address)
        assert len(captured) <= bound, [one["sql"] for one in captured]
        assert not any("COUNT(" in one["sql"] for one in captured)


def test_many_at_once(make_client: MakeClient) -> None:
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
def test_a_wrong_ask_for_many_changes_nothing(make_client: MakeClient, data: dict[str, Any]) -> None:
    start()
    assert "Nothing was changed" in make_client(OPERATE).post(f"{LIST}change/", data, follow=True).content.decode()


def test_many_leads_nowhere_else(make_client: MakeClient) -> None:
    data = {"action": "cancel", "task": [start()], "next": "https://elsewhere.example/"}
    assert make_client(OPERATE).post(f"{LIST}change/", data).headers["Location"] == LIST


# --- starting


def test_the_form_is_the_serializer_s(make_client: MakeClient) -> None:
    shown = get(make_client(OPERATE), f"{LIST}start/?type=upload")
    field = shown.split('name="params-numRecords"')[1].split(">")[0]
    assert 'value="100"' in field
    assert 'min="1"' in field
    assert 'max="10000000"' in field


def test_a_task_is_started_and_audited(make_client: MakeClient) -> None:
    client = make_client(OPERATE)
    data = {"type": "upload", "description": "by hand", "priority": "high", "params-numRecords": "5"}
    address = client.post(f"{LIST}start/", data).headers["Location"]
    task = job_snapshots.get_snapshot(address.split("/")[-2])
    assert task is not None
    assert (task.params, task.priority, task.owner, task.actor) == ({"numRecords": 5}, "high", "olga", "olga")
    assert AuditEntry.objects.get().action == "start"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"type": "upload", "priority": "low", "params-numRecords": "0"}, "numRecords"),
        ({"type": "upload", "priority": "low", "params-numRecords": "ten"}, "numRecords"),
        ({"type": "purge", "priority": "low", "params-taskId": "not-an-id"}, "taskId"),
        ({"type": "purge", "priority": "low"}, "taskId"),
        ({"type": "upload", "priority": "urgent", "params-numRecords": "1"}, "priority"),
    ],
)
def test_a_wrong_value_is_told_at_its_field(make_client: MakeClient, data: dict[str, str], field: str) -> None:
    answer = make_client(OPERATE).post(f"{LIST}start/", data)
    assert answer.status_code == 200
    assert any(field in name for name in answer.context["form"].errors), answer.context["form"].errors
    assert "errorlist" in answer.content.decode()
    assert redis_connection.get_connection().llen(redis_keys.queue_key("low")) == 0


def test_a_similar_task_begins_with_the_old_one_s_values(make_client: MakeClient) -> None:
    task_id = start(params={"numRecords": 4711}, description="old one")
    shown = get(make_client(OPERATE), f"{LIST}start/?type=upload&from={task_id}")
    assert 'value="4711"' in shown
    assert 'value="old one"' in shown


# --- overview, queues, audit


def test_the_overview_tells_what_waits_and_that_nobody_works(make_client: MakeClient) -> None:
    start()
    shown = get(make_client(ADMINISTER), "/admin/")
    assert "No worker is alive" in shown
    assert shown.count("<svg") == 4
    assert "Pause low" in shown


def test_a_queue_is_paused_and_resumed_with_a_reason(make_client: MakeClient) -> None:
    client = make_client(ADMINISTER)
    shown = client.post(f"{LIST}queues/low/pause/", {"reason": "moving house"}, follow=True).content.decode()
    assert "Paused by olga" in shown
    assert "moving house" in shown
    assert "Resume low" in shown
    client.post(f"{LIST}queues/low/resume/")
    assert not QueueState.objects.filter(paused_at__isnull=False).exists()
    assert client.post(f"{LIST}queues/nonsense/pause/").status_code == 404
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["pause", "resume"]


def test_a_stalled_queue_does_not_look_idle(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks_app.admin import overview

    monkeypatch.setattr(overview, "STALLED_SECONDS", 0.0)
    start()
    assert "stalled" in parts(make_client(VIEW), f"{LIST}overview/live/")["overview-queues"]


def test_charts_are_sent_again_only_when_a_minute_is_over(make_client: MakeClient) -> None:
    client = make_client(VIEW)

    def minute_of(charts: str) -> str:
        return charts.split('data-minute="')[1][:4]

    minute = minute_of(parts(client, f"{LIST}overview/live/")["overview-charts"])
    again = parts(client, f"{LIST}overview/live/?minute={minute}")
    # A minute may be over just between the two.
    assert "overview-charts" not in again or minute_of(again["overview-charts"]) != minute
    assert "overview-charts" in parts(client, f"{LIST}overview/live/?minute=before")


def test_the_audit_lists_and_filters(make_client: MakeClient) -> None:
    task_id = start()
    change_tasks.cancel_task(task_id=task_id, actor="carl", source="cli")
    client = make_client(VIEW)
    shown = get(client, "/admin/tasks_app/auditentry/")
    assert shown.count(task_id) >= 2
    assert "carl" in shown
    assert "carl" not in get(client, "/admin/tasks_app/auditentry/?actor=olga").split("<tbody>")[1]
    assert client.get("/admin/tasks_app/auditentry/?cursor=x").status_code == 302


def test_every_page_has_a_name() -> None:
    assert reverse("admin:tasks_app_taskrecord_changelist") == LIST
    assert reverse("admin:tasks_app_taskrecord_add") == f"{LIST}start/"


# --- the catalog


def test_lists_of_rows_page_by_key(make_client: MakeClient) -> None:
    task_id = upload(records=120)
    upload(records=5)
    client = make_client(VIEW, "view_user", "view_product", "view_orderitem")
    for model in MODELS:
        address = f"/admin/catalog/{model._meta.model_name}/"
        with CaptureQueriesContext(connection) as captured:
            shown = get(client, address)
        assert len(captured) <= 5
        assert not any("COUNT(" in one["sql"] for one in captured)
        assert shown.count('<th scope="row"') == 50
        seen, cursor = 0, "0"
        address += f"?task={task_id}"
        while True:
            shown = get(client, address)
            seen += shown.count('<th scope="row"')
            if 'rel="next"' not in shown:
                break
            cursor = shown.split('rel="next" href="')[1].split("cursor=")[1].split('"')[0]
            address = f"/admin/catalog/{model._meta.model_name}/?task={task_id}&cursor={cursor}"
        assert seen == 120


def test_rows_are_read_only(make_client: MakeClient) -> None:
    upload(records=1)
    client = make_client("view_user")
    row = MODELS[0].objects.get()
    shown = get(client, f"/admin/catalog/user/{row.pk}/change/")
    assert 'name="_save"' not in shown
    assert client.post(f"/admin/catalog/user/{row.pk}/change/", {"city": "x"}).status_code == 403
    assert client.get("/admin/catalog/user/add/").status_code == 403
    assert client.get("/admin/catalog/product/").status_code in (302, 403)


def test_the_overview_says_that_rq_suspends_all_queues(make_client: MakeClient) -> None:
    client = make_client(VIEW)
    assert "rqresume" not in client.get("/admin/").content.decode()
    pauses.write_suspension(suspended=True)
    assert client.get("/admin/").content.decode().count("manage.py rqresume") == len(queue_names.QUEUES)
