"""Takes docs/screenshots again from a live stack of its own: `make screenshots`."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from loadtests.started.servers import create_servers
from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.procfile import PROJECT_DIR
from tests.browser.dashboard import LIST, Visit, create_person, open_browser

# Tracebacks are shown without the project's directory on this machine.
SHORTEN_PATHS = """paths => {
  for (const trace of document.querySelectorAll("pre"))
    for (const path of paths) trace.textContent = trace.textContent.replaceAll(path, "");
}"""
TARGET = PROJECT_DIR / "docs" / "screenshots"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
VIEWS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "light": (DESKTOP, ("overview", "tasks", "task", "failed", "start", "audit")),
    "dark-es": (DESKTOP | {"color_scheme": "dark", "locale": "es-ES"}, ("overview", "tasks", "task")),
    "phone": (PHONE, ("overview", "tasks", "task")),
    "phone-dark-es": (PHONE | {"color_scheme": "dark", "locale": "es-ES"}, ("overview", "tasks")),
}


def main() -> None:
    database, redis_server = create_servers()
    os.environ |= {"ENV_FILE": "", "DATA_DIR": tempfile.mkdtemp(prefix="longtasks-screenshots-")}
    stack = None
    try:
        for server in (database, redis_server):
            server.start()
        stack = ProcfileStack(
            database=database,
            redis_server=redis_server,
            environment={"PAUSE_MS": "150", "RETRY_ATTEMPTS": "1", "DEBUG": ""},
        )
        stack.start()
        create_person(stack, "ada", superuser=True)
        take(stack, seed(stack), TARGET)
    finally:
        if stack is not None:
            stack.close()
        for server in (database, redis_server):
            server.remove()


def seed(stack: ProcfileStack) -> dict[str, str]:
    """Create tasks in every state, over the last minutes; returns the addresses of the pages."""
    stack.sql("ALTER TABLE order_items RENAME TO order_items_away")
    failed = stack.start_upload(records=10)
    stack.wait_for_end(failed, deadline_seconds=60)
    stack.sql("ALTER TABLE order_items_away RENAME TO order_items")
    for number in range(40):
        stack.post(
            "/tasks",
            {
                "name": "upload",
                "description": f"customers of shop {number}",
                "params": {"numRecords": 20 + 7 * number},
                "priority": "low" if number % 6 else "high",
            },
        )
    canceled = stack.start_upload(records=50_000)
    stack.post(f"/tasks/{canceled}/cancel", {})
    stack.wait_for(
        lambda: not stack.get("/tasks?status=queued").json["tasks"], deadline_seconds=120, what="all have begun"
    )
    # The last hour of a busy stack.
    stack.sql(
        "INSERT INTO tasks_app_taskminute (minute, queue, name, accepted, started, finished, failed, canceled, stopped,"
        " `rows`, waits, runs) SELECT FROM_UNIXTIME(FLOOR(UNIX_TIMESTAMP() / 60) * 60 - seq * 60), 'low', 'upload', 0, 0,"
        " 900 + ROUND(400 * SIN(seq / 9)) + (seq * 37) MOD 90, 0, 0, 0, 500000 + ROUND(200000 * SIN(seq / 7)),"
        " CONCAT('{\"', 34 + seq MOD 3, '\": 60, \"', 42 + seq MOD 4, '\": 5}'),"
        " CONCAT('{\"', 38 + seq MOD 3, '\": 60, \"', 46 + seq MOD 4, '\": 5}') FROM seq_2_to_62"
    )
    answer = stack.post(
        "/tasks", {"name": "upload", "description": "nightly import", "params": {"numRecords": 400_000}}
    )
    running = answer.json["id"]
    stack.wait_for(
        lambda: stack.task(running)["progress"]["done"] > 10_000, deadline_seconds=120, what="the import runs"
    )
    return {
        "overview": "/admin/",
        "tasks": LIST,
        "task": f"{LIST}{running}/",
        "failed": f"{LIST}{failed}/",
        "start": f"{LIST}start/",
        "audit": "/admin/tasks_app/auditentry/",
    }


def take(stack: ProcfileStack, addresses: dict[str, str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        for name, (options, pages) in VIEWS.items():
            visit = Visit(browser, stack, **options)
            visit.log_in("ada")
            for page in pages:
                live = page in ("overview", "task", "failed")
                with visit.page.expect_response("**/live/**") if live else nullcontext():
                    visit.go(addresses[page])
                visit.page.evaluate(SHORTEN_PATHS, [f"{PROJECT_DIR}/", f"{sys.prefix}/"])
                visit.page.screenshot(path=target / f"{page}-{name}.png")
                print(target / f"{page}-{name}.png", flush=True)
            visit.context.close()


if __name__ == "__main__":
    main()
