"""The table of variables: complete in .env.example, refused when wrong, strict in production."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from settings.cores import count_cores
from settings.database import database_settings
from settings.env import ROOT, Longtasks, Process, list_variables, load
from settings.queues import ACCEPTED as QUEUE_NAMES

GOOD_PRODUCTION = {
    "SECRET_KEY": "s3cr-" * 12,
    "ALLOWED_HOSTS": "longtasks.example.com",
    "DATABASE_URL": "sqlite:////nowhere/longtasks.sqlite3",
    "REDIS_URL": "redis://localhost:6379/0",
}


def import_settings(module: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`manage.py` with nothing but these variables: ends with the settings' refusal or 0."""
    return subprocess.run(
        [sys.executable, "manage.py", "diffsettings", "--output", "unified"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": module, "ENV_FILE": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_env_example_equals_the_table() -> None:
    blocks = (ROOT / ".env.example").read_text().strip().split("\n\n")[1:]
    table = [
        f"# {variable.meaning} ({variable.type})\n{variable.name}={variable.default}" for variable in list_variables()
    ]
    assert blocks == table


def test_the_example_file_gives_the_defaults() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert load(environment=pairs) == load(environment={})


def test_defaults_hold_the_types_they_declare() -> None:
    loaded = load(environment={})
    assert loaded.longtasks == Longtasks()
    cores = count_cores()
    assert loaded.process == dataclasses.replace(Process(), web_workers=cores, workers=cores)
    for variable in list_variables():
        assert variable.type in {"int", "float", "bool", "str", "path", "list"}, variable


def test_values_are_read() -> None:
    loaded = load(
        environment={
            "LEASE_SECONDS": " 1.5 ",
            "BULK_WRITER": "Yes",
            "ALLOWED_HOSTS": "a.example, b.example,",
            "LOG_LEVEL": "debug",
            "DATA_DIR": "/srv/longtasks",
            "PORT": "8080",
            "WEBHOOK_PORTS": "443, 8443",
        }
    )
    assert loaded.longtasks.webhook_ports == (443, 8443)
    assert loaded.longtasks.lease_seconds == 1.5
    assert loaded.longtasks.bulk_writer is True
    assert loaded.process.allowed_hosts == ("a.example", "b.example")
    assert loaded.process.log_level == "DEBUG"
    assert loaded.process.data_dir == Path("/srv/longtasks")
    assert loaded.process.port == 8080


BIND = "an IP address such as 127.0.0.1, ::1 or 0.0.0.0, a host name, or unix:/directory"
PROXIES = "addresses and networks such as 10.0.0.7,10.0.0.0/8,fd00::/8, or *"
ORIGINS = "origins such as https://tasks.example.com:8443, comma-separated"
PREFIX = "empty, or a path such as /longtasks, of letters, digits, -, . _ and ~"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("BIND", "[::1]", "::1"),
        ("BIND", "::", "::"),
        ("BIND", "localhost", "localhost"),
        ("BIND", "unix:/run/longtasks/", "unix:/run/longtasks"),
        ("FORWARDED_ALLOW_IPS", " 10.0.0.0/8, ::1/128 ,fd00::/8", "10.0.0.0/8,::1,fd00::/8"),
        ("FORWARDED_ALLOW_IPS", "*", "*"),
        ("FORWARDED_ALLOW_IPS", "", ""),
        (
            "CSRF_TRUSTED_ORIGINS",
            "https://A.example:443/, http://[::1]:8080",
            ("https://a.example", "http://[::1]:8080"),
        ),
        ("SCRIPT_NAME", "/lt/", "/lt"),
        ("SCRIPT_NAME", "/", ""),
    ],
)
def test_addresses_have_one_form(name: str, text: str, value: object) -> None:
    assert getattr(load(environment={name: text}).process, name.lower()) == value


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("LEASE_SECONDS", "soon", "a number, 0.1 or more"),
        ("WEBHOOK_PORTS", "https", "a whole number from 1 to 65535"),
        ("WEBHOOK_PORTS", "0", "a whole number from 1 to 65535"),
        ("LEASE_SECONDS", "", "a number, 0.1 or more"),
        ("LEASE_SECONDS", "0", "a number, 0.1 or more"),
        ("LEASE_SECONDS", "inf", "a number, 0.1 or more"),
        ("LOW_SHARE", "nan", "a number from 0 to 1"),
        ("LOW_SHARE", "1.1", "a number from 0 to 1"),
        *(
            ("QUEUES", text, QUEUE_NAMES)
            for text in (
                "",
                "low,high",
                "high",
                "high,low,low",
                "high,low,Imports",
                "high,low,a b",
                "high,,low",
                "high,low,1a",
            )
        ),
        ("QUEUES", f"high,low,{'x' * 33}", QUEUE_NAMES),
        ("QUEUES", "high,low," + ",".join(f"q{n}" for n in range(15)), QUEUE_NAMES),
        ("PORT", "65536", "a whole number from 1 to 65535"),
        ("MIRROR_BATCH", "2.5", "a whole number, 1 or more"),
        ("DEBUG", "maybe", "1, true, yes, on or 0, false, no, off"),
        ("LOG_LEVEL", "LOUD", "DEBUG or INFO or WARNING or ERROR"),
        ("DATA_DIR", "", "a directory"),
        *(
            ("BIND", text, BIND)
            for text in ("", "web:80", "-x", "a b", "unix:x", "unix:/", f"unix:/{'x' * 100}", "[::1")
        ),
        *(("FORWARDED_ALLOW_IPS", text, PROXIES) for text in ("proxy", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1;::1")),
        *(
            ("CSRF_TRUSTED_ORIGINS", text, ORIGINS)
            for text in (
                "a.example",
                "ftp://a.example",
                "https://",
                "https://a/b",
                "https://a:0",
                "https://a:x",
                "https://*.a.example",
                "null",
                "https://u@a.example",
                "https://[::g]",
            )
        ),
        *(("SCRIPT_NAME", text, PREFIX) for text in ("lt", "//lt", "/a/../b", "/a b", "/a?b", "http://a/b")),
    ],
)
def test_a_wrong_value_is_refused(name: str, value: str, accepted: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(environment={name: value})
    may_be_secret = len(value) > 16 or set(value) & set("/:@?[];*")  # meant for another variable, a URL's
    shown = name if may_be_secret else f"{name}={value!r}"
    assert str(refusal.value) == f"{shown} is refused: give {accepted}."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://user:hidden@host"),
        ("REDIS_URL", "hidden"),
        ("DATABASE_URL", "postgres://user:hidden@host/name"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{name} is refused: give empty or a URL with") as refusal:
        load(environment={name: value})
    assert "hidden" not in str(refusal.value)


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
def test_production_refuses(changes: dict[str, str | None], named: str) -> None:
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
    ("name", "meant"),
    [
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_URLS", "DATABASE_URL"),
        ("RETRY_ATTEMPT", "RETRY_ATTEMPTS"),
        ("WOKRERS", "WORKERS"),
        ("redis_url", "REDIS_URL"),
        ("DJANGO_SETTING_MODULE", "DJANGO_SETTINGS_MODULE"),
        ("ENVFILE", "ENV_FILE"),
    ],
)
def test_a_name_that_is_almost_ours_is_refused(name: str, meant: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{name} is not a variable of longtasks. Did you mean {meant}?"):
        load(environment={name: "1"})


def test_others_names_are_let_be() -> None:
    # Kubernetes' for services named redis, web, longtasks-stream; a shell's; a CI's.
    names = ("REDIS_PORT", "REDIS_SERVICE_HOST", "WEB_PORT", "WEBHOOKS_PORT", "LONGTASKS_STREAM_PORT", "LONGTASKS_PORT",
             "PORT_1", "DEBUGGER", "SORT", "HOME", "CI",
             "DATABASE_NAME", "LONGTASKS_RUN", "LONGTASKS_TEST_STACK", "SHLVL", "LOGNAME", "OTEL_SERVICE_NAME")  # fmt: skip
    assert load(environment=dict.fromkeys(names, "x")) == load(environment={})


@pytest.mark.parametrize("value", ["9" * 400, "9" * 5000, "1e999", "-1", "1_0" * 9])
def test_a_number_has_an_end(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^MIRROR_BATCH.* is refused: give a whole number, 1 or more"):
        load(environment={"MIRROR_BATCH": value})


def test_mysql_url_with_a_socket_and_own_options() -> None:
    config = database_settings(
        url="mariadb://user:p%40ss@/longtasks?unix_socket=/run/my.sock&read_timeout=60",
        data_dir=Path("/nowhere"),
        local_infile=False,
    )
    assert config["ENGINE"] == "django.db.backends.mysql"
    assert (config["NAME"], config["USER"], config["PASSWORD"]) == ("longtasks", "user", "p@ss")
    assert config["OPTIONS"]["unix_socket"] == "/run/my.sock"
    assert config["OPTIONS"]["read_timeout"] == 60
    assert config["OPTIONS"]["connect_timeout"] == 2
    assert "local_infile" not in config["OPTIONS"]


def test_local_infile_only_for_the_bulk_writer() -> None:
    config = database_settings(url="mysql://localhost/x", data_dir=Path("/nowhere"), local_infile=True)
    assert config["OPTIONS"]["local_infile"] is True


def test_empty_database_url_means_sqlite_in_data_dir() -> None:
    config = database_settings(url="", data_dir=Path("/srv/longtasks data"), local_infile=False)
    assert config["ENGINE"] == "django.db.backends.sqlite3"
    assert config["NAME"] == "/srv/longtasks data/longtasks.sqlite3"
    assert config["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


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


def test_the_databases_password_may_stand_alone_as_it_is() -> None:
    password = "p@s/s#w%o$r:d?&+=\"'\\ x"
    environment = GOOD_PRODUCTION | {
        "DATABASE_URL": "mysql://app@one:3306/name",
        "DATABASE_READ_URL": "mysql://app:of-its-own@two:3306/name",
        "DATABASE_PASSWORD": password,
    }
    script = (
        "from django.conf import settings as s; print([s.DATABASES[n]['PASSWORD'] for n in ('default', 'replica')])"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "settings.production",
            "ENV_FILE": "",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.stdout.strip() == str([password, "of-its-own"]), asked.stderr
