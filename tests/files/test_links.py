"""tasks_app/files/links.py: a link works for its file until it expires."""

import uuid
from typing import Any

import pytest

from tasks_app.errors import LinkExpired, UnknownFile
from tasks_app.files import links

FILE = uuid.UUID("0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a11")


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(links.time, "time", lambda: seconds)


def test_a_link_works_for_one_to_two_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    for made in (3600.0, 7199.0):
        at(monkeypatch, made)
        link, expires = links.make_link(FILE)
        assert 3600 < expires - made <= 7200
        at(monkeypatch, expires - 1)
        assert links.read_link(link) == FILE
        at(monkeypatch, expires)
        with pytest.raises(LinkExpired):
            links.read_link(link)


def test_links_of_one_hour_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 7200)
    first = links.make_link(FILE)
    at(monkeypatch, 10799)
    assert links.make_link(FILE) == first
    at(monkeypatch, 10800)
    assert links.make_link(FILE) != first


def test_nobody_else_makes_one(settings: Any) -> None:
    link, expires = links.make_link(FILE)
    value, _, signature = link.partition("~")
    later = f"{FILE.hex}.{expires + 1}~{signature}"
    other = f"{uuid.uuid4().hex}.{expires}~{signature}"
    for wrong in (later, other, value, f"{value}~", f"{value}~x", "", "~", link + "x", "x" * 10_000, link.upper()):
        with pytest.raises(UnknownFile):
            links.read_link(wrong)
    settings.SECRET_KEY = "another key"
    with pytest.raises(UnknownFile):
        links.read_link(link)
