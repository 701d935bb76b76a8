"""Who may open a live stream by a session of the admin, and for how long. The protocol: tests/acceptance."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.exceptions import APIException, PermissionDenied

from tasks_app.api.authentication import Unauthorized
from tasks_app.api.stream.access import TokenInAddress, Viewer, identify_viewer, read_stream_query
from tasks_app.http.origins import is_cross_origin
from tests.api.stream.tickets import ask, make_token, redeem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]
HOST = "longtasks.example"


class Person:
    """A staff user with the permission to view tasks, logged in to the admin."""

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


def test_staff_with_view_permission_watches_all_tasks(ada: Person) -> None:
    viewer = ada.watch()
    assert viewer.sees_owner is None
    assert viewer.may_still()
    assert str(ada.user.pk) in viewer.key


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
def test_an_invalid_session_opens_no_stream_and_ends_open_ones(
    ada: Person, change: Any, refusal: type[APIException]
) -> None:
    viewer = ada.watch()
    change(ada)
    assert not viewer.may_still()
    with pytest.raises(refusal):
        ada.watch()


def test_another_user_in_the_same_session_ends_the_stream(ada: Person) -> None:
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
def test_a_page_of_another_origin_cannot_use_the_session(ada: Person, headers: dict[str, str], good: bool) -> None:
    assert is_cross_origin({"HTTP_HOST": HOST, **headers}) is not good
    if good:
        assert ada.watch(**headers).sees_owner is None
    else:
        with pytest.raises(PermissionDenied, match="another origin"):
            ada.watch(**headers)


def test_an_http_page_cannot_use_an_https_session(settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = True
    assert is_cross_origin({"HTTP_HOST": HOST, "HTTP_ORIGIN": f"http://{HOST}"})


def test_checking_a_session_writes_nothing(ada: Person) -> None:
    viewer = ada.watch()
    change_password(ada)  # Django's own middleware would delete the session
    with CaptureQueriesContext(connection, ) as queries:  # fmt: skip
        assert not viewer.may_still()
    assert queries
    assert all(query["sql"].lstrip().upper().startswith("SELECT") for query in queries)


def test_a_new_secret_key_does_not_end_a_stream(ada: Person, settings: Any) -> None:
    """`get_user` renames a session signed with an old SECRET_KEY, and a stream cannot send the new cookie."""
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


def test_an_unavailable_database_ends_no_stream_and_opens_none(ada: Person) -> None:
    viewer = ada.watch()

    def refuse(*_: Any) -> None:
        raise OperationalError(2006, "MySQL server has gone away")

    with connection.execute_wrapper(refuse):
        assert viewer.may_still()
        with pytest.raises(OperationalError):
            ada.watch()


def test_an_open_api_requires_no_session_and_no_ticket(settings: Any, ada: Person) -> None:
    settings.API_OPEN = True
    for meta in ({}, {"HTTP_COOKIE": f"sessionid={ada.key}", "HTTP_SEC_FETCH_SITE": "cross-site"}):
        viewer = identify_viewer({"REMOTE_ADDR": "192.0.2.1", **meta}, ticket=None)
        assert (viewer.sees_owner, viewer.key) == (None, "address 192.0.2.1")
    viewer = redeem(ask(Client()).json()["ticket"])  # the same page works with an open API
    assert (viewer.sees_owner, viewer.key) == (None, "address 192.0.2.1")


@pytest.mark.parametrize("name", ["token", "access_token", "ACCESS_TOKEN", "api_key", "authorization"])
def test_a_token_in_the_url_is_refused_with_an_explanation(name: str) -> None:
    with pytest.raises(TokenInAddress, match="Authorization: Bearer") as caught:
        read_stream_query(f"{name}=lt_secret".encode())
    assert "lt_secret" not in str(caught.value)
    assert read_stream_query(b"ticket=a&lastEventId=1") == {"ticket": "a", "lastEventId": "1"}
