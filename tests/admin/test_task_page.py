"""The page of one task: what it shows, its buttons, its live parts and its number of queries."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import MODELS
from tasks_app.models import AuditEntry, TaskRecord
from tasks_app.queues import job_snapshots, redis_connection, redis_keys
from tasks_app.services import start_tasks
from tests.admin.conftest import OPERATE, VIEW, MakeClient, run_mirror, start
from tests.admin.pages import LIST, get, page, parts
from tests.catalog.conftest import upload

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_the_page_links_to_the_tasks_rows(make_client: MakeClient) -> None:
    task_id = start()
    upload(records=3, task_id=uuid.UUID(task_id))
    TaskRecord.objects.filter(pk=task_id).update(counts={"users": 3, "products": 3, "order_items": 3})
    redis_connection.get_connection().delete(redis_keys.job_key(task_id))  # the page must use the task row
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
    shown = client.post(page(task_id, "cancel"), follow=True).content.decode()  # idempotent
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


def test_the_live_parts_are_parts_of_the_page(make_client: MakeClient) -> None:
    client, task_id = make_client(OPERATE), start()
    found = parts(client, page(task_id, "live"))
    assert set(found) == {"task-head", "task-facts", "task-changes", "task-timeline", "task-error"}
    for name, html in found.items():
        assert f'id="{name}"' in html
    shown = get(client, page(task_id))
    assert all(f'id="{name}"' in shown for name in found)


def test_the_task_page_and_the_overview_need_few_queries(make_client: MakeClient) -> None:
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
