"""A copy of the database or of Redis gives no access: no stored value opens a door."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from tasks_app.auth import api_tokens, token_cache
from tasks_app.domain.callers import WRITE, Caller
from tasks_app.queues import redis_connection
from tasks_app.services import start_tasks
from tasks_app.services.start_tasks import NewTask
from tasks_app.webhooks import sender
from tests.support.mirror import run_mirror

pytestmark = pytest.mark.django_db
WEBHOOK_SECRET = "the-secret-that-signs-webhooks-of-this-test"
_WORD = re.compile(r"[\w.~+/=:-]{8,}", re.ASCII)


@pytest.fixture
def used(settings: Any) -> tuple[str, Client]:
    """A service in use: a valid token, a logged-in user, a task with a callback."""
    settings.API_OPEN = False
    settings.LONGTASKS = replace(settings.LONGTASKS, webhook_secret=WEBHOOK_SECRET)
    _, secret = api_tokens.create_token(owner="ann", scope="admin")
    token_cache.known.forget()
    browser = Client()
    browser.force_login(User.objects.create_superuser("super", password="a password"))
    assert browser.get("/admin/tasks_app/taskrecord/").status_code == 200
    task = NewTask("upload", {"numRecords": 1}, callback_url="https://example.com/hook")
    ann = Caller(owner="ann", scope=WRITE)
    start_tasks.start_task(task=task, caller=ann, idempotency_key="a-key", request_id="a-request")
    run_mirror()
    return secret, browser


def test_stored_values_open_no_door(used: tuple[str, Client]) -> None:
    secret, browser = used
    cookie = browser.cookies["sessionid"].value
    found = sorted({word for text in (*_read_tables(), *_read_redis()) for word in (text, *_WORD.findall(text))})
    assert len(found) > 100
    for text in found:
        assert secret not in text
        assert cookie not in text
        assert WEBHOOK_SECRET not in text
        assert token_cache.known.find(text) is None, f"{text!r} is a token"
    store = import_module(django_settings.SESSION_ENGINE).SessionStore
    message = {"timestamp": "1", "body": b"{}"}
    signature = sender.sign(secret=WEBHOOK_SECRET, **message)
    for text in found:
        assert sender.sign(secret=text, **message) != signature, f"{text!r} signs webhooks"
        assert store(text).load() == {}, f"{text!r} is a session"


def test_a_session_is_found_by_its_cookie_only(used: tuple[str, Client]) -> None:
    _, browser = used
    address = "/admin/tasks_app/taskrecord/"
    stranger = Client()
    for row in Session.objects.all():
        stranger.cookies["sessionid"] = row.session_key
        assert stranger.get(address).status_code == 302
    stranger.cookies["sessionid"] = browser.cookies["sessionid"].value
    assert stranger.get(address).status_code == 200


def test_a_session_ends_with_the_logout(used: tuple[str, Client]) -> None:
    _, browser = used
    cookie = browser.cookies["sessionid"].value
    browser.post("/admin/logout/")
    assert not Session.objects.exists()
    browser.cookies["sessionid"] = cookie
    assert browser.get("/admin/tasks_app/taskrecord/").status_code == 302


def test_a_password_change_keeps_this_session_and_no_other(used: tuple[str, Client]) -> None:
    _, browser = used
    elsewhere = Client()
    elsewhere.force_login(User.objects.get())
    form = {"old_password": "a password", "new_password1": "A long passw0rd", "new_password2": "A long passw0rd"}
    assert browser.post("/admin/password_change/", form).status_code == 302
    assert browser.get("/admin/tasks_app/taskrecord/").status_code == 200
    assert elsewhere.get("/admin/tasks_app/taskrecord/").status_code == 302


def _read_tables() -> Iterator[str]:
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                for value in row:
                    yield value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _read_redis() -> Iterator[str]:
    redis: Any = redis_connection.get_connection()
    for key in redis.scan_iter():
        yield key.decode(errors="replace")
        for value in _READERS[redis.type(key)](redis, key):
            yield value.decode(errors="replace")


_READERS: dict[bytes, Callable[[Any, bytes], list[bytes]]] = {
    b"string": lambda redis, key: [redis.get(key)],
    b"hash": lambda redis, key: [part for pair in redis.hgetall(key).items() for part in pair],
    b"list": lambda redis, key: redis.lrange(key, 0, -1),
    b"set": lambda redis, key: redis.smembers(key),
    b"zset": lambda redis, key: redis.zrange(key, 0, -1),
    b"stream": lambda redis, key: [part for _, entry in redis.xrange(key) for pair in entry.items() for part in pair],
}
