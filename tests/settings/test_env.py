"""The table of variables: complete in .env.example, its values read and bounded, unknown names refused."""

import dataclasses
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from settings.env import ROOT, Longtasks, Process, list_variables, load
from tasks_app.conf.cores import count_cores
from tasks_app.conf.queue_names import ACCEPTED as QUEUE_NAMES


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
def test_addresses_are_normalized(name: str, text: str, value: object) -> None:
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
    may_be_secret = len(value) > 16 or set(value) & set("/:@?[];*")  # probably meant for a variable with a URL
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
def test_a_misspelled_variable_is_refused(name: str, meant: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{name} is not a variable of longtasks. Did you mean {meant}?"):
        load(environment={name: "1"})


def test_unrelated_variables_are_ignored() -> None:
    # Variables of Kubernetes for services named redis, web, longtasks-stream; of a shell; of a CI.
    names = ("REDIS_PORT", "REDIS_SERVICE_HOST", "WEB_PORT", "WEBHOOKS_PORT", "LONGTASKS_STREAM_PORT", "LONGTASKS_PORT",
             "PORT_1", "DEBUGGER", "SORT", "HOME", "CI",
             "DATABASE_NAME", "LONGTASKS_RUN", "LONGTASKS_TEST_STACK", "SHLVL", "LOGNAME", "OTEL_SERVICE_NAME")  # fmt: skip
    assert load(environment=dict.fromkeys(names, "x")) == load(environment={})


@pytest.mark.parametrize("value", ["9" * 400, "9" * 5000, "1e999", "-1", "1_0" * 9])
def test_a_number_out_of_range_is_refused(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^MIRROR_BATCH.* is refused: give a whole number, 1 or more"):
        load(environment={"MIRROR_BATCH": value})
