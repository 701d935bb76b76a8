"""Starts with the settings of production and of development: what they refuse, in one line."""

from pathlib import Path

import pytest

from tests.settings.good_production import GOOD_PRODUCTION, import_settings, run_in_production


def test_a_wrong_value_ends_the_start_with_one_line() -> None:
    ended = import_settings("settings.development", {"LEASE_SECONDS": "soon"})
    assert ended.returncode == 1
    assert ended.stderr == "manage.py: LEASE_SECONDS='soon' is refused: give a number, 0.1 or more.\n"


def test_production_starts_with_good_values() -> None:
    ended = import_settings("settings.production", GOOD_PRODUCTION)
    assert ended.returncode == 0, ended.stderr
    for line in ("SESSION_COOKIE_SECURE = True", "CSRF_COOKIE_SECURE = True", "SECURE_SSL_REDIRECT = True"):
        assert line in ended.stdout


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"DATABASE_URL": None}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"REDIS_URL": None}, "REDIS_URL is not set"),
        (
            {"DATABASE_READ_URL": "mysql://one/x", "DATABASE_URL": None},
            "DATABASE_READ_URL is set and DATABASE_URL is not",
        ),
        ({"BULK_WRITER": "1"}, "BULK_WRITER=1 needs MySQL or MariaDB"),
        ({"DATABSE_URL": "mysql://one/x"}, "DATABSE_URL is not a variable of longtasks. Did you mean DATABASE_URL?"),
        ({"ENV_FILE": "/nowhere/.env"}, "/nowhere/.env is not a file"),
        ({"DEBUG": "1"}, "DEBUG='1'"),
        ({"SECRET_KEY": None}, "SECRET_KEY is not set"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY has 5 characters"),
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY has 1 different characters"),
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS=''"),
        ({"API_OPEN": "1"}, "API_OPEN='1'"),
        ({"WEBHOOK_SECRET": "short"}, "WEBHOOK_SECRET has 5 characters"),
        ({"CRASH_POINTS": "after_commit=1"}, "CRASH_POINTS='after_commit=1'"),
    ],
)
def test_production_refuses_unsafe_settings(changes: dict[str, str | None], named: str) -> None:
    environment = {name: value for name, value in (GOOD_PRODUCTION | changes).items() if value is not None}
    ended = import_settings("settings.production", environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"manage.py: {named}")
    assert ended.stderr.count("\n") == 1


def test_production_leaves_no_directory_behind(tmp_path: Path) -> None:
    ended = import_settings(
        "settings.production", GOOD_PRODUCTION | {"DATABASE_URL": "", "DATA_DIR": f"{tmp_path}/data"}
    )
    assert ended.returncode == 1
    assert not (tmp_path / "data").exists()


def test_sentinels_are_enough_in_production() -> None:
    changes = {"REDIS_URL": "", "REDIS_SENTINELS": "one,two:26380"}
    assert import_settings("settings.production", GOOD_PRODUCTION | changes).returncode == 0


@pytest.mark.parametrize(
    ("environment", "is_open"),
    [
        ({}, True),
        ({"BIND": "127.0.0.1", "ALLOWED_HOSTS": "localhost"}, True),
        ({"BIND": "0.0.0.0"}, False),
        ({"ALLOWED_HOSTS": "longtasks.example.com"}, False),
        ({"BIND": "0.0.0.0", "API_OPEN": "1"}, True),
        ({"API_OPEN": "0"}, False),
    ],
)
def test_development_is_open_on_loopback_only(environment: dict[str, str], is_open: bool) -> None:
    ended = import_settings("settings.development", environment)
    assert f"+ API_OPEN = {is_open}" in ended.stdout.splitlines()


def test_database_password_is_used_unencoded() -> None:
    password = "p@s/s#w%o$r:d?&+=\"'\\ x"
    environment = GOOD_PRODUCTION | {
        "DATABASE_URL": "mysql://app@one:3306/name",
        "DATABASE_READ_URL": "mysql://app:of-its-own@two:3306/name",
        "DATABASE_PASSWORD": password,
    }
    script = (
        "from django.conf import settings as s; print([s.DATABASES[n]['PASSWORD'] for n in ('default', 'replica')])"
    )
    asked = run_in_production(script, environment)
    assert asked.stdout.strip() == str([password, "of-its-own"]), asked.stderr
