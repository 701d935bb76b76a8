"""The form that starts a task: its fields, its errors, and its initial values."""

import pytest

from tasks_app.models import AuditEntry
from tasks_app.queues import job_snapshots, redis_connection, redis_keys
from tests.admin.conftest import OPERATE, MakeClient, start
from tests.admin.pages import LIST, get

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_form_has_the_serializers_default_and_limits(make_client: MakeClient) -> None:
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
def test_an_invalid_value_is_reported_at_its_field(make_client: MakeClient, data: dict[str, str], field: str) -> None:
    answer = make_client(OPERATE).post(f"{LIST}start/", data)
    assert answer.status_code == 200
    assert any(field in name for name in answer.context["form"].errors), answer.context["form"].errors
    assert "errorlist" in answer.content.decode()
    assert redis_connection.get_connection().llen(redis_keys.queue_key("low")) == 0


def test_a_similar_task_starts_with_the_earlier_tasks_values(make_client: MakeClient) -> None:
    task_id = start(params={"numRecords": 4711}, description="old one")
    shown = get(make_client(OPERATE), f"{LIST}start/?type=upload&from={task_id}")
    assert 'value="4711"' in shown
    assert 'value="old one"' in shown


def test_the_preselected_type_changes_no_rows(make_client: MakeClient) -> None:
    chosen = make_client(OPERATE).get(f"{LIST}start/").context["task_type"]
    assert not chosen.supports_dry_run
    assert not any(field.required for field in chosen.params_serializer().fields.values())
