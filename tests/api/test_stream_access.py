"""Who may open a live stream, by a session or a ticket, and who may go on watching. The protocol: tests/acceptance."""

import threading
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.exceptions import APIException, PermissionDenied, Throttled

from tasks_app.api.authentication import Unauthorized
from tasks_app.api.stream.access import TokenInAddress, Viewer, identify_viewer, read_stream_query
from tasks_app.api.stream.open_streams import PLACES, PLACES_OF_ONE, AllPlacesTaken, Places
from tasks_app.auth import api_tokens, stream_tickets, token_cache, token_use
from tasks_app.http.origins import comes_from_elsewhere
from tests.api.conftest import assert_problem, wrong_fields

pytestmark = pytest.mark.django_db
UNKNOWN = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"
HOST = "longtasks.example"


@pytest.fixture(autouse=True)
def _closed(settings: Any, db: None) -> Generator[None, None, None]:
    settings.API_OPEN = False
    token_cache.known.forget()
    yield
    for thread in threading.enumerate():
        if thread.name == token_use.NOTING_THREAD:
            thread.join()


class Person:
    """A member of the staff who may view tasks, logged in to the admin."""

    def __init__(self) -> None:
        self.user = User.objects.create_user("ada", password="a-password", is_staff=True)
        self.user.user_permissions.add(Permission.objects.get(codename="view_taskrecord"))
        self.client = Client()
        self.client.force_login(self.user)
        self.key = self.client.session.session_key

    def watch(self, **meta: str) -> Viewer:
        return identify_viewer({"HTTP_HOST": HOST, "HTTP_COOKIE": f"a=b; sessionid={self.key}", **meta}, ticket=None)


@pytest.fixture
def ada() -> Person:
    return Person()


def make_token(owner: str, scope: str = "read", **options: Any) -> tuple[int, Client]:
    token, secret = api_tokens.create_token(owner=owner, scope=scope, **options)
    token_cache.known.forget()
    return token.pk, Client(headers={"Authorization": f"Bearer {secret}"})


def ask(client: Client, body: Any = None) -> Any:
    return client.post("/stream-tickets", body or {}, content_type="application/json")


def redeem(ticket: str) -> Viewer:
    return identify_viewer({"REMOTE_ADDR": "192.0.2.1"}, ticket=ticket)


def test_a_member_of_the_staff_who_may_view_tasks_watches_all(ada: Person) -> None:
    viewer = ada.watch()
    assert viewer.sees_owner is None
    assert viewer.may_still()
    assert str(ada.user.pk) in viewer.place


def expire(ada: Person) -> None:
    Session.objects.update(expire_date=datetime.now(UTC) - timedelta(seconds=1))


def forge(ada: Person) -> None:
    Session.objects.all().delete()


def change_password(ada: Person) -> None:
    ada.user.set_password("another-password")
    ada.user.save()


def deactivate(ada: Person) -> None:
    User.objects.update(is_active=False)


def dismiss(ada: Person) -> None:
    User.objects.update(is_staff=False)


def forbid(ada: Person) -> None:
    ada.user.user_permissions.clear()


def log_out(ada: Person) -> None:
    ada.client.logout()


def delete(ada: Person) -> None:
    ada.user.delete()


CHANGES = [
    (expire, Unauthorized),
    (forge, Unauthorized),
    (log_out, Unauthorized),
    (delete, Unauthorized),
    (change_password, Unauthorized),
    (deactivate, Unauthorized),
    (dismiss, PermissionDenied),
    (forbid, PermissionDenied),
]


@pytest.mark.parametrize(("change", "refusal"), CHANGES, ids=lambda value: value.__name__)
def test_a_session_that_no_longer_holds_opens_nothing_and_ends_what_is_open(
    ada: Person, change: Any, refusal: type[APIException]
) -> None:
    viewer = ada.watch()
    change(ada)
    assert not viewer.may_still()
    with pytest.raises(refusal):
        ada.watch()


def test_another_person_at_the_same_session_is_another_caller(ada: Person) -> None:
    viewer = ada.watch()
    eve = User.objects.create_superuser("eve", password="a-password")
    session = Session.objects.get()
    other = Client()
    other.force_login(eve)
    session.session_data = Session.objects.exclude(pk=session.pk).get().session_data
    session.save()
    assert not viewer.may_still()


@pytest.mark.parametrize(
    "cookie",
    [
        *("", "sessionid=", "sessionid=x", "sessionid", ";;;=", "csrftoken=" + "x" * 32, "sessionid=" + "x" * 32),
        *("sessionid=" + "é" * 32, "sessionid=a\x00" + "x" * 32, "sessionid=" + "x" * 10_000),
    ],
)  # fmt: skip
def test_cookies_without_a_session_are_401(cookie: str) -> None:
    with pytest.raises(Unauthorized):
        identify_viewer({"HTTP_HOST": HOST, "HTTP_COOKIE": cookie}, ticket=None)


def test_a_header_wins_over_a_session_and_a_ticket(ada: Person) -> None:
    with pytest.raises(Unauthorized):
        ada.watch(HTTP_AUTHORIZATION="Bearer lt_" + "A" * 43)
    _, ann = make_token("ann")
    ticket = ask(ann).json()["ticket"]
    with pytest.raises(Unauthorized):
        identify_viewer({"HTTP_AUTHORIZATION": "Basic x"}, ticket=ticket)
    with pytest.raises(Unauthorized):
        identify_viewer({"HTTP_HOST": HOST, "HTTP_COOKIE": f"sessionid={ada.key}"}, ticket="ltt_x")


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({}, True),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, True),
        ({"HTTP_SEC_FETCH_SITE": "none"}, True),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, False),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, False),
        ({"HTTP_SEC_FETCH_SITE": "odd"}, False),
        ({"HTTP_ORIGIN": f"https://{HOST}"}, True),
        ({"HTTP_ORIGIN": f"https://{HOST.upper()}"}, True),
        ({"HTTP_ORIGIN": f"https://{HOST}:8443"}, False),
        ({"HTTP_ORIGIN": f"https://evil.{HOST}"}, False),
        ({"HTTP_ORIGIN": f"https://x@{HOST}"}, False),
        ({"HTTP_ORIGIN": "null"}, False),
        ({"HTTP_ORIGIN": ""}, False),
        ({"HTTP_ORIGIN": "https://["}, False),
        ({"HTTP_ORIGIN": f"https://{HOST},https://evil.example"}, False),
        ({"HTTP_ORIGIN": f"https://{HOST}", "HTTP_SEC_FETCH_SITE": "cross-site"}, False),
    ],
)
def test_a_page_of_another_origin_may_not_use_the_session(ada: Person, headers: dict[str, str], good: bool) -> None:
    assert comes_from_elsewhere({"HTTP_HOST": HOST, **headers}) is not good
    if good:
        assert ada.watch(**headers).sees_owner is None
    else:
        with pytest.raises(PermissionDenied, match="another origin"):
            ada.watch(**headers)


def test_an_http_page_may_not_use_an_https_session(settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = True
    assert comes_from_elsewhere({"HTTP_HOST": HOST, "HTTP_ORIGIN": f"http://{HOST}"})


def test_looking_at_a_session_writes_nothing(ada: Person) -> None:
    viewer = ada.watch()
    change_password(ada)  # for which Django's own middleware would delete the session
    with CaptureQueriesContext(connection, ) as queries:  # fmt: skip
        assert not viewer.may_still()
    assert queries
    assert all(query["sql"].lstrip().upper().startswith("SELECT") for query in queries)


def test_a_new_key_of_the_service_does_not_log_a_watcher_out(ada: Person, settings: Any) -> None:
    """`get_user` renames a session that an old SECRET_KEY signed, and only a page can send the new cookie."""
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    key = ada.key
    session = Session.objects.get()
    before = session.pk
    data = session.get_decoded()
    settings.SECRET_KEY = "n" * 50
    store = type(ada.client.session)
    session.session_data = store().encode(data)
    session.save()
    assert ada.watch().may_still()
    assert Session.objects.get().pk == before
    assert ada.key == key


def test_a_database_that_is_away_ends_no_stream_and_opens_none(ada: Person) -> None:
    viewer = ada.watch()

    def refuse(*_: Any) -> None:
        raise OperationalError(2006, "MySQL server has gone away")

    with connection.execute_wrapper(refuse):
        assert viewer.may_still()
        with pytest.raises(OperationalError):
            ada.watch()


def test_an_open_api_asks_for_nothing(settings: Any, ada: Person) -> None:
    settings.API_OPEN = True
    for meta in ({}, {"HTTP_COOKIE": f"sessionid={ada.key}", "HTTP_SEC_FETCH_SITE": "cross-site"}):
        viewer = identify_viewer({"REMOTE_ADDR": "192.0.2.1", **meta}, ticket=None)
        assert (viewer.sees_owner, viewer.place) == (None, "address 192.0.2.1")
    viewer = redeem(ask(Client()).json()["ticket"])  # the same page works there too
    assert (viewer.sees_owner, viewer.place) == (None, "address 192.0.2.1")


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
    assert (viewer.sees_owner, viewer.place, viewer.task_id) == ("ann", f"token {token_id}", "")
    assert viewer.may_still()
    with pytest.raises(Unauthorized, match="used"):
        redeem(ticket)
    _, admin = make_token("root", "admin")
    assert redeem(ask(admin).json()["ticket"]).sees_owner is None


def test_who_has_no_token_gets_no_ticket() -> None:
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


def test_a_ticket_of_an_open_api_is_worth_nothing_once_it_is_closed(settings: Any) -> None:
    settings.API_OPEN = True
    ticket = ask(Client()).json()["ticket"]
    settings.API_OPEN = False
    with pytest.raises(Unauthorized):
        redeem(ticket)


def test_a_ticket_for_one_task_is_for_no_other() -> None:
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


def test_tickets_of_a_token_are_bounded(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_tickets, "TICKETS", 3)
    _, ann = make_token("ann")
    _, bob = make_token("bob")
    assert [ask(ann).status_code for _ in range(5)] == [201, 201, 201, 429, 429]
    assert 1 <= int(ask(ann)["Retry-After"]) <= 30
    assert ask(bob).status_code == 201
    assert len(redis.keys("longtasks:ticket:*")) == 4
    assert all(0 < redis.ttl(key) <= 30 for key in redis.keys("longtasks:ticket*"))


@pytest.mark.parametrize("name", ["token", "access_token", "ACCESS_TOKEN", "api_key", "authorization"])
def test_a_token_in_the_address_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(TokenInAddress, match="Authorization: Bearer") as caught:
        read_stream_query(f"{name}=lt_secret".encode())
    assert "lt_secret" not in str(caught.value)
    assert read_stream_query(b"ticket=a&lastEventId=1") == {"ticket": "a", "lastEventId": "1"}


def test_one_caller_can_not_take_all_places() -> None:
    places = Places()
    for _ in range(PLACES_OF_ONE):
        places.take("token 1")
    with pytest.raises(Throttled):
        places.take("token 1")
    for number in range(PLACES - PLACES_OF_ONE):
        places.take(f"user {number}")
    with pytest.raises(AllPlacesTaken):
        places.take("token 2")
    places.leave("token 1")
    places.take("token 2")
    places.leave("token 2")
    places.take("token 1")
