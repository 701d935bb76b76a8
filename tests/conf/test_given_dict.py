"""The dict LONGTASKS of a project that is not ours."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from tasks_app.conf import project, settings
from tasks_app.conf.given_dict import list_fields, read_dict
from tasks_app.conf.longtasks import Longtasks


def test_every_key_has_a_default() -> None:
    longtasks, installation = read_dict({})
    assert longtasks == dataclasses.replace(Longtasks(), redis_url="redis://localhost:6379/0")
    assert (installation.api_open, installation.data_dir) == (False, Path(".longtasks"))
    assert read_dict(None) == read_dict({})


def test_values_are_python_values_or_the_text_of_a_variable() -> None:
    given = {
        "LEASE_SECONDS": 3, "CHUNK_SECONDS": "0.5", "QUEUES": ["high", "low", "imports"], "WEBHOOK_PORTS": (443,),
        "METRICS_OPEN": True, "TRACING": "no", "DATA_DIR": Path("/var/lib/shop"), "REDIS_URL": "redis://cache:6379/2",
    }  # fmt: skip
    longtasks, installation = read_dict(given)
    assert (longtasks.lease_seconds, longtasks.chunk_seconds) == (3.0, 0.5)
    assert (longtasks.queues, longtasks.webhook_ports) == (("high", "low", "imports"), (443,))
    assert (longtasks.metrics_open, longtasks.tracing) == (True, False)
    assert (longtasks.redis_url, installation.data_dir) == ("redis://cache:6379/2", Path("/var/lib/shop"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"LEASE_SECONDS": -1}, "LONGTASKS: LEASE_SECONDS='-1' is refused: give a number, 0.1 or more."),
        ({"LEASE_SECONDS": True}, 'LONGTASKS["LEASE_SECONDS"] is a bool: give a number.'),
        ({"LEASE_SECONDS": None}, 'LONGTASKS["LEASE_SECONDS"] is a NoneType: give a number.'),
        ({"METRICS_OPEN": 1}, 'LONGTASKS["METRICS_OPEN"] is a int: give True or False.'),
        ({"QUEUES": ["low"]}, "LONGTASKS: QUEUES='low' is refused: give high first"),
        ({"QUEUES": "low\nhigh"}, 'LONGTASKS["QUEUES"] is refused: it contains non-printable characters.'),
        ({"LEASE_SECOND": 3}, "LONGTASKS has the unknown key 'LEASE_SECOND'. Did you mean 'LEASE_SECONDS'?"),
        ({"lease_seconds": 3}, "LONGTASKS has the unknown key 'lease_seconds'. Did you mean 'LEASE_SECONDS'?"),
        ({"COLOUR": 3}, "LONGTASKS has the unknown key 'COLOUR'. The keys are API_OPEN, "),
        ({"REDIS_URL": ""}, 'LONGTASKS["REDIS_URL"] is empty: give redis://host:6379/0, or leave it out.'),
        ([("LEASE_SECONDS", 3)], "LONGTASKS is a list: give a dict, such as {}."),
    ],
)
def test_what_is_refused_is_named_with_what_is_accepted(given: Any, said: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read_dict(given)
    assert str(refusal.value).startswith(said)


def test_no_part_of_a_refused_address_is_repeated() -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read_dict({"REDIS_URL": "http://:hunter2@cache"})
    assert str(refusal.value) == (
        "LONGTASKS: REDIS_URL is refused: give empty or a URL with redis:// or rediss:// or unix://."
    )


def test_no_two_keys_have_one_name() -> None:
    assert len(list_fields()) == len(dataclasses.fields(Longtasks)) + 4


@override_settings(LONGTASKS={"LEASE_SECONDS": 3}, PORT="8000", WORKERS="many", API_OPEN="yes")
def test_settings_of_other_meaning_in_the_project_are_not_read() -> None:
    assert project.is_embedded()
    assert settings.LONGTASKS.lease_seconds == 3
    assert (settings.PORT, settings.API_OPEN) == (0, False)
    assert type(settings.WORKERS) is int
    assert settings.DATA_DIR == settings.BASE_DIR / ".longtasks"
    assert settings.RQ_QUEUES["high"]["URL"].startswith("redis://localhost:6379/0?socket_timeout=1.5")
    with override_settings(LONGTASKS=project.changed(lease_seconds=4)):
        assert settings.LONGTASKS.lease_seconds == 4
    assert settings.LONGTASKS.lease_seconds == 3


def test_this_project_builds_its_settings_itself() -> None:
    assert not project.is_embedded()
    with override_settings(API_OPEN=not settings.API_OPEN, LONGTASKS=project.changed(lease_seconds=4)):
        assert settings.LONGTASKS.lease_seconds == 4
