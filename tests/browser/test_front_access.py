"""The front page of an API that requires tokens, behind a proxy that joins web and stream: token entered, refused, used."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.front import FrontPage
from tests.browser.one_origin import GuardedOrigin, start_guarded_origin

MAKE_TOKENS = """
from tasks_app.auth.api_tokens import create_token
print(create_token(owner="ann", scope="write")[1], create_token(owner="ann", scope="read")[1])
"""


@pytest.fixture(scope="module")
def guarded(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedOrigin]:
    with start_guarded_origin(servers, tmp_path_factory.mktemp("origin"), make_callers=MAKE_TOKENS) as started:
        yield started


@pytest.fixture
def front(browser: Any, guarded: GuardedOrigin) -> Iterator[FrontPage]:
    page = FrontPage(browser, guarded.address)
    yield page
    faults = page.list_faults()
    page.close()
    assert faults == []


def use_token(front: FrontPage, token: str) -> None:
    front.page.get_by_label("Token", exact=True).fill(token)
    front.page.get_by_role("button", name="Use this token").click()


def test_a_wrong_token_is_refused_and_a_valid_one_is_kept_in_memory_only(
    front: FrontPage, guarded: GuardedOrigin
) -> None:
    page = front.page
    expect(page.locator("#work")).to_be_hidden()
    expect(page.get_by_label("Token", exact=True)).to_be_focused()
    use_token(front, "lt_" + "x" * 43)
    expect(page.locator("#token-problem")).not_to_be_empty()
    expect(page.locator("#work")).to_be_hidden()

    use_token(front, guarded.secrets[0])
    expect(page.locator("#live")).to_have_text("Live")  # by a ticket, since EventSource sends no token
    kept = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])")
    assert guarded.secrets[0] not in kept
    assert front.context.cookies() == []
    assert guarded.secrets[0] not in page.content()
    expect(page.locator("#calls")).to_contain_text("$TOKEN")

    page.get_by_role("button", name="Forget the token").click()
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator(".task")).to_have_count(0)


def test_the_stream_shows_a_task_that_another_client_starts(front: FrontPage, guarded: GuardedOrigin) -> None:
    use_token(front, guarded.secrets[0])
    expect(front.page.locator("#live")).to_have_text("Live")
    expect(front.row(guarded.start(records=2)).locator(".badge")).to_have_text("finished")


def test_a_read_token_is_told_why_it_may_not_start_a_task(front: FrontPage, guarded: GuardedOrigin) -> None:
    task_id = guarded.start(records=2)
    use_token(front, guarded.secrets[1])
    expect(front.row(task_id).locator(".badge")).to_have_text("finished")
    front.page.get_by_role("button", name="Start", exact=True).click()
    expect(front.page.locator("#start-problem")).to_contain_text("write")
    expect(front.page.locator("#work")).to_be_visible()
