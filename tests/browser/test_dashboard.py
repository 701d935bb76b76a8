"""What an operator does with the dashboard, in a real browser against the running stack."""

import re

import pytest
from playwright.sync_api import Page, expect

from loadtests.started.stack import ProcfileStack
from tests.browser.conftest import MakeVisit
from tests.browser.dashboard import LIST
from tests.conftest import MakeStack


def start_from_form(page: Page, *, records: int, description: str) -> str:
    page.goto(f"{LIST}start/?type=upload")
    page.get_by_label("Description").fill(description)
    page.get_by_label("Num records").fill(str(records))
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(re.compile(r"/taskrecord/[0-9a-f-]{36}/$"))
    return page.url.rstrip("/").rpartition("/")[2]


def count_loads(page: Page) -> list[str]:
    """Collect the addresses of the documents that the window loads from now on."""
    loads: list[str] = []
    page.on("request", lambda request: loads.append(request.url) if request.is_navigation_request() else None)
    return loads


def pause_low(page: Page, *, reason: str = "") -> None:
    page.goto("/admin/")
    page.get_by_label("Reason").nth(1).fill(reason)
    page.get_by_role("button", name="Pause low").click()
    expect(page.get_by_role("button", name="Resume low")).to_be_visible()


def resume_low(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_role("button", name="Resume low").click()
    expect(
        page.get_by_role("button", name="Pause low")
    ).to_be_visible()  # a window that is closed earlier sends nothing


def wait_until_idle(stack: ProcfileStack) -> None:
    """Wait until the tasks of other tests on the shared stack have ended in the task rows."""

    def is_idle() -> bool:
        queues = stack.get("/queues").json["queues"]
        return not any(queue["depth"] or queue["started"] for queue in queues) and not queued_ids(stack)

    stack.wait_for(is_idle, deadline_seconds=120, what=lambda: f"nothing waits or runs: {stack.get('/queues').json}")


def queued_ids(stack: ProcfileStack) -> set[str]:
    return {task["id"] for task in stack.get("/tasks?status=queued").json["tasks"]}


def values_of(page: Page) -> int:
    return int(page.locator("#task-head progress").get_attribute("value") or 0)


def test_a_task_from_the_form_moves_to_100_percent_without_reloading(visit: MakeVisit, stack: ProcfileStack) -> None:
    page = visit().page
    task_id = start_from_form(page, records=30_000, description="from the form")
    loads = count_loads(page)

    expect(page.locator("#task-head .lt-finished").first).to_be_visible(timeout=90_000)

    assert values_of(page) == 100
    assert loads == []
    expect(page.locator("#task-timeline")).to_contain_text("dequeued by a worker")
    expect(page.locator("#task-timeline")).to_contain_text("ended")
    expect(page.locator("[data-live-status]")).to_have_text("finished")
    assert stack.row_counts(task_id) == dict.fromkeys(("users", "products", "order_items"), 30_000)


def test_the_bar_is_seen_between_0_and_100_percent_in_the_list(visit: MakeVisit, make_stack: MakeStack) -> None:
    stack = make_stack(workers=1, environment={"PAUSE_MS": "1200"})
    window = visit(stack=stack)
    task_id = stack.start_upload(records=20_000)
    # A list shows the rows that the mirror had written when the page was opened.
    stack.wait_for(lambda: stack.get("/tasks").json["tasks"], deadline_seconds=30, what="the list knows the task")
    page = window.go(LIST)
    loads = count_loads(page)
    bar = page.locator(f"#task-{task_id} progress")
    seen = set()

    def look() -> bool:
        seen.add(int(bar.get_attribute("value") or 0))
        return 100 in seen

    stack.wait_for(look, deadline_seconds=240, what=lambda: f"the bar is full; seen {sorted(seen)}")

    assert len([value for value in seen if 0 < value < 100]) >= 2, sorted(seen)
    assert loads == []


def test_cancel_stops_a_running_task(visit: MakeVisit, stack: ProcfileStack) -> None:
    page = visit().page
    task_id = start_from_form(page, records=1_000_000, description="too much")
    expect(page.locator("#task-head .lt-started").first).to_be_visible()

    page.get_by_role("button", name="Cancel").click()

    expect(page.locator("#task-head .lt-badge.lt-canceled").first).to_be_visible()
    expect(page.locator("#task-head .lt-badge").first).to_have_text("canceled")
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "canceled"
    expect(page.locator("#task-timeline")).to_contain_text("by ada")


def test_a_failed_task_shows_its_traceback_and_is_retried_to_success(visit: MakeVisit, make_stack: MakeStack) -> None:
    stack = make_stack(workers=1, environment={"RETRY_ATTEMPTS": "1"})
    window = visit(stack=stack)
    # An error in the data: the table that the task writes is missing.
    stack.sql("ALTER TABLE order_items RENAME TO order_items_away")
    task_id = start_from_form(window.page, records=10, description="fails first")
    page = window.page
    expect(page.locator("#task-head .lt-failed").first).to_be_visible(timeout=60_000)
    expect(page.locator("#task-error pre")).to_contain_text("Traceback")
    expect(page.locator("#task-error pre")).to_contain_text("order_items")

    stack.sql("ALTER TABLE order_items_away RENAME TO order_items")
    page.get_by_role("button", name="Retry").click()

    expect(page.locator("#task-head .lt-finished").first).to_be_visible(timeout=60_000)
    expect(page.locator("#task-error pre")).to_have_count(0)
    assert stack.row_counts(task_id) == dict.fromkeys(("users", "products", "order_items"), 10)


def test_a_queue_is_paused_and_resumed(visit: MakeVisit, stack: ProcfileStack) -> None:
    wait_until_idle(stack)
    page = visit().page
    pause_low(page, reason="the disk is full")
    try:
        expect(page.locator("#queue-low")).to_contain_text("the disk is full")
        task_id = stack.start_upload(records=10)
        expect(page.locator("#queue-low dl dd").first).to_have_text("1")  # without reloading
        assert stack.task(task_id)["status"] == "queued"
    finally:
        resume_low(page)
    expect(page.locator("#queue-low")).to_contain_text("open")
    assert stack.wait_for_end(task_id, deadline_seconds=30)["status"] == "finished"


def test_input_and_ticks_stay_while_the_page_refreshes(visit: MakeVisit, stack: ProcfileStack) -> None:
    page = visit().go("/admin/")
    reason = page.get_by_label("Reason").first
    reason.fill("not sent yet")
    with page.expect_response("**/overview/live/**"):
        pass
    with page.expect_response("**/overview/live/**"):
        pass
    expect(reason).to_have_value("not sent yet")
    expect(reason).to_be_focused()


def test_polling_stops_while_the_page_is_hidden(visit: MakeVisit) -> None:
    page = visit().go("/admin/")
    with page.expect_response("**/overview/live/**"):
        pass
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => window.pretendHidden ?? false, configurable: true});"
        "window.pretendHidden = true; document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(5_000)  # the absence of a request has no condition to wait for
    assert asked == []
    with page.expect_response("**/overview/live/**"):
        page.evaluate("window.pretendHidden = false; document.dispatchEvent(new Event('visibilitychange'))")


def test_many_are_ticked_and_canceled(visit: MakeVisit, stack: ProcfileStack) -> None:
    wait_until_idle(stack)
    page = visit().page
    pause_low(page)
    try:
        task_ids = [stack.start_upload(records=10) for _ in range(3)]
        stack.wait_for(lambda: queued_ids(stack) == set(task_ids), deadline_seconds=30, what="the list knows the tasks")
        page.goto(f"{LIST}?status=queued")
        page.get_by_label("All on this page").check()
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("3 tasks changed.")).to_be_visible()
        for task_id in task_ids:
            assert stack.wait_for_end(task_id, deadline_seconds=20)["status"] == "canceled"
    finally:
        resume_low(page)


def test_the_menu_opens_by_keyboard_on_a_phone(visit: MakeVisit) -> None:
    page = visit(viewport={"width": 390, "height": 844}).go(LIST)
    menu = page.get_by_role("button", name="Menu", exact=True).and_(page.locator(":visible")).first
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Audit")).to_be_visible()


@pytest.mark.parametrize(
    "address", ["/admin/", LIST, f"{LIST}start/", "/admin/tasks_app/auditentry/", "/admin/catalog/user/"]
)
def test_no_page_is_wider_than_a_phone(visit: MakeVisit, stack: ProcfileStack, address: str) -> None:
    stack.wait_for_end(stack.start_upload(records=10), deadline_seconds=30)
    page = visit(viewport={"width": 390, "height": 844}).go(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_speaks_spanish(visit: MakeVisit) -> None:
    page = visit(locale="es-ES").go(LIST)
    expect(page.locator("html")).to_have_attribute("lang", "es")
    expect(page.get_by_role("columnheader", name="Estado")).to_be_visible()
