"""Guesses at passwords: limited for each address and each user name; nobody can lock a user out from elsewhere."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.models import User
from django.test import Client

from tasks_app.admin.login_limit import COOKIE, NAME_TRIES_PER_MINUTE
from tasks_app.resilience import machine_numbers, rate_limit

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
LIMIT = 6


@pytest.fixture(autouse=True)
def _limited(settings: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_address=LIMIT)
    machine_numbers.clear()
    for name in ("olga", "vera"):
        User.objects.create_superuser(name, password=f"secret of {name}")


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The clock stops; `still(2)` moves it by two seconds."""
    moved = [0.0]
    began = time.time()
    monkeypatch.setattr(rate_limit.time, "time", lambda: began + moved[0])

    def move(seconds: float) -> None:
        moved[0] += seconds

    return move


def log_in(name: str, password: str = "", *, address: str = "198.51.100.7", client: Client | None = None) -> Any:
    form = {"username": name, "password": password or f"secret of {name}"}
    return (client or Client()).post(LOGIN, form, REMOTE_ADDR=address)


def guess(name: str, count: int, *, address: str = "198.51.100.7") -> list[int]:
    return [log_in(name, f"guess {number}", address=address).status_code for number in range(count)]


def test_guesses_from_one_address_are_limited(still: Any) -> None:
    assert guess("olga", LIMIT) == [200] * LIMIT
    response = log_in("vera", "guess")
    assert response.status_code == 429
    assert response["Retry-After"] == "10"
    assert "Too many attempts" in response.content.decode()
    assert log_in("olga").status_code == 429, "the right password is not even checked"
    assert log_in("olga", address="198.51.100.8").status_code == 302
    still(10.01)
    assert log_in("olga").status_code == 302


def test_a_refused_login_checks_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    guess("olga", LIMIT)
    monkeypatch.setattr(hashers, "verify_password", lambda *words, **options: pytest.fail("the password was checked"))
    assert log_in("olga").status_code == 429


def test_a_successful_login_is_not_counted() -> None:
    assert [log_in("olga").status_code for _ in range(3 * NAME_TRIES_PER_MINUTE)] == [302] * 3 * NAME_TRIES_PER_MINUTE
    assert guess("olga", LIMIT + 1)[-2:] == [200, 429]


@pytest.mark.parametrize("other", ["olga", "OLGA", "ólga", "ＯＬＧＡ"])
def test_guesses_at_one_name_are_limited_from_any_address(other: str) -> None:
    for number in range(NAME_TRIES_PER_MINUTE):
        assert log_in("olga" if number % 2 else other, "guess", address=f"198.51.100.{number}").status_code == 200
    assert log_in(other, "guess", address="203.0.113.1").status_code == 429
    assert log_in("vera", address="203.0.113.1").status_code == 302


def test_a_user_is_not_locked_out_of_a_known_browser() -> None:
    browser = Client()
    assert log_in("olga", client=browser).status_code == 302
    browser.post("/admin/logout/")
    for number in range(3 * NAME_TRIES_PER_MINUTE):
        log_in("olga", "guess", address=f"198.51.100.{number % 50}")
    guess("olga", LIMIT + 1)
    assert log_in("olga").status_code == 429
    assert log_in("olga", client=browser).status_code == 302
    # The cookie counts for its user's name only, and has a limit of its own.
    assert log_in("vera", "guess", client=browser).status_code == 429
    browser.post("/admin/logout/")
    answers = [log_in("olga", "guess", client=browser).status_code for _ in range(NAME_TRIES_PER_MINUTE + 1)]
    assert answers == [200] * NAME_TRIES_PER_MINUTE + [429]


def test_a_forged_cookie_is_not_accepted() -> None:
    browser = Client()
    log_in("olga", client=browser)
    cookie = browser.cookies[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert "olga" not in cookie.value
    forger = Client()
    guess("olga", LIMIT)
    for forged in (cookie.value[:-1], f"{cookie.value}A", "x", cookie.value.replace(".", "", 1), ""):
        forger.cookies[COOKIE] = forged
        assert log_in("olga", client=forger).status_code == 429


def test_an_unknown_name_is_answered_as_a_known_one() -> None:
    known, unknown = log_in("olga", "guess"), log_in("nobody", "guess", address="198.51.100.9")
    assert known.status_code == unknown.status_code == 200
    assert len(known.content) == len(unknown.content) + len("olga") - len("nobody")


def test_a_limit_of_0_disables_the_limit(settings: Any) -> None:
    settings.LONGTASKS = replace(settings.LONGTASKS, rate_limit_per_address=0)
    assert set(guess("olga", 2 * LIMIT + NAME_TRIES_PER_MINUTE)) == {200}
