"""A stack with the settings of production, whose secrets are all marked, and all its answers and logs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from loadtests.started.servers import IS_EMBEDDED, create_servers
from loadtests.started.stack import ALL_ROLES, ProcfileStack
from longtasks.local_stack.child_process import marked_pids
from tests.security.marks import MARKED, ODD, Marks


class Marked:
    """A stack as in production, whose secrets are all marked, and its collected output."""

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
        """Run a command, whatever the state of the stores; its output is collected."""
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
        """Send a request to web; the answer is collected, unless it repeats the request (`echoes`)."""
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
        """Log in to the dashboard as its superuser."""
        self.ask("/admin/login/", bearer="")
        csrf = next(cookie.value for cookie in self._jar if cookie.name == "csrftoken") or ""
        password = self.marks.secrets["DJANGO_SUPERUSER_PASSWORD"]
        form = {"username": "super", "password": password, "csrfmiddlewaretoken": csrf, "next": "/admin/"}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert self.ask("/admin/login/", data=urlencode(form).encode(), headers=headers, bearer="") == 200
        session = next(cookie.value for cookie in self._jar if cookie.name == "sessionid")
        self.marks.add("the session's cookie", session or "")

    def note_processes(self) -> None:
        """Collect the command lines of all processes of the stack."""
        for pid in marked_pids(mark=self.stack._mark):
            try:
                self.said[f"/proc/{pid}/cmdline"] = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue

    def search(self) -> list[str]:
        """Search the collected output and the logs for secrets."""
        self.note_processes()
        logs = {f"the log of {role}": self.stack.log_path(role).read_bytes() for role in self.stack.roles}
        assert all(logs[f"the log of {role}"] for role in ("web", "worker", "mirror"))
        return self.marks.find({**self.said, **logs})


@pytest.fixture(scope="module")
def marked() -> Iterator[Marked]:
    """A marked stack on servers of its own, which require passwords."""
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
            "FILE_STORAGE_OPTIONS": json.dumps({"base_url": f"/{marks.make('FILE_STORAGE_OPTIONS')}/"}),
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
    """Create the user of REDIS_URL, which Redis forgets at a restart."""
    with stack.redis() as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", f">{password}", "~*", "&*", "+@all")
