"""POST /stream-tickets: a ticket opens one stream of its token's owner."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from rest_framework.exceptions import PermissionDenied

from tasks_app.api.authentication import Unauthorized
from tasks_app.auth import api_tokens, stream_tickets, token_cache
from tests.api.conftest import assert_problem, wrong_fields
from tests.api.stream.tickets import ask, make_token, redeem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]
UNKNOWN = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


def test_a_ticket_opens_one_stream_of_the_tokens_owner(redis: Any) -> None:
    token_id, ann = make_token("ann")
    response = ask(ann)
    assert response.status_code == 201, response.content
    assert response["Cache-Control"] == "no-store"
    ticket = response.json()["ticket"]
    rest = datetime.fromisoformat(response.json()["expiresAt"]) - datetime.now(UTC)
    assert timedelta(seconds=20) < rest <= timedelta(seconds=30)
    (key,) = redis.keys("longtasks:ticket:*")
    assert 0 < redis.ttl(key) <= 30
    assert ticket.encode() not in key + redis.get(key)
    viewer = redeem(ticket)
    assert (viewer.sees_owner, viewer.key, viewer.task_id) == ("ann", f"token {token_id}", "")
    assert viewer.may_still()
    with pytest.raises(Unauthorized, match="used"):
        redeem(ticket)
    _, admin = make_token("root", "admin")
    assert redeem(ask(admin).json()["ticket"]).sees_owner is None


def test_a_ticket_requires_a_token() -> None:
    assert_problem(ask(Client()), 401)
    for ticket in ("", "x", "ltt_", "ltt_" + "A" * 43, "é"):
        with pytest.raises(Unauthorized):
            redeem(ticket)


def test_a_ticket_ends_with_its_token() -> None:
    token_id, ann = make_token("ann")
    viewer = redeem(ask(ann).json()["ticket"])
    late = ask(ann).json()["ticket"]
    api_tokens.revoke_token(token_id=token_id)
    token_cache.known.forget()
    assert not viewer.may_still()
    with pytest.raises(Unauthorized):
        redeem(late)


def test_a_ticket_of_an_open_api_is_invalid_once_it_requires_tokens(settings: Any) -> None:
    settings.API_OPEN = True
    ticket = ask(Client()).json()["ticket"]
    settings.API_OPEN = False
    with pytest.raises(Unauthorized):
        redeem(ticket)


def test_a_ticket_for_one_task_opens_no_other() -> None:
    _, ann = make_token("ann", "write")
    _, bob = make_token("bob", "write")
    task_id = ann.post("/tasks", {"name": "upload"}, content_type="application/json").json()["id"]
    for client, asked in ((bob, task_id), (ann, UNKNOWN)):
        assert assert_problem(ask(client, {"taskId": asked}), 404)["type"].endswith("unknown-task")
    assert wrong_fields(assert_problem(ask(ann, {"taskId": "x"}), 400)) == {"taskId"}
    assert wrong_fields(assert_problem(ask(ann, {"taskID": task_id}), 400)) == {"taskID"}
    viewer = redeem(ask(ann, {"taskId": task_id}).json()["ticket"])
    viewer.check_task(task_id)
    for other in ("", UNKNOWN):
        with pytest.raises(PermissionDenied):
            viewer.check_task(other)


def test_tickets_of_a_token_are_limited(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_tickets, "TICKETS", 3)
    _, ann = make_token("ann")
    _, bob = make_token("bob")
    assert [ask(ann).status_code for _ in range(5)] == [201, 201, 201, 429, 429]
    assert 1 <= int(ask(ann)["Retry-After"]) <= 30
    assert ask(bob).status_code == 201
    assert len(redis.keys("longtasks:ticket:*")) == 4
    assert all(0 < redis.ttl(key) <= 30 for key in redis.keys("longtasks:ticket*"))
