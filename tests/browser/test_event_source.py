"""EventSource in a real browser, behind a proxy: by the admin's session, by a ticket, by nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longtasks.local_stack.procfile import PROJECT_DIR
from tests.browser.dashboard import PASSWORD
from tests.browser.one_origin import GuardedOrigin, start_guarded_origin

DEADLINE_SECONDS = 60
# Resolves to the statuses received, and "refused" if the browser gives up the stream.
WATCH = """address => new Promise(resolve => {
  const seen = [];
  const source = new EventSource(address, {withCredentials: true});
  const finish = word => { source.close(); resolve([...seen, word]); };
  for (const kind of ["task", "change"])
    source.addEventListener(kind, event => {
      const {status} = JSON.parse(event.data);
      if (status === "finished") finish(status); else seen.push(status);
    });
  source.onopen = () => { seen.push("open"); window.isOpen = true; };
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) finish("refused"); };
})"""


# Keeps the EventSources that a page creates, for the test.
KEEP_SOURCES = """
window.sources = [];
window.EventSource = class extends EventSource { constructor(...args) { super(...args); window.sources.push(this); } };
"""
MAKE_CALLERS = f"""
from django.contrib.auth.models import Permission, User
from tasks_app.auth.api_tokens import create_token

ada = User.objects.create_user("ada", password={PASSWORD!r}, is_staff=True)
ada.user_permissions.add(Permission.objects.get(codename="view_taskrecord"))
print(create_token(owner="ann", scope="write")[1])
"""


@pytest.fixture(scope="module")
def origin(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedOrigin]:
    with start_guarded_origin(servers, tmp_path_factory.mktemp("origin"), make_callers=MAKE_CALLERS) as started:
        yield started


def get_ticket(origin: GuardedOrigin, task_id: str) -> str:
    answer = origin.stack.post("/stream-tickets", {"taskId": task_id}, headers=origin.headers)
    assert answer.status == 201, answer
    return str(answer.json["ticket"])


def open_page(browser: Any, address: str, **options: Any) -> Any:
    page = browser.new_context(base_url=address, **options).new_page()
    page.set_default_timeout(DEADLINE_SECONDS * 1000)
    page.goto("/health/live")  # any page of this origin
    return page


def log_in(page: Any) -> None:
    page.goto("/admin/login/")
    page.fill('input[name="username"]', "ada")
    page.fill('input[name="password"]', PASSWORD)
    page.click('button[type="submit"], input[type="submit"]')
    page.wait_for_url("**/admin/")


def test_a_browser_watches_by_session_or_ticket_and_not_without(browser: Any, origin: GuardedOrigin) -> None:
    stack = origin.stack
    by_session, stranger = open_page(browser, origin.address), open_page(browser, origin.address)
    log_in(by_session)
    cookies = by_session.context.storage_state()
    foreign = open_page(browser, stack.address, storage_state=cookies)  # cookies are valid on all ports

    task_id = origin.start(records=10_000)
    stream = f"/tasks/{task_id}/stream"
    ticket = get_ticket(origin, task_id)
    assert stranger.evaluate(WATCH, stream) == ["refused"]
    assert foreign.evaluate(WATCH, origin.address + stream) == ["refused"]
    for page, address in ((by_session, stream), (stranger, f"{stream}?ticket={ticket}")):
        seen = page.evaluate(WATCH, address)
        assert seen[0] == "open"
        assert seen[-1] == "finished"
    assert stranger.evaluate(WATCH, f"{stream}?ticket={ticket}") == ["refused"]
    for page in (by_session, stranger, foreign):
        page.context.close()


def test_the_documented_page_survives_a_stream_that_breaks(browser: Any, origin: GuardedOrigin) -> None:
    """The example of docs/api.md: a used ticket is refused, so the page requests another and continues."""
    stack = origin.stack
    (example,) = re.findall(r"```js\n(.*?)```", Path(PROJECT_DIR / "docs" / "api.md").read_text(), re.DOTALL)
    page = open_page(browser, origin.address)
    page.route("**/my-ticket?*", lambda route: route.fulfill(json={"ticket": get_ticket(origin, task_id)}))
    stack.stop_role("worker")
    task_id = origin.start(records=1)
    stack.wait_for(
        lambda: stack.sql("SELECT 1 FROM tasks_app_taskevent"), deadline_seconds=30, what="the history begins"
    )
    for script in (KEEP_SOURCES, example):
        page.add_script_tag(content=script)
    page.evaluate("id => { window.seen = []; watch(id, change => window.seen.push(change)); }", task_id)
    page.wait_for_function("window.seen.length > 0")
    stack.hang_up("web")  # the process that ends closes its streams; another one answers meanwhile
    page.wait_for_function("sources.length > 1")
    stack.start_role("worker")
    page.wait_for_function("window.seen.some(change => change.status === 'finished')")
    causes = page.evaluate("window.seen.map(change => change.cause)")
    assert causes[0] == "start"
    assert len(causes) == len(set(causes)), "nothing comes twice"
    assert page.evaluate("sources.length") > 1
    assert page.evaluate("sources.every(source => source.readyState === EventSource.CLOSED)"), "it has ended"
    page.context.close()
