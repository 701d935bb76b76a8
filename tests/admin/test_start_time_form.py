"""The start of a task in the admin: a field of the start form, shown on the page, and changed there while it waits."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks_app.models import AuditEntry
from tasks_app.queues import job_snapshots
from tests.admin.conftest import OPERATE, VIEW, MakeClient, run_mirror, start, take
from tests.admin.pages import LIST, get, page, parts

pytestmark = pytest.mark.django_db(transaction=True)
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).replace(second=0, microsecond=0)
FORM = {"type": "upload", "priority": "low", "params-numRecords": "5"}


def field(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M}"


def test_the_form_starts_a_task_for_later_and_its_page_says_when(make_client: MakeClient) -> None:
    client = make_client(OPERATE, VIEW)
    shown = get(client, f"{LIST}start/?type=upload")
    assert '<input type="datetime-local" name="start_at"' in shown
    assert "Begins at (UTC)" in shown
    address = client.post(f"{LIST}start/", FORM | {"start_at": field(TOMORROW)}).headers["Location"]
    task_id = address.split("/")[-2]
    task = job_snapshots.get_snapshot(task_id)
    assert task is not None
    assert (task.status, task.start_at) == ("scheduled", TOMORROW)
    shown = get(client, address)
    assert f"Begins at {TOMORROW:%Y-%m-%d %H:%M:%S} UTC" in shown
    assert f'value="{field(TOMORROW)}"' in shown.split("reschedule/")[1]
    assert f"Begins at {TOMORROW:%Y-%m-%d}" in parts(client, page(task_id, "live"))["task-head"]
    run_mirror()
    assert "scheduled" in get(client, LIST)


def test_without_a_time_it_begins_at_once(make_client: MakeClient) -> None:
    address = make_client(OPERATE).post(f"{LIST}start/", FORM | {"start_at": ""}).headers["Location"]
    task = job_snapshots.get_snapshot(address.split("/")[-2])
    assert task is not None
    assert (task.status, task.start_at) == ("queued", None)


@pytest.mark.parametrize("given", ["tomorrow", "9999-12-31T23:59", "2026-13-01T00:00"])
def test_another_value_is_refused_at_its_field(make_client: MakeClient, given: str) -> None:
    answer = make_client(OPERATE).post(f"{LIST}start/", FORM | {"start_at": given})
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == ["start_at"]


def test_the_page_changes_the_start_until_the_task_has_begun(make_client: MakeClient) -> None:
    client, task_id = make_client(OPERATE, VIEW), start(start_at=TOMORROW)
    later = TOMORROW + timedelta(hours=3)
    shown = client.post(page(task_id, "reschedule"), {"start_at": field(later)}, follow=True).content.decode()
    assert f"The task begins at {later:%Y-%m-%d %H:%M} UTC." in shown
    assert f"Begins at {later:%Y-%m-%d %H:%M:%S} UTC" in shown
    shown = client.post(page(task_id, "reschedule"), {"start_at": "9999-12-31T23:59"}, follow=True).content.decode()
    assert "At most 366 days from now." in shown
    shown = client.post(page(task_id, "reschedule"), {"start_at": ""}, follow=True).content.decode()
    assert "The task begins as soon as a worker is free." in shown
    task = job_snapshots.get_snapshot(task_id)
    assert task is not None
    assert (task.status, task.start_at) == ("queued", None)
    assert list(AuditEntry.objects.order_by("pk").values_list("actor", "source", "action", "detail"))[1:] == [
        ("olga", "admin", "reschedule", f"{later:%Y-%m-%d %H:%M:%S} UTC → at once")
    ]
    assert take() == [task_id]
    assert "reschedule/" not in get(client, page(task_id))
    shown = client.post(page(task_id, "reschedule"), {"start_at": field(later)}, follow=True).content.decode()
    assert "only a task that has not begun can change its start" in shown


def test_who_may_only_view_sees_no_form(make_client: MakeClient) -> None:
    client, task_id = make_client(VIEW), start(start_at=TOMORROW)
    assert "Begins at" in get(client, page(task_id))
    assert "reschedule/" not in get(client, page(task_id))
    assert client.post(page(task_id, "reschedule"), {"start_at": ""}).status_code == 403
