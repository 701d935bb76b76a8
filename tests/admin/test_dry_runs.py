"""Dry runs in the admin: the check box of the start form, the first changes of a task, and the mark in the list."""

import pytest

import tests.support.dry_types  # noqa: F401 (registers them)
from tasks_app.queues import job_snapshots
from tasks_app.services import start_tasks
from tests.admin.conftest import OPERATE, VIEW, MakeClient
from tests.admin.pages import LIST, get, page
from tests.support.engine import Worker, record

pytestmark = pytest.mark.django_db(transaction=True)
PARAMS = {"records": 30, "every": 0, "rest": 0, "bad": [], "only": [], "how": "value"}


def run(*, dry_run: bool = True) -> str:
    task = start_tasks.NewTask(name="failing_dry", params=PARAMS, dry_run=dry_run)
    task_id = start_tasks.start_task(task=task).snapshot.id
    Worker().run()
    record(task_id)
    return task_id


def test_the_form_offers_a_dry_run_for_the_types_that_have_one(make_client: MakeClient) -> None:
    client = make_client(OPERATE)
    assert 'name="dry_run"' in get(client, f"{LIST}start/?type=failing_dry")
    assert 'name="dry_run"' not in get(client, f"{LIST}start/?type=upload")
    data = {"type": "failing_dry", "priority": "low", "dry_run": "on", "params-how": "value"}
    address = client.post(f"{LIST}start/", data).headers["Location"]
    task = job_snapshots.get_snapshot(address.split("/")[-2])
    assert task is not None
    assert task.dry_run
    field = get(client, f"{LIST}start/?type=failing_dry&from={task.id}").split('name="dry_run"')[1].split(">")[0]
    assert "checked" in field


def test_the_page_shows_the_first_changes(make_client: MakeClient) -> None:
    client, task_id = make_client(VIEW), run()
    shown = get(client, page(task_id))
    assert "First changes" in shown
    assert "catalog.User 19" in shown
    assert "catalog.User 20" not in shown
    assert "dry run" in shown
    assert "dry run" in get(client, LIST)
    assert "First changes" not in get(client, page(run(dry_run=False)))


def test_the_same_task_again_is_a_dry_run_again(make_client: MakeClient) -> None:
    address = make_client(OPERATE).post(page(run(), "again")).headers["Location"]
    task = job_snapshots.get_snapshot(address.split("/")[-2])
    assert task is not None
    assert task.dry_run
