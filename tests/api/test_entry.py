"""What a client finds that knows nothing but the host: `/`, the icon, and what it tells search engines."""

import pytest
from django.test import Client

from tests.api.conftest import assert_problem


def test_the_root_has_links_for_those_who_read_no_html(client: Client) -> None:
    answer = client.get("/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    links = answer.json()
    assert links["tasks"] == "/tasks"
    assert client.get(links["schema"]).status_code == 200
    assert "Accept" in answer["Vary"]


def test_the_root_is_a_page_for_browsers(client: Client) -> None:
    answer = client.get("/", headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("path", "kind"), [("/favicon.ico", "image/svg+xml"), ("/robots.txt", "text/plain")])
def test_icon_and_robots_answer(client: Client, path: str, kind: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith(kind)
    assert answer.content
    assert_problem(client.post(path), 404)
