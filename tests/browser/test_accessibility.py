"""axe-core finds nothing serious on any page of the dashboard, in light and in dark."""

from pathlib import Path
from typing import Any

import axe_core_python
import pytest

from loadtests.started.stack import ProcfileStack
from tests.browser.conftest import MakeVisit
from tests.browser.dashboard import LIST

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
PAGES = (
    "/admin/",
    LIST,
    f"{LIST}start/",
    "task",
    "failed form",
    "/admin/tasks_app/auditentry/",
    "/admin/catalog/user/",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", PAGES)
def test_axe_finds_nothing_serious(visit: MakeVisit, stack: ProcfileStack, address: str, scheme: Any) -> None:
    task_id = stack.start_upload(records=10)
    stack.wait_for_end(task_id, deadline_seconds=30)
    page = visit(color_scheme=scheme).page
    if address == "failed form":
        page.goto(f"{LIST}start/?type=upload")
        page.get_by_label("Num records").fill("0")
        page.get_by_role("button", name="Start", exact=True).click()
        page.locator(".errorlist").wait_for()
    else:
        page.goto(f"{LIST}{task_id}/" if address == "task" else address)
    page.locator("#content").wait_for()
    page.evaluate(AXE)  # like the console: the pages' policy forbids inline scripts
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert not serious
