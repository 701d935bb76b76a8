"""The front page as a visitor uses it, and the browser's errors meanwhile."""

from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import expect

NOTE_BREACHES = """
window.breaches = [];
document.addEventListener("securitypolicyviolation", (event) => breaches.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


class FrontPage:
    """A browser window at `/`."""

    def __init__(self, browser: Any, address: str, *, without_stream: bool = False, **options: Any) -> None:
        self.context = browser.new_context(base_url=address, **options)
        self.page = self.context.new_page()
        self._errors: list[str] = []
        self._host = urlsplit(address).netloc
        self.page.add_init_script(NOTE_BREACHES)
        self.page.on("pageerror", lambda error: self._errors.append(str(error)))
        self.page.on("request", self._note_host)
        if without_stream:  # as behind a proxy that does not let it through
            self.page.route("**/stream*", lambda route: route.abort())
        self.page.goto("/")

    def choose_type(self, name: str) -> None:
        """Select a task type in the form."""
        self.page.locator("#type").select_option(name)

    def row(self, task_id: str) -> Any:
        """Return the task's entry in the list."""
        return self.page.locator(f'.task[data-task="{task_id}"]')

    def tab_to(self, target: Any, *, most: int = 60) -> None:
        """Press Tab until the element has the focus."""
        for _ in range(most):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        expect(target).to_be_focused()

    def list_faults(self) -> list[str]:
        """Return the script errors, violations of the page's policy, and requests to other hosts, so far."""
        return [*self._errors, *self.page.evaluate("window.breaches")]

    def close(self) -> None:
        self.context.close()

    def _note_host(self, request: Any) -> None:
        if urlsplit(request.url).netloc not in (self._host, ""):
            self._errors.append(f"a request to {request.url}")
