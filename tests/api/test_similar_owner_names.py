"""Owners whose names only a collation would treat as equal are different owners, at every endpoint and page."""

import asyncio
import io
import json
import unicodedata
from collections.abc import Callable, Generator, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client

from tasks_app.api.stream import asgi_app, subscription
from tasks_app.auth import api_tokens, audit_log, token_cache
from tasks_app.models import ApiToken, AuditEntry, QueueState, SetAsideItem, TaskRecord
from tests.api.conftest import assert_problem

pytestmark = pytest.mark.django_db(transaction=True)
ANA = "ana"
# Names that the usual collations of MariaDB and MySQL treat as equal to ana, each in another way.
OTHERS = {
    "upper-case": "Ana",
    "accent": "Aná",
    "accent-apart": unicodedata.normalize("NFD", "aná"),
    "accent-composed": unicodedata.normalize("NFC", "aná"),
    "space-behind": "ana ",
    "space-before": " ana",
    "full-width": "ａｎａ",
    "soft-hyphen": "a\u00adna",
    "joiner": "a\u200dna",
    "backspace": "ana\x08",
}
LIST, AUDIT, TOKENS = (f"/admin/tasks_app/{name}/" for name in ("taskrecord", "auditentry", "apitoken"))


def make_token(owner: str, *, scope: str = "write", note: str = "") -> str:
    """Create a token whose owner's name is unchecked, as an older version did; returns its secret."""
    secret = f"{token_cache.PREFIX}{owner.encode().hex()}{scope}{note}"
    ApiToken.objects.create(
        owner=owner,
        scope=scope,
        note=note,
        digest=token_cache.digest_of(secret),
        prefix=secret[:10],
        created_at=datetime.now(UTC),
    )
    token_cache.known.forget()
    return secret


@dataclass
class Somebody:
    """An owner with a client, a task and a bulk of one."""

    owner: str

    def __post_init__(self) -> None:
        self.header = {"Authorization": f"Bearer {make_token(self.owner)}"}
        self.client = Client(headers=self.header)
        self.task_id = self.start("/tasks", {"name": "upload"})["id"]
        self.bulk_id = self.start("/tasks/bulk", {"tasks": [{"name": "upload"}]})["tasks"][0]["id"]

    def start(self, path: str, body: Any) -> Any:
        answer = self.client.post(path, body, content_type="application/json", headers={"Idempotency-Key": path})
        assert answer.status_code == 201, answer.content
        assert "Idempotency-Replayed" not in answer.headers
        return answer.json()

    def ask(self, method: str, path: str) -> Any:
        return self.client.generic(method, path, b"{}", content_type="application/json")

    def list(self, **query: Any) -> Any:
        answer = self.client.get(f"/tasks?{urlencode(query)}")
        assert answer.status_code == 200, answer.content
        return answer.json()

    @property
    def ids(self) -> set[str]:
        return {self.task_id, self.bulk_id}


@pytest.fixture(autouse=True)
def _closed(settings: Any) -> Generator[None, None, None]:
    settings.API_OPEN = False
    yield
    token_cache.known.forget()


@pytest.fixture
def administrator() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture(params=OTHERS.values(), ids=OTHERS.keys())
def both(request: pytest.FixtureRequest, mirror: Callable[[], None]) -> tuple[Somebody, Somebody]:
    """ana, and an owner whose name a collation could treat as equal."""
    people = Somebody(ANA), Somebody(request.param)
    mirror()
    return people


def ids_in(response: Any, people: tuple[Somebody, Somebody]) -> set[str]:
    """Return the ids of the two owners' tasks that a page contains."""
    assert response.status_code == 200
    page = response.content.decode()
    return {task_id for one in people for task_id in one.ids if task_id in page}


def test_no_endpoint_or_page_confuses_the_two_owners(
    both: tuple[Somebody, Somebody], administrator: Client, monkeypatch: pytest.MonkeyPatch, mirror: Callable[[], None]
) -> None:
    monkeypatch.setattr(subscription, "HEARTBEAT_SECONDS", 0.02)
    for one, other in (both, both[::-1]):
        # Lists, with each filter, and by pages.
        for query in ({}, {"status": "queued"}, {"name": "upload"}, {"priority": "low"}):
            assert {task["id"] for task in one.list(**query)["tasks"]} == one.ids, query
        seen, path = [], "/tasks?limit=1"
        while path:
            page = one.client.get(path).json()
            seen += [task["id"] for task in page["tasks"]]
            path = page["next"]
        assert sorted(seen) == sorted(one.ids)
        # One task, and its changes.
        for method, rest in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")):
            assert_problem(one.ask(method, f"/tasks/{other.task_id}{rest}"), 404)
            assert one.ask(method, f"/tasks/{one.bulk_id}{rest}").status_code in (200, 202)
        # The same idempotency key is different for each owner, and replays its own task.
        body, key = {"name": "upload"}, {"Idempotency-Key": "/tasks"}
        replayed = one.client.post("/tasks", body, content_type="application/json", headers=key)
        assert (replayed.json()["id"], replayed["Idempotency-Replayed"]) == (one.task_id, "true")
        # The streams.
        status, _ = read_stream(f"/tasks/{other.task_id}/stream", one.header)
        assert status == 404
        status, body = read_stream("/stream", one.header | {"Last-Event-ID": "0"})
        assert status == 200
        assert {task_id for each in both for task_id in each.ids if task_id in body} == one.ids
        # The admin's list and audit, and the command line.
        assert ids_in(administrator.get(LIST, {"owner": one.owner}), both) == one.ids
        audited = audit_log.list_page(actor=one.owner).entries
        assert {str(entry.task_id) for entry in audited} == one.ids
        assert {entry.actor for entry in audited} == {one.owner}
        assert ids_in(administrator.get(AUDIT, {"actor": one.owner}), both) == one.ids
        listed = io.StringIO()
        call_command("token", "list", "--owner", one.owner, "--json", stdout=listed)
        assert [token["owner"] for token in json.loads(listed.getvalue())] == [one.owner]


def test_the_audit_keeps_the_two_owners_apart(mirror: Callable[[], None], administrator: Client) -> None:
    """Each owner's cancels are found by the actor of their audit entries."""
    people = [Somebody(owner) for owner in (ANA, *OTHERS.values())]
    mirror()
    for one in people:
        assert one.ask("POST", f"/tasks/{one.task_id}/cancel").status_code == 200
    for one in people:
        entries = audit_log.list_page(actor=one.owner, action="cancel").entries
        assert [str(entry.task_id) for entry in entries] == [one.task_id]
        shown = administrator.get(AUDIT, {"actor": one.owner, "action": "cancel"}).content.decode()
        assert [each.owner for each in people if each.task_id in shown] == [one.owner]


def test_revoking_a_token_does_not_affect_a_similar_owner() -> None:
    clients = {owner: Client(headers={"Authorization": f"Bearer {make_token(owner)}"}) for owner in (ANA, "Ana")}
    [token] = ApiToken.objects.filter(owner=ANA)
    call_command("token", "revoke", str(token.pk), stdout=io.StringIO())
    token_cache.known.forget()
    assert {owner: client.get("/tasks").status_code for owner, client in clients.items()} == {ANA: 401, "Ana": 200}


@pytest.mark.parametrize("name", ["UPLOAD", "Upload", "úpload", "upload ", " upload", "up\u00adload", "ｕｐｌｏａｄ"])
def test_a_task_type_is_found_by_its_exact_name_only(name: str, mirror: Callable[[], None]) -> None:
    one = Somebody(ANA)
    mirror()
    assert one.list(name=name)["tasks"] == []
    answer = one.client.post("/tasks", {"name": name}, content_type="application/json")
    assert_problem(answer, 400)


@pytest.mark.parametrize("name", ["LOW", "low ", "lów", "Low"])
def test_a_queue_is_found_by_its_exact_name_only(name: str) -> None:
    root = Client(headers={"Authorization": f"Bearer {make_token('root', scope='admin')}"})
    assert_problem(root.post(f"/queues/{name}/pause", {}, content_type="application/json"), 404)
    QueueState.objects.create(name="low")
    QueueState.objects.create(name=name)
    assert QueueState.objects.get(name=name).name == name


def test_idempotency_keys_that_a_collation_would_merge_are_different() -> None:
    now = datetime.now(UTC)
    for key in ("key", "KEY", "key ", "kéy"):
        SetAsideItem.objects.create(kind="total", key=key, reason="r", first_at=now, last_at=now)
    for key in ("key", "KEY", "key ", "kéy"):
        assert [item.key for item in SetAsideItem.objects.filter(kind="total", key__in=[key])] == [key]
    digest = "ab" * 32
    ApiToken.objects.create(owner="o", scope="read", digest=digest, prefix="lt_x", created_at=now)
    ApiToken.objects.create(owner="o", scope="read", digest=digest.upper(), prefix="LT_X", created_at=now)
    assert ApiToken.objects.filter(digest=digest.upper()).count() == ApiToken.objects.filter(prefix="LT_X").count() == 1


def test_names_are_ordered_by_their_bytes() -> None:
    names = ["low", "Low", "lów", "low ", "LOW"]
    QueueState.objects.bulk_create([QueueState(name=name) for name in names])
    ordered = list(QueueState.objects.order_by("name").values_list("name", flat=True))
    assert ordered == sorted(names, key=str.encode)


def test_a_search_ignores_case(administrator: Client) -> None:
    """A search may also find names that are written differently, on every database."""
    make_token("Ana")
    make_token("bob", note="of ANA")
    shown = administrator.get(TOKENS, {"q": "ana"}).content.decode()
    assert ">Ana<" in shown
    assert ">bob<" in shown
    assert TaskRecord.objects.filter(owner__icontains="100%").count() == 0
    assert AuditEntry.objects.filter(actor__icontains="_").count() == 0


def read_stream(path: str, headers: dict[str, str]) -> tuple[int, str]:
    """Return what a stream sends until its replay is complete."""

    async def read() -> tuple[int, str]:
        application = asgi_app.StreamApplication()
        told, sent = asyncio.Event(), []

        async def receive() -> MutableMapping[str, Any]:
            await told.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)
            if message.get("body", b"").startswith(b": still here"):
                told.set()

        raw = {"Host": "testserver", **headers}
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in raw.items()],
        }
        try:
            await asyncio.wait_for(application(scope, receive, send), 30)
        finally:
            if application._feed is not None:
                for _ in range(4):  # each thread of the pool has a connection
                    await application._feed.in_thread(connections.close_all)
                application._feed._pool.shutdown()
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()

    return asyncio.run(read())


REFUSED = {
    **{
        label: owner
        for label, owner in OTHERS.items()
        if label not in ("upper-case", "accent-composed", "accent", "full-width")
    },
    "empty": "",
    "long": "a" * 65,
    "no-break-space": "a\u00a0b",
    "line-separator": "a\u2028b",
    "reordering": "a\u202eb",
    "tag": "a\U000e0041",
    "filler": "a\u3164",
    "variant": "a\ufe0f",
    "tab": "a\tb",
}


@pytest.mark.parametrize("owner", REFUSED.values(), ids=REFUSED.keys())
def test_a_name_that_resembles_another_gets_no_token(owner: str, administrator: Client) -> None:
    with pytest.raises(CommandError, match="No token was created: owner"):
        call_command("token", "create", owner, stdout=io.StringIO())
    form = {"owner": owner, "scope": "write", "note": "", "expires_at_0": "", "expires_at_1": ""}
    assert administrator.post(f"{TOKENS}add/", form).status_code == 200  # the form with its error
    with pytest.raises(ValueError, match="owner"):
        api_tokens.create_token(owner=owner, scope="read")
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("owner", ["ana", "Ana", "Aná", "Ana María", "ana@example.com", "アナ", "🚀"])
def test_other_names_get_a_token(owner: str) -> None:
    call_command("token", "create", owner, stdout=io.StringIO())
    assert ApiToken.objects.get().owner == owner
