"""The front page in a real browser: started by its form, a task is seen to end; a call shown as curl runs in a shell."""

import subprocess
from typing import Any

from playwright.sync_api import expect

from tests.support.stack import ProcfileStack


def open_front(browser: Any, stack: ProcfileStack, **options: Any) -> Any:
    page = browser.new_context(base_url=stack.address, **options).new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto("/")
    return page


def test_a_task_from_the_form_is_seen_to_finish_and_its_curl_runs(browser: Any, stack: ProcfileStack) -> None:
    page = open_front(browser, stack)
    page.get_by_label("Num records").fill("7")
    page.get_by_label("Description").fill('it\'s <b>"$HOME"</b> `id`')
    page.get_by_role("button", name="Start", exact=True).click()
    row = page.locator(".task").first
    expect(row.locator(".badge")).to_have_text("finished")
    expect(row.locator(".description")).to_have_text('it\'s <b>"$HOME"</b> `id`')
    expect(page.locator("#live")).to_have_text("Live, by polling")
    line = page.locator("#calls code").filter(has_text="--data-raw").first.text_content()
    ran = subprocess.run(["sh", "-c", f"{line} -s"], capture_output=True, text=True, timeout=60, check=True)
    assert "it's <b>" in ran.stdout
    assert '"success":true' in ran.stdout
    assert page.errors == []
    page.context.close()


def test_a_phone_in_spanish_shows_no_scrollbar(browser: Any, stack: ProcfileStack) -> None:
    page = open_front(browser, stack, viewport={"width": 360, "height": 740}, locale="es-ES")
    expect(page.get_by_role("heading", name="Iniciar una tarea")).to_be_visible()
    expect(page.locator("#live")).to_have_text("En vivo, por consultas")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.context.close()
