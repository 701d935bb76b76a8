"""Set-aside items in the admin: shown in full to administrators, retried and dropped with an audit entry."""

import pytest
from django.utils import timezone

from tasks_app.models import AuditEntry, SetAsideItem, TaskRecord
from tasks_app.queues import redis_connection, redis_keys
from tasks_app.resilience import set_aside_items
from tests.admin.conftest import ADMINISTER, OPERATE, VIEW, MakeClient, run_mirror, start

pytestmark = pytest.mark.django_db
PAGE = "/admin/tasks_app/setasideitem/"


@pytest.fixture
def item(redis: object) -> SetAsideItem:
    return SetAsideItem.objects.create(
        kind=set_aside_items.SNAPSHOT,
        key="1-0",
        payload=b'{"id":"\xff<script>"}',
        size=18,
        reason="ValueError: not a snapshot",
        first_at=timezone.now(),
        last_at=timezone.now(),
    )


def test_items_are_listed_and_shown_in_full(make_client: MakeClient, item: SetAsideItem) -> None:
    client = make_client(ADMINISTER)
    listed = client.get(PAGE).content.decode()
    assert "ValueError: not a snapshot" in listed
    assert PAGE in client.get("/admin/").content.decode()
    shown = client.get(f"{PAGE}{item.pk}/change/").content.decode()
    assert "\\xff&lt;script&gt;" in shown


def test_an_item_that_is_refused_again_stays_with_the_reason(make_client: MakeClient, item: SetAsideItem) -> None:
    page = make_client(ADMINISTER).post(PAGE, {"action": "try_again", "_selected_action": [item.pk]}, follow=True)
    assert "1-0 was refused again: ValueError: not a snapshot" in page.content.decode()
    item.refresh_from_db()
    assert item.tries == 2
    assert AuditEntry.objects.get().action == AuditEntry.Action.TRY_AGAIN


def test_an_applied_item_is_deleted(make_client: MakeClient, item: SetAsideItem) -> None:
    task_id = start()
    data = redis_connection.get_connection().hget(redis_keys.job_key(task_id), "s")
    TaskRecord.objects.all().delete()
    SetAsideItem.objects.update(payload=data, size=len(data), key="1795620303207-0")
    page = make_client(ADMINISTER).post(PAGE, {"action": "try_again", "_selected_action": [item.pk]}, follow=True)
    assert "1 item was applied." in page.content.decode()
    assert TaskRecord.objects.filter(pk=task_id).exists()
    assert not SetAsideItem.objects.exists()
    run_mirror()


def test_a_dropped_item_leaves_an_audit_entry(make_client: MakeClient, item: SetAsideItem) -> None:
    client = make_client(ADMINISTER, VIEW)
    page = client.post(PAGE, {"action": "drop", "_selected_action": [item.pk]}, follow=True)
    assert "1 item was dropped." in page.content.decode()
    assert not SetAsideItem.objects.exists()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.source) == ("drop", "olga", "admin")
    assert "snapshot 1-0: ValueError" in client.get("/admin/tasks_app/auditentry/").content.decode()


def test_set_aside_items_are_for_administrators_only(make_client: MakeClient, item: SetAsideItem) -> None:
    client = make_client(VIEW, OPERATE, "change_setasideitem", "delete_setasideitem")
    assert client.get(PAGE).status_code == 403
    assert client.get(f"{PAGE}{item.pk}/change/").status_code == 403
    for action in ("drop", "try_again", "delete_selected"):
        assert client.post(PAGE, {"action": action, "_selected_action": [item.pk]}).status_code == 403
    assert make_client(ADMINISTER, name="ada").post(f"{PAGE}{item.pk}/delete/", {"post": "yes"}).status_code == 403
    assert SetAsideItem.objects.exists()
