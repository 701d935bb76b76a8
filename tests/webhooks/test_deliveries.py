"""tasks_app/webhooks/deliveries.py: an ended task's webhook is sent once, retried, given up and recorded."""

import hashlib
import hmac
import json
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

import tests.support.export_types  # noqa: F401 (registers them)
from tasks_app.models import TaskEvent, WebhookDelivery
from tasks_app.webhooks import deliveries
from tests.api.conftest import Post
from tests.support.engine import Worker
from tests.support.stored_files import folder, upload
from tests.webhooks.receivers import SECRET, Receiver

__all__ = ["folder"]


def deliver() -> None:
    call_command("webhooks", "--once")


def history(client: Client, task_id: str) -> list[tuple[int, str | None]]:
    events = client.get(f"/tasks/{task_id}/events").json()["events"]
    return [(event["attempt"], event["error"]) for event in events if event["cause"] == "webhook"]


@pytest.mark.django_db(transaction=True)
def test_the_end_is_sent_once_and_signed(client: Client, start: Any, receiver: Receiver, mirror: Any) -> None:
    task_id = start(receiver.url)
    deliver()
    deliver()
    ((headers, body),) = receiver.got
    assert json.loads(body) == client.get(f"/tasks/{task_id}").json()
    assert json.loads(body)["status"] == "canceled"
    assert (headers["path"], headers["Content-Type"]) == ("/hook?a=1", "application/json")
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    signed = headers["Longtasks-Timestamp"].encode() + b"." + body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["Longtasks-Signature"] == f"v1={expected}"
    assert abs(time.time() - int(headers["Longtasks-Timestamp"])) < 10
    assert headers["Longtasks-Delivery"].startswith(task_id)
    assert history(client, task_id) == [(1, None)]
    assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_receiver_gets_result_and_artifacts(
    folder: Path, client: Client, post: Post, receiver: Receiver, mirror: Any
) -> None:
    file_id = str(upload(b"a\nb", owner="").row.pk)
    started = post("/tasks", {"name": "count_lines", "params": {"file": file_id}, "callbackUrl": receiver.url})
    Worker().run()
    mirror()
    deliver()
    ((_, body),) = receiver.got
    task = json.loads(body)
    assert task["result"] == {"lines": 2}
    assert task == client.get(f"/tasks/{started.json()['id']}").json()
    answer = client.get(task["artifacts"][0]["url"])
    assert b"".join(answer.streaming_content) == b"b\na"  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
def test_a_failed_delivery_is_retried(client: Client, start: Any, receiver: Receiver) -> None:
    receiver.answers = [500, 404]
    task_id = start(receiver.url)
    for _ in range(4):
        deliver()
    assert len(receiver.got) == 3
    assert len({headers["Longtasks-Delivery"] for headers, _ in receiver.got}) == 1
    assert history(client, task_id) == [(1, "answered 500"), (2, "answered 404"), (3, None)]


@pytest.mark.django_db(transaction=True)
def test_a_delivery_is_given_up_after_its_last_attempt(client: Client, start: Any, receiver: Receiver) -> None:
    receiver.answers = [500] * 9
    task_id = start(receiver.url)
    for _ in range(5):
        deliver()
    assert history(client, task_id)[-1] == (3, "answered 500; given up")
    assert len(receiver.got) == 3
    assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_redirect_is_not_followed(client: Client, start: Any, receiver: Receiver) -> None:
    receiver.answers, receiver.location = [302], f"http://127.0.0.1:{receiver.port}/other"
    task_id = start(receiver.url)
    deliver()
    assert len(receiver.got) == 1
    assert history(client, task_id) == [(1, "answered 302")]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_answers_byte_by_byte_times_out(client: Client, start: Any, settings: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_timeout_seconds=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 200 OK\r\n")
                for _ in range(200):
                    try:
                        sock.sendall(b"X")
                    except OSError:
                        return
                    threading.Event().wait(0.1)

        thread = threading.Thread(target=drip)
        thread.start()
        task_id = start(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        began = time.monotonic()
        deliver()
        assert time.monotonic() - began < 5
        assert history(client, task_id) == [(1, "no answer after 1 s")]
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_a_delivery_of_a_dead_sender_is_sent_later(start: Any, receiver: Receiver, settings: Any) -> None:
    start(receiver.url)
    (delivery,) = deliveries.claim_due(limit=5)
    assert deliveries.claim_due(limit=5) == []  # it may still be in progress
    WebhookDelivery.objects.update(due_at=delivery.due_at)
    deliver()
    assert len(receiver.got) == 1


@pytest.mark.django_db(transaction=True)
def test_a_private_address_is_refused_at_delivery(
    client: Client, start: Any, receiver: Receiver, settings: Any
) -> None:
    task_id = start(receiver.url)
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_allow_private=False, webhook_ports=(receiver.port,))
    deliver()
    assert receiver.got == []
    ((attempt, error),) = history(client, task_id)
    assert (attempt, error) == (1, "127.0.0.1 resolves to 127.0.0.1, which is not a public address; given up")


@pytest.mark.django_db
def test_a_task_without_callback_creates_no_delivery(post: Post, mirror: Any) -> None:
    task_id = post("/tasks", {"name": "upload"}).json()["id"]
    post(f"/tasks/{task_id}/cancel")
    mirror()
    assert not WebhookDelivery.objects.exists()
    assert TaskEvent.objects.filter(task_id=task_id).count() == 2
