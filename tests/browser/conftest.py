"""One browser and one stack for all browser tests; an own window for each."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.browser.dashboard import open_browser
from tests.stack import ProcfileStack

MakeVisit = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Generator[Any, None, None]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def visit(browser: Any, stack: ProcfileStack) -> Generator[MakeVisit, None, None]:
    """`visit()`: a window in which an administrator is logged in; errors on its console fail the test."""
    from tests.browser.dashboard import Visit, create_person

    made: list[Visit] = []

    def make(name: str = "ada", **options: Any) -> Visit:
        create_person(stack, name, superuser=True)
        made.append(Visit(browser, stack, **options))
        made[-1].log_in(name)
        return made[-1]

    yield make
    complaints = [line for one in made for line in one.complaints]
    foreign = {host for one in made for host in one.foreign_hosts}
    for one in made:
        one.context.close()
    assert not complaints
    assert not foreign
