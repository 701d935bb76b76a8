"""The page of a task's failed records: the list, the download, the button, and what may be in the values."""

import pytest

from tasks_app.models import AuditEntry
from tasks_app.queues import job_snapshots
from tasks_app.services import start_tasks
from tasks_app.task_types.failure_lists import RETRIED
from tests.admin.conftest import OPERATE, VIEW, MakeClient
from tests.admin.pages import LIST, get, page
from tests.support.engine import Worker, record
from tests.support.failing_tasks import begin

pytestmark = pytest.mark.django_db(transaction=True)
NOBODY = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


def run(name: str = "failing", **params: object) -> str:
    task_id = begin(name, **{"bad": [3], **params})
    Worker().run()
    record(task_id)
    return task_id


def test_the_task_links_to_its_failed_records(make_client: MakeClient) -> None:
    client, task_id = make_client(VIEW), run()
    assert page(task_id, "failures") in get(client, page(task_id))
    shown = get(client, page(task_id, "failures"))
    assert "record 3 is bad" in shown
    assert "=+3" in shown
    assert page(task_id, "failures/retry") not in shown


def test_pages_are_linked(make_client: MakeClient) -> None:
    client, task_id = make_client(VIEW), run(records=60, bad=list(range(60)))
    shown = get(client, page(task_id, "failures"))
    assert "record 49 is bad" in shown
    assert "record 50 is bad" not in shown
    query = shown.split('rel="next" href="')[1].split('"')[0]
    assert "record 50 is bad" in get(client, page(task_id, "failures") + query)
    assert client.get(page(task_id, "failures") + "?cursor=x").status_code == 302


def test_odd_values_are_shown_short_and_safe(make_client: MakeClient) -> None:
    shown = get(make_client(VIEW), page(run("failing_oddly"), "failures"))
    assert r"a\x00b" in shown
    assert "\N{GRINNING FACE}" in shown
    assert len(shown) < 200_000
    assert "\x00" not in shown


def test_the_download_is_for_spreadsheets(make_client: MakeClient) -> None:
    answer = make_client(VIEW).get(page(run(), "failures/csv"))
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert content.startswith("\ufeff".encode())
    assert b"'=+3" in content


def test_the_button_starts_a_task_and_is_audited(make_client: MakeClient) -> None:
    client, task_id = make_client(OPERATE), run()
    assert page(task_id, "failures/retry") in get(client, page(task_id, "failures"))

    address = client.post(page(task_id, "failures/retry")).headers["Location"]

    task = job_snapshots.get_snapshot(address.split("/")[-2])
    assert task is not None
    assert task.params["only"] == [3]
    assert {entry.action for entry in AuditEntry.objects.filter(actor="olga")} == {"retry", "start"}


def test_a_task_of_failed_records_is_not_started_again(make_client: MakeClient) -> None:
    client = make_client(OPERATE)
    params = {"records": 3, RETRIED: {"task": NOBODY, "after": 0, "upTo": 9}}
    task_id = start_tasks.start_task(task=start_tasks.NewTask(name="failing", params=params)).snapshot.id
    answer = client.post(page(task_id, "again"), follow=True)
    assert "This task ran the failed records of another one" in answer.content.decode()
    assert not AuditEntry.objects.filter(action="start", actor="olga").exists()


def test_a_refused_retry_shows_the_reason(make_client: MakeClient) -> None:
    client, task_id = make_client(OPERATE), run("failing_once")
    answer = client.post(page(task_id, "failures/retry"), follow=True)
    assert "cannot be limited to some of their records" in answer.content.decode()


def test_unknown_tasks_and_other_callers(make_client: MakeClient) -> None:
    client = make_client(VIEW)
    for action in ("failures", "failures/csv"):
        assert client.get(page(NOBODY, action)).status_code == 404
    assert client.post(page(NOBODY, "failures/retry")).status_code == 403


def test_the_start_form_has_the_bound_only_for_types_that_isolate(make_client: MakeClient) -> None:
    client = make_client(OPERATE)
    assert 'name="max_failures"' not in get(client, f"{LIST}start/?type=upload")
    assert 'name="max_failures"' in get(client, f"{LIST}start/?type=failing")


@pytest.mark.parametrize(("given", "kept"), [("0.5%", "0.5%"), ("17", "17"), ("", ""), ("0", "")])
def test_the_start_form_keeps_the_bound(make_client: MakeClient, given: str, kept: str) -> None:
    data = {"type": "failing", "priority": "low", "max_failures": given, "params-bad": "[]", "params-only": "[]"}
    client = make_client(OPERATE)
    answer = client.post(f"{LIST}start/", data)
    assert answer.status_code == 302, answer.context["form"].errors
    task = job_snapshots.get_snapshot(answer.headers["Location"].split("/")[-2])
    assert task is not None
    assert task.max_failures == kept
    similar = get(client, f"{LIST}start/?type=failing&from={task.id}")
    assert f'name="max_failures" value="{kept or 0}"' in similar


@pytest.mark.parametrize("given", ["x", "-1", "0%", "1000001"])
def test_the_start_form_refuses_another_bound(make_client: MakeClient, given: str) -> None:
    data = {"type": "failing", "priority": "low", "max_failures": given, "params-bad": "[]", "params-only": "[]"}
    answer = make_client(OPERATE).post(f"{LIST}start/", data)
    assert "Give a number from 0 to 1,000,000" in str(answer.context["form"].errors["max_failures"])
