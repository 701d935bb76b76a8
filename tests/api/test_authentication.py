"""Tokens, scopes and owners: every route and method refuses callers without a valid token, and reveals nothing to them."""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from tasks_app.api.urls import urlpatterns
from tasks_app.auth import api_tokens, token_cache
from tasks_app.models import ApiToken
from tasks_app.resilience import rate_limit
from tests.api.conftest import assert_problem, start_upload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
LINKS = "downloads/<str:link>"  # signed, and so without a token
OPEN_ROUTES = {"health/live", "health/ready", "schema", "docs", "", LINKS}
UNKNOWN = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"
WRONG = token_cache.PREFIX + "A" * 43


def call(client: Client, method: str, path: str, headers: dict[str, str] | None = None) -> Any:
    return client.generic(method, path, b"{}", content_type="application/json", headers=headers)


def routes(task_id: str) -> list[tuple[str, str]]:
    addresses = [str(pattern.pattern) for pattern in urlpatterns if str(pattern.pattern) not in OPEN_ROUTES]
    assert len(addresses) >= 10
    return [
        (method, "/" + address.replace("<str:id>", task_id).replace("<str:name>", "low"))
        for address in addresses
        for method in METHODS
    ]


def shown(response: Any) -> tuple[int, bytes, dict[str, str]]:
    """Return all that a client sees, except the request's own id and date."""
    headers = {name: value for name, value in response.items() if name not in ("X-Request-ID", "Date")}
    return response.status_code, response.content, headers


def test_anonymous_and_wrong_tokens_get_401_everywhere(client_of: Any) -> None:
    task_id = start_upload(client_of("ann"))
    _, revoked = api_tokens.create_token(owner="ann", scope="admin")
    api_tokens.revoke_token(token_id=ApiToken.objects.latest("pk").pk)
    _, expired = api_tokens.create_token(owner="ann", scope="admin", lifetime=timedelta(seconds=-1))
    token_cache.known.forget()
    headers = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {WRONG}"},
        {"Authorization": f"Bearer {revoked}"},
        {"Authorization": f"Bearer {expired}"},
        {"Authorization": f"Basic {WRONG}"},
        {"Authorization": "Bearer \udcff\x00"},
        {"Authorization": f"Bearer {ApiToken.objects.first().digest}"},
    ]
    stranger = Client()
    for method, path in routes(task_id):
        seen = set()
        for sent in headers:
            response = call(stranger, method, path, sent)
            status, content, answered = shown(response)
            assert status == 401, (method, path, sent)
            assert answered["WWW-Authenticate"].startswith("Bearer")
            seen.add(content)
        assert len(seen) == 1, (method, path)
    ann = client_of("ann").get(f"/tasks/{task_id}").json()
    assert ann["status"] == "queued"


def test_another_owner_gets_the_answer_for_an_unknown_task(client_of: Any, mirror: Any) -> None:
    task_id = start_upload(client_of("ann"))
    bob = client_of("bob")
    for _ in ("before the mirror", "after it"):
        for method, path in routes(task_id):
            if task_id not in path or method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
                continue
            foreign = shown(call(bob, method, path))
            unknown = shown(call(bob, method, path.replace(task_id, UNKNOWN)))
            assert foreign[0] in (404, 405), (method, path)
            assert foreign[1].replace(task_id.encode(), UNKNOWN.encode()) == unknown[1], (method, path)
            assert {**foreign[2], "Content-Length": ""} == {**unknown[2], "Content-Length": ""}
        assert bob.get("/tasks").json() == {"tasks": [], "next": None, "searchedTo": None}
        mirror()
    assert [task["id"] for task in client_of("ann").get("/tasks").json()["tasks"]] == [task_id]
    assert [task["id"] for task in client_of("root", "admin").get("/tasks").json()["tasks"]] == [task_id]


def test_tokens_of_one_owner_see_the_same_tasks(client_of: Any) -> None:
    task_id = start_upload(client_of("ann"))
    assert client_of("ann", "read").get(f"/tasks/{task_id}").status_code == 200
    assert client_of("root", "admin").generic("POST", f"/tasks/{task_id}/cancel").status_code == 200


def test_the_history_names_the_actor(client_of: Any, mirror: Any) -> None:
    task_id = start_upload(client_of("ann"))
    client_of("root", "admin").generic("POST", f"/tasks/{task_id}/cancel")
    mirror()
    events = client_of("ann").get(f"/tasks/{task_id}/events").json()["events"]
    assert [event["actor"] for event in events] == ["ann", "root"]


def test_the_same_key_of_two_owners_is_two_keys(client_of: Any) -> None:
    key = {"Idempotency-Key": "k"}
    body = {"name": "upload"}
    first = client_of("ann").post("/tasks", body, content_type="application/json", headers=key)
    second = client_of("bob").post("/tasks", body, content_type="application/json", headers=key)
    assert first.json()["id"] != second.json()["id"]
    assert "Idempotency-Replayed" not in second


def test_each_scope_allows_its_methods_only(client_of: Any) -> None:
    reader, writer, administrator = client_of("ann", "read"), client_of("ann", "write"), client_of("ann", "admin")
    assert_problem(call(reader, "POST", "/tasks"), 403)
    assert_problem(call(reader, "POST", "/tasks/bulk"), 403)
    assert_problem(call(reader, "POST", f"/tasks/{UNKNOWN}/cancel"), 403)
    for client in (reader, writer):
        for action in ("pause", "resume"):
            assert "scope admin" in assert_problem(call(client, "POST", f"/queues/low/{action}"), 403)["detail"]
        assert client.get("/queues").status_code == 200
    assert call(administrator, "POST", "/queues/low/pause").json()["pausedBy"] == "ann"
    assert call(administrator, "POST", "/queues/low/resume").status_code == 200


def test_health_schema_and_docs_need_no_token(settings: Any) -> None:
    for path in ("/health/live", "/health/ready", "/schema", "/docs"):
        assert Client().get(path).status_code == 200, path
    settings.LONGTASKS = replace(settings.LONGTASKS, metrics_open=True)
    assert Client().get("/metrics").status_code == 200


def test_metrics_require_an_admin_token(client_of: Any) -> None:
    assert client_of("prometheus", "admin").get("/metrics").status_code == 200
    for scope in ("read", "write"):
        assert "scope admin" in assert_problem(client_of("ann", scope).get("/metrics"), 403)["detail"]


def test_only_administrators_see_who_paused_a_queue(client_of: Any) -> None:
    administrator = client_of("root", "admin")
    call(administrator, "POST", "/queues/low/pause")
    shown = {scope: client_of("ann", scope).get("/queues").json()["queues"][1] for scope in ("read", "admin")}
    assert shown["admin"]["pausedBy"] == "root"
    assert shown["read"]["pausedBy"] == ""
    assert shown["read"] == {**shown["admin"], "pausedBy": ""}


def test_an_open_api_still_refuses_wrong_tokens(settings: Any, client_of: Any) -> None:
    settings.API_OPEN = True
    assert Client().get("/queues").status_code == 200
    assert_problem(Client(headers={"Authorization": f"Bearer {WRONG}"}).get("/queues"), 401)
    assert client_of("bob").get("/tasks").status_code == 200


def test_nothing_of_the_secret_is_stored(client_of: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    _, secret = api_tokens.create_token(owner="ann", scope="read")
    token_cache.known.forget()
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    for method, path in routes(UNKNOWN):
        call(client, method, path)
    call(Client(headers={"Authorization": f"Bearer {WRONG}"}), "GET", "/tasks")
    row = str(ApiToken.objects.values().get())
    for text in (row, caplog.text):
        assert secret[api_tokens.SHOWN_CHARACTERS :] not in text
        assert WRONG not in text


def test_a_token_over_its_rate_gets_429(client_of: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_minute=30)
    now = time.time()
    monkeypatch.setattr(rate_limit.time, "time", lambda: now)
    client, other = client_of("ann"), client_of("bob")
    assert [client.get("/queues").status_code for _ in range(31)] == [200] * 30 + [429]
    response = client.post("/tasks", {"name": "upload"}, content_type="application/json")
    assert_problem(response, 429)
    assert response["Retry-After"] == "2"
    assert other.get("/queues").status_code == 200
    assert Client().get("/health/live").status_code == 200
    monkeypatch.setattr(rate_limit.time, "time", lambda: now + 2.01)
    assert [client.get("/queues").status_code for _ in range(2)] == [200, 429]
