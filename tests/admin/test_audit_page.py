"""The list of audit entries."""

import pytest

from tasks_app.services import change_tasks
from tests.admin.conftest import VIEW, MakeClient, start
from tests.admin.pages import get

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_audit_lists_and_filters(make_client: MakeClient) -> None:
    task_id = start()
    change_tasks.cancel_task(task_id=task_id, actor="carl", source="cli")
    client = make_client(VIEW)
    shown = get(client, "/admin/tasks_app/auditentry/")
    assert shown.count(task_id) >= 2
    assert "carl" in shown
    assert "carl" not in get(client, "/admin/tasks_app/auditentry/?actor=olga").split("<tbody>")[1]
    assert client.get("/admin/tasks_app/auditentry/?cursor=x").status_code == 302
