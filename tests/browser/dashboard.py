"""A browser at the dashboard of a running stack: Debian's Chromium, driven by Playwright, logged in.

Must not: know pytest; the screenshots' script uses it too. It collects the messages of the console and the requested
hosts, for the tests to check.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from loadtests.started.stack import ProcfileStack

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
PASSWORD = "a-password-for-tests"
LIST = "/admin/tasks_app/taskrecord/"


@contextmanager
def open_browser() -> Generator[Browser, None, None]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def create_person(stack: ProcfileStack, name: str, *permissions: str, superuser: bool = False) -> None:
    """Create a staff user in the stack's database, once."""
    code = (
        "from django.contrib.auth.models import Permission, User\n"
        f"user, _ = User.objects.get_or_create(username={name!r})\n"
        f"user.is_staff, user.is_superuser = True, {superuser}\n"
        f"user.set_password({PASSWORD!r}); user.save()\n"
        f"user.user_permissions.set(Permission.objects.filter(codename__in={list(permissions)!r}))\n"
    )
    stack.manage("shell", "--command", code)


class Visit:
    """A user's browser window at the stack."""

    def __init__(self, browser: Browser, stack: ProcfileStack, **options: Any) -> None:
        self.stack = stack
        self.context: BrowserContext = browser.new_context(base_url=stack.address, **options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.console: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        self.context.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    @property
    def complaints(self) -> list[str]:
        """Return the errors on the console."""
        return [line for line in self.console if line.startswith("error")]

    @property
    def foreign_hosts(self) -> set[str]:
        return self.hosts - {urlsplit(self.stack.address).netloc, ""}

    def log_in(self, name: str) -> None:
        self.page.goto("/admin/login/")
        self.page.fill('input[name="username"]', name)
        self.page.fill('input[name="password"]', PASSWORD)
        self.page.click('button[type="submit"], input[type="submit"]')
        self.page.wait_for_url("**/admin/")

    def go(self, address: str) -> Page:
        self.page.goto(address)
        return self.page
