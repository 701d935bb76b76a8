"""django-rq's own pages keep working beside the dashboard: with our workers, and with tasks in every state."""

import re
import time
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings
from django_rq import get_queue, get_worker
from rq.exceptions import DeserializationError
from rq.worker import Worker

from tasks_app.models import AuditEntry
from tasks_app.queues import job_snapshots, queue_names, redis_connection
from tasks_app.services import change_tasks
from tasks_app.task_types import get_task_type
from tests.admin.conftest import ADMINISTER, OPERATE, VIEW, MakeClient, run_mirror, start, take

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/admin/django_rq/dashboard/"


@pytest.fixture
def worker() -> Any:
    """A worker that has sent its heartbeat, as ours do each second."""
    made = get_worker("high", "low", name="host-1a2b3c4d")
    made.register_birth()
    made._heartbeat.send()
    return made


@pytest.fixture
def busy_worker(worker: Any) -> Any:
    """The same worker while it runs a job of another function."""
    job = get_queue("low").enqueue("time.sleep", 1)
    worker.prepare_execution(job)
    return worker


@pytest.fixture
def admin(make_client: MakeClient) -> Client:
    return make_client(VIEW, OPERATE, ADMINISTER)


def crawl(client: Client) -> tuple[set[str], list[tuple[str, int]]]:
    """Follow every link below BASE; return the addresses seen, and those answered with an error."""
    client.raise_request_exception = False
    seen: set[str] = set()
    wrong = []
    todo = [BASE]
    while todo:
        address = todo.pop()
        if address in seen:
            continue
        seen.add(address)
        answer = client.get(address)
        if answer.status_code >= 400:
            wrong.append((address, answer.status_code))
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            links = re.findall(r"""href\s*=\s*['"]([^'"#?]+)""", answer.content.decode())
            todo += [link for link in links if link.startswith(BASE)]
    return seen, wrong


def test_every_page_answers(admin: Client, busy_worker: Any) -> None:
    running, ended = start(), start()
    change_tasks.cancel_task(task_id=ended, actor="x")
    take(worker=busy_worker.name)
    waiting = start()

    seen, wrong = crawl(admin)

    assert not wrong
    assert f"{BASE}workers/1/{busy_worker.key}/" in seen
    assert len(seen) > 25
    for task_id in (running, ended, waiting):
        assert admin.get(f"{BASE}queues/1/{task_id}/").status_code == 200


def test_the_workers_page_shows_what_it_runs(admin: Client, busy_worker: Any) -> None:
    shown = admin.get(f"{BASE}workers/1/{busy_worker.key}/").content.decode()
    assert busy_worker.name in shown
    assert "time.sleep" in shown


def test_the_library_still_reads_a_workers_job_with_pickle(busy_worker: Any) -> None:
    # If this fails, ShownWorker in tasks_app/admin/django_rq_pages.py can be removed.
    plain = Worker.find_by_key(busy_worker.key, connection=busy_worker.connection)
    assert plain is not None
    job = plain.get_current_job()
    assert job is not None
    with pytest.raises(DeserializationError):
        _ = job.func_name


def test_rq_lists_our_worker_class(worker: Any) -> None:
    assert [found.name for found in type(worker).all(connection=worker.connection)] == [worker.name]


def test_a_deleted_job_is_404(admin: Client) -> None:
    for address in ("workers/1/rq:worker:gone/", "workers/1/nonsense/", "queues/7/", "queues/1/nonsense/"):
        assert admin.get(BASE + address).status_code == 404, address


def test_requeue_retries_the_task(admin: Client) -> None:
    task_id = start()
    change_tasks.cancel_task(task_id=task_id, actor="x")
    admin.post(f"{BASE}queues/1/{task_id}/requeue/", {"requeue": "1"})
    run_mirror()
    snapshot = job_snapshots.get_snapshot(task_id)
    assert snapshot is not None
    assert (snapshot.status, snapshot.cause) == ("queued", "retry")
    answer = admin.post(f"{BASE}queues/1/{task_id}/requeue/", {"requeue": "1"}, follow=True)
    assert "can be retried" in answer.content.decode()


def test_requeue_all_continues_after_a_task_that_cannot_be_requeued(admin: Client) -> None:
    waiting, canceled = start(), start()
    change_tasks.cancel_task(task_id=canceled, actor="x")
    run_mirror()
    redis_connection.get_connection().zadd("rq:failed:low", {waiting: time.time() + 60, canceled: time.time() + 61})
    answer = admin.post(f"{BASE}queues/1/requeue-all/", {"requeue": "1"}, follow=True)
    assert "requeued 1 jobs" in answer.content.decode()
    snapshot = job_snapshots.get_snapshot(canceled)
    assert snapshot is not None
    assert (snapshot.status, snapshot.cause) == ("queued", "retry")


def test_delete_cancels_the_task_first(admin: Client) -> None:
    task_id = start()
    admin.post(f"{BASE}queues/1/{task_id}/delete/", {"delete": "1"})
    assert AuditEntry.objects.get().action == "cancel"
    assert get_queue("low").count == 0


def test_emptying_a_queue_cancels_its_tasks(admin: Client) -> None:
    task_ids = [start() for _ in range(2)]
    assert take(worker="old", types=[]) == []  # it parks them
    task_ids.append(start())
    answer = admin.post(f"{BASE}queues/1/empty/", follow=True)
    assert "3 waiting tasks canceled." in answer.content.decode()
    run_mirror()
    assert AuditEntry.objects.filter(action="cancel", actor="olga").count() == len(task_ids)


def test_only_administrators_may_open_the_pages(make_client: MakeClient) -> None:
    client = make_client(VIEW, OPERATE)
    task_id = start()
    for address in ("", "stats.json/", "queues/1/", f"queues/1/{task_id}/", "workers/1/"):
        assert client.get(BASE + address).status_code == 403, address
    assert client.post(f"{BASE}queues/1/empty/").status_code == 403
    assert get_queue("low").count == 1


def test_the_serializer_is_json() -> None:
    assert settings.RQ_QUEUES["low"]["SERIALIZER"] == "rq.serializers.JSONSerializer"


@pytest.mark.parametrize("path", ["", "queues/0/", "queues/0/finished/", "workers/0/"])
def test_rq_pages_are_503_while_redis_is_unavailable(admin: Client, path: str) -> None:
    queues = {name: {**each, "URL": "redis://127.0.0.1:1/0"} for name, each in settings.RQ_QUEUES.items()}
    admin.raise_request_exception = False
    with override_settings(RQ_QUEUES=queues):
        answer = admin.get(f"{BASE}{path}")
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) >= 1


@pytest.mark.parametrize("path", ["/admin/", "/admin/tasks_app/taskrecord/"])
def test_own_pages_stay_available_without_redis(admin: Client, path: str) -> None:
    queues = {name: {**each, "URL": "redis://127.0.0.1:1/0"} for name, each in settings.RQ_QUEUES.items()}
    with override_settings(RQ_QUEUES=queues):
        assert admin.get(path).status_code == 200


def test_the_page_of_a_task_whose_queue_was_removed_has_no_link_to_rqs_page(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_names, "QUEUES", ("high", "imports", "low"))
    monkeypatch.setattr(get_task_type("upload").__class__, "queue", "imports")
    task_id = start()
    client = make_client(VIEW)
    address = f"/admin/tasks_app/taskrecord/{task_id}/"
    monkeypatch.setattr(queue_names, "QUEUES", ("high", "low"))
    answer = client.get(address)
    assert answer.status_code == 200
    assert "imports" in answer.content.decode()
    assert answer.context["rq_address"] == ""
