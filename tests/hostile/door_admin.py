"""Door: the dashboard. Addresses, filters, searches and forms with odd values, by users with odd names.

Owns a client that logs in by the form, as a browser does. No request may be answered with 500.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from loadtests.started.stack import ENDED
from longtasks.local_stack.child_process import wait_until
from tests.hostile.drawing import draw
from tests.hostile.insider import PASSWORD
from tests.hostile.raw_http import RawAnswer, exchange, request
from tests.hostile.world import World

DOOR = "admin"
SECONDS = 3.0
LIST = "/admin/tasks_app/taskrecord/"
NAMES = ["boss", "u" * 94, "ü" * 94, "a@b.c+d-e_f", "z" * 150]
USERS_AT_ONCE = 2
_TEXTS = [
    "",
    " ",
    "%",
    "%%s",
    "_",
    "\\",
    "'",
    '"',
    "\0",
    "é",
    "🎉",
    "a" * 101,
    "\u202e",
    "00000000",
    "-1",
    "1e9",
    "\x1b[2J",
    "a" * 3_000,
]
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=15) | st.sampled_from(_TEXTS)
_parameters = st.dictionaries(
    st.sampled_from(
        [
            "q",
            "status",
            "name",
            "priority",
            "owner",
            "after",
            "before",
            "cursor",
            "ids",
            "from",
            "type",
            "p",
            "o",
            "e",
            "all",
            "period",
            "id__in",
            "_popup",
            "action",
            "actor",
            "next",
        ]
    ),
    text | st.sampled_from(["failed", "upload", "2026-01-01T00:00", "9999-12-31T23:59", "0001-01-01T00:00", "f" * 32]),
    max_size=3,
)
_pages = st.sampled_from(
    [
        LIST,
        LIST,
        LIST + "live/",
        LIST + "start/",
        LIST + "overview/live/",
        "/admin/",
        "/admin/tasks_app/auditentry/",
        "/admin/tasks_app/apitoken/",
        "/admin/auth/user/",
        "/admin/catalog/user/",
        "/admin/catalog/product/",
        "/admin/django_rq/dashboard/",
        "/admin/django_rq/dashboard/queues/0/",
        "/admin/search/",
        "/admin/jsi18n/",
    ]
)
_forms = st.sampled_from(
    [
        LIST + "change/",
        LIST + "start/",
        LIST + "queues/nope/pause/",
        LIST + "{id}/cancel/",
        LIST + "{id}/retry/",
        LIST + "{id}/reschedule/",
        LIST + "{id}/failures/",
        LIST + "{id}/failures/csv/",
        LIST + "{id}/failures/retry/",
        LIST + "{id}/priority/",
        LIST + "{id}/again/",
        "/admin/i18n/setlang/",
        "/admin/tasks_app/apitoken/add/",
    ]
)
_fields = st.dictionaries(
    st.sampled_from(
        [
            "action",
            "task",
            "next",
            "type",
            "description",
            "priority",
            "params-numRecords",
            "params-taskId",
            "reason",
            "language",
            "owner",
            "scope",
            "note",
            "expires_at",
        ]
    ),
    text | st.sampled_from(["cancel", "retry", "high", "upload", "purge", "-1", "0", "9" * 30, "1.5", "true"]),
    max_size=5,
)


class Browser:
    """A session of one user."""

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        self.cookies: dict[str, str] = {}
        self.get("/admin/login/")
        self.answer = self.post("/admin/login/", {"username": name, "password": PASSWORD, "next": "/admin/"})

    @property
    def is_logged_in(self) -> bool:
        return "sessionid" in self.cookies

    def get(self, path: str) -> RawAnswer:
        return self._ask(b"GET", path, None)

    def post(self, path: str, fields: Mapping[str, str | Sequence[str]]) -> RawAnswer:
        body = urlencode({**fields, "csrfmiddlewaretoken": self.cookies.get("csrftoken", "")}, doseq=True)
        return self._ask(b"POST", path, body.encode())

    def _ask(self, method: bytes, path: str, body: bytes | None) -> RawAnswer:
        headers = [(b"Accept", b"text/html")]
        if self.cookies:
            pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            headers.append((b"Cookie", pairs.encode()))
        if body is not None:
            headers += [(b"Content-Type", b"application/x-www-form-urlencoded"), (b"Origin", b"http://localhost")]
            headers.append((b"Host", b"localhost"))
        answer = exchange(self._port, request(method, path.encode(), headers=headers, body=body))
        # The last of several Set-Cookie lines is enough.
        for name, value in re.findall(r"(csrftoken|sessionid)=([^;]+)", answer.headers.get("set-cookie", "")):
            self.cookies[name] = value
        return answer


def run(world: World, *, number: int) -> None:
    """Request `number` pages and forms."""
    browsers = []
    for name in NAMES:
        world.insider.make_user(name)
        browser = Browser(world.stack.port, name)
        if browser.is_logged_in:
            browsers.append(browser)
        else:
            world.tally.fault(
                DOOR, "can't log in", given=name, seen=f"{browser.answer.status} {browser.answer.headers}"
            )
    if not browsers:
        return
    _cancel_with_odd_names(world, browsers)
    pages = draw(st.tuples(_pages, _parameters), number=number // 2, seed_number=world.seed)
    forms = draw(st.tuples(_forms, text, _fields), number=number - number // 2, seed_number=world.seed)
    with ThreadPoolExecutor(USERS_AT_ONCE) as pool:
        list(pool.map(lambda item: _ask_page(world, browsers[item[0] % len(browsers)], *item[1]), enumerate(pages)))
        list(pool.map(lambda item: _send_form(world, browsers[item[0] % len(browsers)], *item[1]), enumerate(forms)))
    _search(world, browsers[0])


def _ask_page(world: World, browser: Browser, path: str, parameters: Mapping[str, str]) -> None:
    address = f"{path}?{urlencode(parameters)}"
    _judge(world, f"GET {address}", browser.get(address), lambda: browser.get(address))


def _send_form(world: World, browser: Browser, path: str, key: str, fields: Mapping[str, str]) -> None:
    address = path.replace("{id}", quote(key, safe="") or "x")
    if "numRecords" in fields.get("params-numRecords", ""):
        return
    if fields.get("params-numRecords", "").strip().isdecimal() and int(fields["params-numRecords"]) > 50:
        fields = {**fields, "params-numRecords": "5"}  # an accepted upload is carried out, so it must be small
    _judge(
        world, f"POST {address} {dict(fields)}", browser.post(address, fields), lambda: browser.post(address, fields)
    )


def _judge(world: World, words: str, answer: RawAnswer, again: object) -> None:
    if answer.seconds > SECONDS and callable(again):
        answer = again()  # the machine may have been busy
    if answer.status == 0 or answer.status >= 500:
        world.tally.fault(DOOR, f"answers {answer.status}", given=words, seen=answer.body[:300])
    elif answer.seconds > SECONDS:
        world.tally.fault(DOOR, "takes long", given=words, seen=f"{answer.seconds:.1f} s")
    elif b"Traceback (most recent call last)" in answer.body and answer.status != 200:
        world.tally.fault(DOOR, "a traceback in the answer", given=words, seen=answer.status)
    else:
        world.tally.note(DOOR, "accepted" if answer.status < 400 else "refused")


def _cancel_with_odd_names(world: World, browsers: Sequence[Browser]) -> None:
    """Cancel a task as each user: its history names the user, whose name may be longer than the column."""
    stack = world.stack
    started = []
    for browser in browsers:
        answer = stack.post("/tasks", {"name": "slow", "params": {"records": 100, "chunkMs": 100}})
        task_id = answer.json["id"]
        canceled = browser.post(f"{LIST}{task_id}/cancel/", {})
        _judge(world, f"cancel of {task_id}", canceled, None)
        started.append(task_id)

    def list_open() -> list[str]:
        marks = ", ".join(["%s"] * len(started))
        keys = [key.replace("-", "") for key in started]
        rows = stack.sql(f"SELECT status FROM tasks_app_taskrecord WHERE id IN ({marks})", *keys)
        return [status for (status,) in rows if status not in ENDED] + ["unknown"] * (len(started) - len(rows))

    if not wait_until(lambda: not list_open(), deadline_seconds=20, pause_seconds=0.2):
        world.tally.fault(DOOR, "a canceled task does not end", given="users with long names", seen=list_open())
        for task_id in started:
            stack.post(f"/tasks/{task_id}/cancel")


def _search(world: World, browser: Browser) -> None:
    for words in _TEXTS:
        address = f"{LIST}?{urlencode({'q': words})}"
        _judge(world, f"GET {address}", browser.get(address), lambda: browser.get(address))  # noqa: B023
