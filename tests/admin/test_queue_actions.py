"""The buttons that pause and resume a queue."""

import pytest

from tasks_app.models import AuditEntry, QueueState
from tests.admin.conftest import ADMINISTER, MakeClient
from tests.admin.pages import LIST

pytestmark = pytest.mark.django_db(transaction=True)


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
