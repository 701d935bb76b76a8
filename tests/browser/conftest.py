"""One browser and one stack for all browser tests; each test has its own window."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from playwright.sync_api import expect

from loadtests.started.stack import ProcfileStack
from tests.browser.dashboard import Visit, create_person, open_browser

MakeVisit = Callable[..., Any]
# Playwright's own 5 s are two refreshes of the page; tests that need a limit give it themselves.
expect.set_options(timeout=60_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


# For the module, not the session: Playwright runs an event loop, in which Django refuses to use the database.
@pytest.fixture(scope="module")
def browser() -> Generator[Any, None, None]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def logged_in(browser: Any, _session_stack: ProcfileStack) -> Any:
    """The cookies of ada, an administrator."""
    _session_stack.ensure_running()
    create_person(_session_stack, "ada", superuser=True)
    window = Visit(browser, _session_stack)
    window.log_in("ada")
    cookies = window.context.storage_state()
    window.context.close()
    return cookies


@pytest.fixture
def visit(browser: Any, stack: ProcfileStack, logged_in: Any) -> Generator[MakeVisit, None, None]:
    """`visit()`: a window of ada. An error on its console or a request to another host fails the test.

    `visit(stack=…)`: at another stack, where ada is created and logged in first.
    """
    made: list[Visit] = []

    def make(*, stack: ProcfileStack = stack, **options: Any) -> Visit:
        if stack is logged_in_at:
            made.append(Visit(browser, stack, storage_state=logged_in, **options))
        else:
            create_person(stack, "ada", superuser=True)
            made.append(Visit(browser, stack, **options))
            made[-1].log_in("ada")
        return made[-1]

    logged_in_at = stack
    yield make
    complaints = [line for one in made for line in one.complaints]
    foreign = {host for one in made for host in one.foreign_hosts}
    for one in made:
        one.context.close()
    assert not complaints
    assert not foreign
