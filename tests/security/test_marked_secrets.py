"""No secret of a setting, token, session or callback in any log line, error, page, metric, list of processes.

A stack whose every secret is marked is used, misused and has its stores taken away; then all that it has said is searched.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.views.debug import technical_500_response

from loadtests.started.servers import IS_EMBEDDED, create_servers
from loadtests.started.stack import ALL_ROLES, ProcfileStack
from longtasks.local_stack.child_process import marked_pids
from settings.database import database_settings
from settings.env import Longtasks, Process, list_variables, load
from settings.redis import connection_settings
from tests.security.doors import list_routes
from tests.security.marks import HARMLESS, MARKED, ODD, Marks

UNKNOWN = "0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10"


def test_every_setting_of_text_is_marked_or_known_to_be_harmless() -> None:
    texts = {each.name for each in list_variables() if each.type in ("str", "list", "path")}
    unsaid = texts - HARMLESS - set(MARKED)
    assert not unsaid, f"Say in tests/security/marks.py whether they hold secrets: {sorted(unsaid)}"
    assert texts >= HARMLESS
    assert len(fields(Longtasks)) + len(fields(Process)) == len(list_variables())


def test_marks_are_found_in_every_form() -> None:
    marks = Marks()
    secret = marks.make("password", odd=ODD)
    import base64

    forms = [secret, quote(secret, safe=""), repr(secret), json.dumps(secret), secret.encode().hex(), secret[-20:]]
    forms += [base64.b64encode(f"{user}:{secret}".encode()).decode() for user in ("a", "ab", "abc")]
    for form in forms:
        assert marks.find({"a log": f"before {form} after"}), form
    assert not marks.find({"a log": "before m4rk after"})


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


class Marked:
    """A stack as production has it, whose secrets are all marked, and all that it says."""

    def __init__(self, marks: Marks, stack: ProcfileStack) -> None:
        self.marks, self.stack = marks, stack
        self.said: dict[str, str | bytes] = {}
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self._jar: CookieJar = next(
            handler.cookiejar
            for handler in self._opener.handlers
            if isinstance(handler, urllib.request.HTTPCookieProcessor)
        )
        self.token = ""

    def manage(self, *words: str, **environment: str) -> str:
        """Run a command, in whatever state the stores are; its output is searched."""
        before = dict(self.stack.environment)
        self.stack.environment |= environment
        try:
            output = self.stack.run_manage(*words).stdout
        finally:
            self.stack.environment = before
        self.said[f"manage.py {' '.join(words)} {sorted(environment)} {len(self.said)}"] = output
        return output

    def ask(
        self,
        path: str,
        *,
        data: Any = None,
        bearer: str | None = None,
        headers: dict[str, str] | None = None,
        echoes: bool = False,
    ) -> int:
        """Ask web; the answer is searched, unless it repeats to the asker what he has sent."""
        given = {"Authorization": f"Bearer {self.token if bearer is None else bearer}", **(headers or {})}
        body = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.stack.address + path, data=body, headers=given)
        request.add_header("Content-Type", (headers or {}).get("Content-Type", "application/json"))
        try:
            with self._opener.open(request, timeout=30) as answer:
                status, content, shown = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            status, content, shown = error.code, error.read(), error.headers
        kept = "\n".join(f"{name}: {value}" for name, value in shown.items() if name != "Set-Cookie")
        if not echoes:
            self.said[f"{path[:60]} {status} {len(self.said)}"] = content + kept.encode()
        return status

    def log_in(self) -> None:
        """Become the superuser of the dashboard."""
        self.ask("/admin/login/", bearer="")
        csrf = next(cookie.value for cookie in self._jar if cookie.name == "csrftoken") or ""
        password = self.marks.secrets["DJANGO_SUPERUSER_PASSWORD"]
        form = {"username": "super", "password": password, "csrfmiddlewaretoken": csrf, "next": "/admin/"}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert self.ask("/admin/login/", data=urlencode(form).encode(), headers=headers, bearer="") == 200
        session = next(cookie.value for cookie in self._jar if cookie.name == "sessionid")
        self.marks.add("the session's cookie", session or "")

    def note_processes(self) -> None:
        """Note the command lines of all processes of the stack."""
        for pid in marked_pids(mark=self.stack._mark):
            try:
                self.said[f"/proc/{pid}/cmdline"] = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue

    def search(self) -> list[str]:
        """All that was said by now, and the logs."""
        self.note_processes()
        logs = {f"the log of {role}": self.stack.log_path(role).read_bytes() for role in self.stack.roles}
        assert all(logs[f"the log of {role}"] for role in ("web", "worker", "mirror"))
        return self.marks.find({**self.said, **logs})


@pytest.fixture(scope="module")
def marked() -> Iterator[Marked]:
    """On servers of its own, which ask for passwords."""
    marks = Marks()
    database, redis_server = create_servers()
    with ExitStack() as closing:
        for server in (database, redis_server):
            closing.callback(server.remove)
            server.start()
        environment = {
            "DJANGO_SETTINGS_MODULE": "settings.production",
            "ALLOWED_HOSTS": "127.0.0.1",
            "HTTPS_ONLY": "0",
            "SECRET_KEY": marks.make("SECRET_KEY", odd=ODD + "0123456789abc"),
            "WEBHOOK_SECRET": marks.make("WEBHOOK_SECRET", odd=ODD),
            "WEBHOOK_ALLOW_PRIVATE": "1",
            "WEBHOOK_FIRST_SECONDS": "0.2",
            "WEBHOOK_ATTEMPTS": "3",
            "DATABASE_PASSWORD": marks.make("DATABASE_PASSWORD", odd=ODD),
            "REDIS_SENTINEL_PASSWORD": marks.make("REDIS_SENTINEL_PASSWORD"),
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {marks.make('OTEL_EXPORTER_OTLP_HEADERS')}",
            "DJANGO_SUPERUSER_PASSWORD": marks.make("DJANGO_SUPERUSER_PASSWORD", odd=ODD),
            "LOG_LEVEL": "DEBUG",
            "RATE_LIMIT_PER_ADDRESS": "0",
        }
        stack = ProcfileStack(
            database=database, redis_server=redis_server, roles=ALL_ROLES, environment=environment, workers=1
        )
        closing.callback(stack.close)
        redis_password = marks.make("REDIS_URL", odd=ODD)
        allow_redis_user(stack, redis_password)
        stack.environment["REDIS_URL"] = (
            f"redis://app:{quote(redis_password, safe='')}@127.0.0.1:{redis_server.port}/{stack.redis_number}"
        )
        for name in ("DATABASE_URL", "DATABASE_READ_URL"):
            password, user = marks.make(name, odd=ODD), f"app_{name[9:13].lower()}"
            if IS_EMBEDDED:
                continue  # SQLite has no password
            database.query("", f"CREATE USER {user}@localhost IDENTIFIED BY %s", (password,))
            database.query("", f"GRANT ALL ON *.* TO {user}@localhost")
            stack.environment[name] = stack.database.url(stack.database_name).replace(
                "//root@", f"//{user}:{quote(password, safe='')}@"
            )
        assert marks.secrets.keys() >= set(MARKED)
        stack.start()
        yield Marked(marks, stack)


def allow_redis_user(stack: ProcfileStack, password: str) -> None:
    """Let the user in whom REDIS_URL names: it is gone after a restart."""
    with stack.redis() as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", f">{password}", "~*", "&*", "+@all")


@pytest.mark.slow
def test_no_secret_is_told(marked: Marked) -> None:
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
    """Tasks that go well and ones that do not, and every mistake that sends a secret to the wrong place."""
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
    """Every page that has an address of its own."""
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
    """Redis hangs, ends, and is back without our user; the database ends."""
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
    redis_server.start()  # without the user of REDIS_URL: the password is wrong now
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
    stack.wait_for(lambda: stack.get("/health/ready").status == 200, deadline_seconds=60, what="all is well again")
    assert marked.ask("/tasks", data={"name": "upload"}) == 201


def _start_wrongly(marked: Marked) -> None:
    """Settings with a mistake in them: the start's refusal repeats no secret."""
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
