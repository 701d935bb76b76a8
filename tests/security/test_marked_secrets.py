"""No secret of a setting, token, session or callback is in any log line, error, page, metric or list of processes.

A stack whose every secret is marked is used and misused, and its stores are stopped; then all its output is searched.
"""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.views.debug import technical_500_response

from settings.database import database_settings
from settings.env import Longtasks, load
from tasks_app.conf.redis import connection_settings
from tests.security.doors import list_routes
from tests.security.marked_stack import Marked, allow_redis_user
from tests.security.marks import ODD, Marks

UNKNOWN = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


def test_the_developers_error_page_shows_no_secret(settings: Any) -> None:
    marks = Marks()
    settings.DEBUG = True
    settings.SECRET_KEY = marks.make("SECRET_KEY")
    settings.LONGTASKS = Longtasks(
        webhook_secret=marks.make("WEBHOOK_SECRET"), redis_url=f"redis://:{marks.make('REDIS_URL')}@localhost/0"
    )
    queues = {
        "URL": f"redis://:{marks.make('RQ_QUEUES')}@localhost/0",
        "SENTINEL_KWARGS": {"password": marks.make("p")},
    }
    settings.RQ_QUEUES = {"high": queues, "low": queues}
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {marks.make('a token')}"})
    request.META["DATABASE_URL"] = f"mysql://u:{marks.make('DATABASE_URL')}@host/name"
    try:
        raise ValueError("an error")
    except ValueError as error:
        page = technical_500_response(request, type(error), error, error.__traceback__)
    shown = re.sub(rb"(?s)<tr>\s*<td>(?:marks|queues)</td>.*?</tr>", b"", page.content)  # this test's own variables
    assert not marks.find({"the page": shown})


@pytest.mark.slow
def test_no_output_contains_a_secret(marked: Marked) -> None:
    stack, marks = marked.stack, marked.marks
    token = json.loads(stack.manage("token", "create", "ann", "--scope", "admin", "--json").splitlines()[-1])["token"]
    marks.add("the token", token)
    marked.token = token
    marked.manage("createsuperuser", "--noinput", "--username", "super", "--email", "s@example.com")
    _use(marked)
    marked.log_in()
    _visit(marked)
    _ask_for_help(marked)
    _take_the_stores_away(marked)
    _start_wrongly(marked)
    found = marked.search()
    assert not found, "\n".join(found)


def _use(marked: Marked) -> None:
    """Start valid and invalid tasks, and make every mistake that sends a secret to the wrong place."""
    token, callback = marked.token, marked.marks.make("the callback's query")
    good = {"name": "upload", "params": {"numRecords": 50}}
    assert marked.ask("/tasks", data=good) == 201
    assert marked.ask("/tasks", data=good | {"callbackUrl": f"http://127.0.0.1:9/hook?token={callback}"}) in (201, 400)
    userinfo = quote(marked.marks.make("the callback's userinfo", odd=ODD), safe="")
    marked.ask("/tasks", data=good | {"callbackUrl": f"http://user:{userinfo}@127.0.0.1:9/hook"})
    for bearer in (token[:-1], f"{token} ", token.lower(), f"{token},{token}"):
        marked.ask("/tasks", bearer=bearer)
    for path in ("/tasks", "/nothing", "/admin/", "/static/x", f"/tasks/{token}", "/queues/x/pause"):
        marked.ask(f"{path}?token={token}", bearer="", echoes=True)
    for header in ("X-Request-ID", "Idempotency-Key", "If-None-Match", "Prefer", "Accept", "Content-Type"):
        marked.ask("/tasks", data=good, headers={header: token}, echoes=True)
    marked.ask("/tasks", data=b'{"name": "' + token.encode(), echoes=True)
    marked.ask("/tasks", data=b"\xff" + token.encode(), echoes=True)
    threads = [threading.Thread(target=marked.ask, args=("/tasks",), kwargs={"data": good}) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    marked.note_processes()


def _visit(marked: Marked) -> None:
    """Request every page that has an address of its own."""
    for route in list_routes():
        address = re.sub(r"<int:\w+>", "0", route).replace("<str:name>", "low").replace("/?$", "/").replace("^", "")
        if "logout" not in route and not set("<(?$") & set(address):
            marked.ask(f"/{address}")
    marked.ask("/queues/low/pause", data={"reason": "a reason"})
    marked.ask("/queues/low/resume", data={})


def _ask_for_help(marked: Marked) -> None:
    for words in (
        ["doctor"],
        ["token", "list"],
        ["queues"],
        ["webhooks", "list"],
        ["check", "--deploy"],
        ["task", "status", UNKNOWN],
    ):
        marked.manage(*words)


def _take_the_stores_away(marked: Marked) -> None:
    """Kill Redis, start it without its user, and kill the database; use the service meanwhile."""
    stack = marked.stack
    redis_server, database = stack.redis_server, stack.database
    password = marked.marks.secrets["REDIS_URL"]
    paths = (
        "/queues",
        "/tasks",
        "/metrics",
        "/health/ready",
        "/admin/",
        f"/tasks/{UNKNOWN}",
        "/admin/django_rq/dashboard/",
    )

    def ask_all() -> None:
        for path in paths:
            marked.ask(path)
        marked.ask("/tasks", data={"name": "upload"})

    redis_server.kill()
    ask_all()
    marked.manage("doctor")
    redis_server.start()  # without the user of REDIS_URL: its password is wrong now
    ask_all()
    marked.manage("doctor")
    allow_redis_user(stack, password)
    if database.is_process:
        database.kill()
        ask_all()
        marked.manage("doctor")
        database.start()
        database.query("", "SET PASSWORD FOR app_url@localhost = PASSWORD('another')")
        marked.manage("doctor")
        marked.manage("migrate", "--check")
        database.query("", "SET PASSWORD FOR app_url@localhost = PASSWORD(%s)", (marked.marks.secrets["DATABASE_URL"],))
    stack.wait_for(
        lambda: stack.get("/health/ready").status == 200, deadline_seconds=60, what="the stack is ready again"
    )
    assert marked.ask("/tasks", data={"name": "upload"}) == 201


def _start_wrongly(marked: Marked) -> None:
    """Start with invalid settings: the refusal contains no secret."""
    database, redis = (marked.marks.make(f"a wrong {name}", odd="/#x") for name in ("DATABASE_URL", "REDIS_URL"))
    sentinel = marked.marks.make("a wrong REDIS_SENTINELS")
    mistakes = [
        {"DATABASE_URL": f"postgres://u:{database}@localhost/x"},
        {"DATABASE_URL": f"mysql://u:{database}@localhost/x"},
        {"DATABASE_URL": f"mysql://u:{quote(database, safe='')}@localhost:port/x"},
        {"DATABASE_URL": f"mysql://u:{database}@localhost,other:1/x"},
        {"DATABASE_URL": f"u:{quote(database, safe='')}@localhost/x"},
        {"REDIS_URL": f"redis://:{redis}@localhost:1/0"},
        {"REDIS_URL": f"redis://:{quote(redis, safe='')}@localhost:port/0"},
        {"REDIS_URL": f"http://:{quote(redis, safe='')}@127.0.0.1:1/0"},
        {"REDIS_SENTINELS": f"user:{sentinel}@localhost:port"},
    ]
    for number, mistake in enumerate(mistakes):
        with pytest.raises(ImproperlyConfigured) as refusal:
            _read_settings(mistake)
        marked.said[f"the refusal of mistake {number}"] = str(refusal.value)
    unreachable = {
        "DATABASE_URL": f"mysql://u:{quote(database, safe='')}@127.0.0.1:1/x",
        "REDIS_URL": f"redis://:{quote(redis, safe='')}@127.0.0.1:1/0",
    }
    marked.manage("doctor", **unreachable)
    marked.manage("doctor", SECRET_KEY=marked.marks.make("a short SECRET_KEY"))
    marked.manage("check", WEBHOOK_SECRET=marked.marks.make("a WEBHOOK_SECRET")[:25])


def _read_settings(environment: dict[str, str]) -> None:
    loaded = load(environment=environment)
    database_settings(url=loaded.process.database_url, data_dir=Path(), local_infile=False)
    connection_settings(
        url=loaded.longtasks.redis_url,
        sentinels=loaded.longtasks.redis_sentinels,
        master_name="",
        sentinel_username="",
        sentinel_password="",
        timeout_seconds=1,
    )
