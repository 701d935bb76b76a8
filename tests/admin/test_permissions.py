"""Who may see and change what in the admin: by login, by permission, by method and by CSRF token."""

import pytest
from django.test import Client

from tasks_app.models import QueueState, TaskRecord
from tests.admin.conftest import ADMINISTER, OPERATE, VIEW, MakeClient, run_mirror, start
from tests.admin.pages import LIST, get, page

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_page_requires_a_login() -> None:
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
def test_view_permission_changes_nothing(
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
