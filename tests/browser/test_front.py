"""The front page in a real browser: its form, its list, its queues, its curl lines, on a desk, on a phone, by keyboard."""

import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import axe_core_python
import pytest
from playwright.sync_api import expect

from loadtests.started.stack import ProcfileStack
from tests.browser.front import FrontPage

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
HOSTILE = 'it\'s <b>"$HOME"</b> `id` <img src=x onerror="window.hurt=1">'
PAGE = 20  # tasks of the list's first page


@pytest.fixture
def open_front(browser: Any, stack: ProcfileStack) -> Generator[Callable[..., FrontPage], None, None]:
    """`open_front()`: the page. A script error, a violation of its policy or a request to another host fails the test."""
    opened: list[FrontPage] = []

    def start(*, address: str = stack.address, **options: Any) -> FrontPage:
        opened.append(FrontPage(browser, address, **options))
        return opened[-1]

    yield start
    faults = [front.list_faults() for front in opened]
    for front in opened:
        front.close()
    assert faults == [[]] * len(opened)


@pytest.fixture
def paused(stack: ProcfileStack) -> Generator[None, None, None]:
    """The queue `low` is paused: its tasks wait."""
    assert stack.post("/queues/low/pause").status == 200
    yield
    assert stack.post("/queues/low/resume").status == 200


def test_a_task_from_the_form_is_seen_to_finish_and_its_curl_runs(open_front: Callable[..., FrontPage]) -> None:
    front = open_front()
    front.choose_type("upload")
    front.page.get_by_label("Num records").fill("7")
    front.page.get_by_label("Description").fill(HOSTILE)
    front.page.get_by_role("button", name="Start", exact=True).click()
    row = front.page.locator(".task").first
    expect(row.locator(".badge")).to_have_text("finished")
    expect(row.locator(".description")).to_have_text(HOSTILE)
    expect(front.page.locator("#live")).to_have_text("Live")
    line = front.page.locator("#calls code").filter(has_text="--data-raw").first.text_content()
    ran = subprocess.run(["sh", "-c", f"{line} -s"], capture_output=True, text=True, timeout=60, check=True)
    assert "it's <b>" in ran.stdout
    assert '"success":true' in ran.stdout
    assert front.page.evaluate("window.hurt") is None


def test_a_refused_value_is_reported_at_its_field_and_kept(open_front: Callable[..., FrontPage]) -> None:
    front = open_front()
    front.choose_type("upload")
    page = front.page
    expect(page.locator("#live")).to_have_text("Live")
    shown = page.locator(".task").count()
    page.get_by_label("Num records").fill("-5")
    page.get_by_role("button", name="Start", exact=True).click()
    field = page.get_by_label("Num records")
    expect(field).to_have_attribute("aria-invalid", "true")
    assert field.input_value() == "-5"
    assert page.locator(".task").count() == shown


def test_the_preselected_type_changes_no_rows(open_front: Callable[..., FrontPage], stack: ProcfileStack) -> None:
    page = open_front().page
    expect(page.locator("#type-help")).not_to_be_empty()
    types = {each["name"]: each for each in stack.get("/task-types").json["taskTypes"]}
    chosen = types[page.locator("#type").input_value()]
    assert (chosen["supportsDryRun"], chosen["params"]["required"]) == (False, [])


def test_a_waiting_task_is_canceled_and_tried_again(
    open_front: Callable[..., FrontPage], stack: ProcfileStack, paused: None
) -> None:
    task_id = stack.start_upload(records=5)
    front = open_front()
    row = front.row(task_id)
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".badge")).to_have_text("canceled")
    expect(row.get_by_role("button", name="Cancel")).to_be_hidden()
    row.get_by_role("button", name="Retry").click()
    expect(row.locator(".badge")).to_have_text("queued")
    assert stack.post("/queues/low/resume").status == 200
    expect(row.locator(".badge")).to_have_text("finished")
    assert stack.task(task_id)["status"] == "finished"


def test_a_paused_queue_shows_the_pause_and_the_waiting_tasks(
    open_front: Callable[..., FrontPage], stack: ProcfileStack, paused: None
) -> None:
    for _ in range(3):
        stack.start_upload(records=1)
    page = open_front().page
    cells = page.locator("#queues tr[data-queue=low] td")
    expect(cells.nth(0)).to_have_text("3")
    expect(cells.nth(2)).to_have_text("paused")
    expect(page.locator("#queues tr[data-queue=high] td").nth(2)).to_have_text("served")
    assert stack.post("/queues/low/resume").status == 200
    expect(cells.nth(2)).to_have_text("served")


def test_older_tasks_are_added_below_and_new_ones_above(
    open_front: Callable[..., FrontPage], stack: ProcfileStack
) -> None:
    ids = [stack.start_upload(records=1) for _ in range(PAGE + 5)]
    for task_id in ids:
        stack.wait_for_end(task_id, deadline_seconds=60)
    front = open_front()
    expect(front.page.locator(".task")).to_have_count(PAGE)
    front.page.get_by_role("button", name="Older tasks").click()
    expect(front.row(ids[4])).to_be_visible()
    expect(front.row(ids[4]).locator("h3")).to_be_focused()
    newest = stack.start_upload(records=1)
    expect(front.row(newest).locator(".badge")).to_have_text("finished")
    shown = [row.get_attribute("data-task") for row in front.page.locator(".task").all()]
    assert shown[: len(ids) + 1] == [newest, *reversed(ids)]


def test_a_task_is_started_and_canceled_by_keyboard(
    open_front: Callable[..., FrontPage], stack: ProcfileStack, paused: None
) -> None:
    front = open_front()
    page = front.page
    front.choose_type("upload")
    expect(page.get_by_label("Num records")).to_be_visible()
    front.tab_to(page.get_by_label("Num records"))
    page.keyboard.press("Control+A")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    row = page.locator(".task").first
    expect(row.locator(".badge")).to_have_text("queued")
    cancel = row.get_by_role("button", name="Cancel")
    front.tab_to(cancel)
    other = stack.start_upload(records=1)  # the list changes under the focus
    expect(front.row(other)).to_be_visible()
    cancel = front.page.locator(".task").nth(1).get_by_role("button", name="Cancel")
    expect(cancel).to_be_focused()
    page.keyboard.press("Enter")
    canceled = page.locator(".task").nth(1)
    expect(canceled.locator(".badge")).to_have_text("canceled")
    expect(canceled.locator("h3")).to_be_focused()  # its button is gone, and the focus remains at its place


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_front: Callable[..., FrontPage], stack: ProcfileStack, scheme: str) -> None:
    task_id = stack.start_upload(records=1)
    front = open_front(color_scheme=scheme)
    expect(front.row(task_id).locator(".badge")).to_have_text("finished")
    front.page.evaluate(AXE)
    found = front.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    serious = [
        (each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found if each["impact"] != "minor"
    ]
    assert serious == []


def test_a_phone_in_spanish_shows_no_scrollbar_and_breaks_no_word(open_front: Callable[..., FrontPage]) -> None:
    page = open_front(viewport={"width": 360, "height": 740}, locale="es-ES", without_stream=True).page
    expect(page.get_by_role("heading", name="Iniciar una tarea")).to_be_visible()
    expect(page.locator("#live")).to_have_text("En vivo, por consultas")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    state = page.locator("#queues tr[data-queue=high] td").nth(2)
    expect(state).to_have_text("atendida")
    heights = state.evaluate("cell => [cell.clientHeight, parseFloat(getComputedStyle(cell).lineHeight)]")
    assert heights[0] < 2 * heights[1], "the word is on one line"
